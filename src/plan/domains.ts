/** What is to be done to each domain: its teams' wishes for it laid together with what we have done to it already. */
import type { DomainAction, DomainPlan } from "../model/plan.ts";
import { formatDuration } from "../model/units.ts";
import type { DomainState, World } from "../model/world.ts";
import type { Casualty } from "./actions.ts";
import { beginMigrations, planUnderWay } from "./migration.ts";
import { pauseEndsAtMs } from "./pause.ts";
import { listHandled, listNothing } from "./survey.ts";
import type { TeamResult } from "./team.ts";

const NOBODY: readonly Casualty[] = [];

/** Plans for all domains, in the world's order. */
export function planDomains(world: World, results: readonly TeamResult[]): readonly DomainPlan[] {
  const casualties = new Map<string, Casualty[]>();
  for (const casualty of results.flatMap((result) => result.casualties)) {
    const found = casualties.get(casualty.domain.name);
    if (found === undefined) casualties.set(casualty.domain.name, [casualty]);
    else found.push(casualty);
  }
  const isolated = new Set(
    results.flatMap(({ team }) => (team.condition === "isolated" ? [team.name] : [])),
  );
  const handled = new Set(listHandled(world.domains));
  const nothing = listNothing(world.domains);
  if (casualties.size === 0 && handled.size === 0) return nothing;
  const plans = world.domains.map((domain, index): DomainPlan => {
    const fallen = casualties.get(domain.name);
    if (fallen === undefined && !handled.has(domain)) return nothing[index] as DomainPlan;
    return planDomain(world, domain, fallen ?? NOBODY, isolated);
  });
  return beginMigrations(world, results, plans);
}

/** Mildest first; of several teams' wishes for a domain the strongest holds. */
const STRENGTH: readonly DomainAction[] = ["none", "throttle", "discard", "pause", "migrate"];

function planDomain(
  world: World,
  domain: DomainState,
  casualties: readonly Casualty[],
  isolated: ReadonlySet<string>,
): DomainPlan {
  const underWay = planUnderWay(world, domain, casualties);
  if (underWay !== null) return underWay;
  let action: DomainAction = "none";
  let dueAtMs = world.nowMs;
  for (const casualty of casualties) {
    if (STRENGTH.indexOf(casualty.action) <= STRENGTH.indexOf(action)) continue;
    action = casualty.action;
    dueAtMs = casualty.dueAtMs;
  }
  const reasons = casualties.map((casualty) => casualty.reason);
  const { name, pausedByUs } = domain;
  if (pausedByUs === null) return { domain: name, action, dueAtMs, migration: null, reasons };
  const now = { domain: name, dueAtMs: world.nowMs, migration: null };
  if (domain.held) return { ...now, action: "resume", reasons: ["held by an operator"] };
  const endsAtMs = pauseEndsAtMs(world, domain);
  if (endsAtMs !== null && world.nowMs >= endsAtMs) {
    const lasted = formatDuration(endsAtMs - pausedByUs.sinceMs);
    const reason = `paused for ${lasted}, the longest pause allowed`;
    return { ...now, action: "resume", reasons: [reason, ...reasons] };
  }
  // What is paused isn't moved: it waits here, where it can be resumed.
  if (action === "pause" || action === "migrate") return { ...now, action: "pause", reasons };
  // While nothing is usable nobody can tell whether it fits: what is paused stays so, within maxPause.
  if (domain.vnics.some((vnic) => vnic.team !== null && isolated.has(vnic.team))) {
    return { ...now, action: "pause", reasons: ["paused, and no uplink is usable", ...reasons] };
  }
  const reason = "what it wanted before the loss fits again";
  return { ...now, action: "resume", reasons: [reason, ...reasons] };
}
