/** Tells what a new plan changes, so that the log reads as the story of a failover. */
import type { Problem } from "../model/domain.ts";
import type { Conflict } from "../model/kernel.ts";
import type { Balance, Plan, TeamPlan } from "../model/plan.ts";
import { formatRate } from "../model/units.ts";
import type { EventLog } from "./events.ts";

/** Says what differs between two plans; says nothing where nothing does. */
export function narratePlan(log: EventLog, before: Plan | null, after: Plan): void {
  for (const team of after.teams) {
    const old = before?.teams.find((candidate) => candidate.name === team.name);
    narrateConflicts(log, old?.conflicts ?? [], team.conflicts);
    narrateSuggestions(log, old?.balance ?? null, team);
    if (old?.condition === team.condition) continue;
    const text = `team ${team.name} is ${team.condition}${
      team.reasons.length > 0 ? `: ${team.reasons.join("; ")}` : ""
    }`;
    const severity =
      team.condition === "ok" || team.condition === "barred"
        ? "notice"
        : team.condition === "degraded"
          ? "warning"
          : "error";
    log.tell(severity, `team-${team.condition}`, text, { team: team.name });
  }
  narrateProblems(log, before?.problems ?? [], after.problems);
  const vnics = new Map(before?.vnics.map((vnic) => [vnic.mac, vnic]) ?? []);
  for (const vnic of after.vnics) {
    const old = vnics.get(vnic.mac);
    if (old !== undefined && old.via === vnic.via && old.home === vnic.home) continue;
    const grant = vnic.classes.find((entry) => entry.uplink === vnic.via);
    log.tell(
      "info",
      old === undefined ? "vnic-placed" : "vnic-moved",
      `domain ${vnic.domain} ${vnic.mac} goes by ${vnic.via ?? "no uplink"} in 7570:${vnic.minor.toString(16)} \
with ${formatRate(grant?.reservationBitsPerSecond ?? 0)} to ${formatRate(grant?.limitBitsPerSecond ?? 0)}: \
${vnic.reasons.join("; ")}`,
      { domain: vnic.domain, mac: vnic.mac, uplink: vnic.via ?? "" },
    );
  }
  const planned = new Set(after.vnics.map((vnic) => vnic.mac));
  for (const vnic of before?.vnics ?? []) {
    if (planned.has(vnic.mac)) continue;
    log.tell("info", "vnic-gone", `domain ${vnic.domain} ${vnic.mac} is gone`, {
      domain: vnic.domain,
      mac: vnic.mac,
    });
  }
  const actions = new Map(before?.domains.map((domain) => [domain.domain, domain.action]) ?? []);
  for (const domain of after.domains) {
    const old = actions.get(domain.domain) ?? "none";
    if (old === domain.action || (domain.action === "none" && old === "resume")) continue;
    log.tell(
      "notice",
      "domain-action",
      `domain ${domain.domain}: ${domain.action}${domain.reasons.length > 0 ? `: ${domain.reasons.join("; ")}` : ""}`,
      { domain: domain.domain, action: domain.action },
    );
  }
}

/** A suggestion is told once, whatever becomes of the figures in it. */
function narrateSuggestions(log: EventLog, before: Balance | null, team: TeamPlan): void {
  for (const { domain, mac, from, to, state, reason } of team.balance?.moves ?? []) {
    if (state !== "suggested") continue;
    const isKnown = before?.moves.some((move) => move.mac === mac && move.to === to) === true;
    if (isKnown) continue;
    log.tell("info", "move-suggested", `team ${team.name}: move ${domain} ${mac} ${reason}`, {
      ...{ team: team.name, domain, mac, from, to },
    });
  }
}

/** A conflict is told when it appears and when it is gone, whatever the team's condition. */
function narrateConflicts(
  log: EventLog,
  before: readonly Conflict[],
  after: readonly Conflict[],
): void {
  const isIn = (list: readonly Conflict[], one: Conflict) =>
    list.some(({ device, found }) => device === one.device && found === one.found);
  for (const conflict of after) {
    if (isIn(before, conflict)) continue;
    const { device, message, remedy } = conflict;
    log.tell("warning", "conflict", `${device}: ${message}; ${remedy}`, { device });
  }
  for (const conflict of before) {
    if (isIn(after, conflict)) continue;
    const { device, found } = conflict;
    log.tell("notice", "conflict-gone", `${device}: ${found} is gone`, { device });
  }
}

function narrateProblems(
  log: EventLog,
  before: readonly Problem[],
  after: readonly Problem[],
): void {
  for (const { object, message, remedy } of after) {
    const isKnown = before.some((known) => known.object === object && known.message === message);
    const mend = remedy === "" ? "" : `; ${remedy}`;
    if (!isKnown) log.tell("notice", "problem", `${object}: ${message}${mend}`);
  }
}
