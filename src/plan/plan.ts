/**
 * The planner: pure and total. The same world gives the same plan; it reads no clock, no file and no kernel.
 * docs/architecture.md shows how its parts follow each other.
 */
import type { Problem } from "../model/domain.ts";
import type { KernelObject } from "../model/kernel.ts";
import type { DomainAction, DomainPlan, Plan, VnicPlan } from "../model/plan.ts";
import { formatDuration, formatRate } from "../model/units.ts";
import type { DomainState, World } from "../model/world.ts";
import { pauseEndsAtMs } from "./pause.ts";
import { type DueCasualty, planTeam } from "./team.ts";

/** Plans for the world as it is. */
export function planWorld(world: World): Plan {
  const results = world.teams.map((team) => planTeam(world, team));
  const casualties = new Map<string, DueCasualty[]>();
  for (const casualty of results.flatMap((result) => result.casualties)) {
    const found = casualties.get(casualty.domain.name);
    if (found === undefined) casualties.set(casualty.domain.name, [casualty]);
    else found.push(casualty);
  }
  const isolated = new Set(
    results.flatMap(({ team }) => (team.condition === "isolated" ? [team.name] : [])),
  );
  const wakes = [
    ...results.map((result) => result.nextWakeAtMs),
    ...world.domains.map((domain) => pauseEndsAtMs(world, domain)),
  ].filter((at) => at !== null && at > world.nowMs) as number[];
  let kernel: Map<string, KernelObject> | null = null;
  return {
    teams: results.map((result) => result.team),
    vnics: results.flatMap((result) => result.vnics),
    domains: world.domains.map((domain) =>
      planDomain(world, domain, casualties.get(domain.name) ?? [], isolated),
    ),
    // Made when first asked for: of most plans for losses only the grants are ever looked at.
    get kernel() {
      if (kernel === null) {
        kernel = new Map();
        for (const result of results) result.addObjects(kernel);
      }
      return kernel;
    },
    nextWakeAtMs: wakes.length === 0 ? null : Math.min(...wakes),
    problems: [
      ...world.domains.flatMap(unshaped),
      ...unmetReservations(
        world,
        results.flatMap((result) => result.vnics),
      ),
    ],
  };
}

/** Mildest first; of several teams' wishes for a domain the strongest holds. */
const STRENGTH: readonly DomainAction[] = ["none", "throttle", "discard", "pause", "migrate"];

function planDomain(
  world: World,
  domain: DomainState,
  casualties: readonly DueCasualty[],
  isolated: ReadonlySet<string>,
): DomainPlan {
  let action: DomainAction = "none";
  let dueAtMs = world.nowMs;
  for (const casualty of casualties) {
    if (STRENGTH.indexOf(casualty.action) <= STRENGTH.indexOf(action)) continue;
    action = casualty.action;
    dueAtMs = casualty.dueAtMs;
  }
  const reasons = casualties.map((casualty) => casualty.reason);
  const { name, pausedByUs } = domain;
  if (pausedByUs === null) return { domain: name, action, dueAtMs, reasons };
  const now = { domain: name, dueAtMs: world.nowMs };
  if (domain.held) return { ...now, action: "resume", reasons: ["held by an operator"] };
  const endsAtMs = pauseEndsAtMs(world, domain);
  if (endsAtMs !== null && world.nowMs >= endsAtMs) {
    const lasted = formatDuration(endsAtMs - pausedByUs.sinceMs);
    const reason = `paused for ${lasted}, the longest pause allowed`;
    return { ...now, action: "resume", reasons: [reason, ...reasons] };
  }
  if (action === "pause" || action === "migrate") return { ...now, action: "pause", reasons };
  // While nothing is usable nobody can tell whether it fits: what is paused stays so, within maxPause.
  if (domain.vnics.some((vnic) => vnic.team !== null && isolated.has(vnic.team))) {
    return { ...now, action: "pause", reasons: ["paused, and no uplink is usable", ...reasons] };
  }
  const reason = "what it wanted before the loss fits again";
  return { ...now, action: "resume", reasons: [reason, ...reasons] };
}

function unshaped(domain: DomainState): Problem[] {
  return domain.vnics.flatMap((vnic) =>
    vnic.unshapedReason === null
      ? []
      : [
          {
            object: `domain ${domain.name} ${vnic.mac}`,
            message: `not shaped: ${vnic.unshapedReason}`,
            remedy: "",
          },
        ],
  );
}

/** Rates are whole bytes per second, and a few bits are set aside for each class; less than this is no breach. */
const ROUNDING_PART = 0.001;

/** Reservations that don't fit where their vNIC is carried: the VM runs all the same, and it is said. */
function unmetReservations(world: World, vnics: readonly VnicPlan[]): Problem[] {
  const promised = new Map(
    world.domains.flatMap((domain) =>
      domain.vnics.map(
        (vnic) => [vnic.mac, vnic.policy.bandwidth.reservationBitsPerSecond] as const,
      ),
    ),
  );
  return vnics.flatMap((vnic) => {
    const reservation = promised.get(vnic.mac) ?? 0;
    const grant = vnic.classes.find((entry) => entry.uplink === vnic.via);
    if (grant === undefined) return [];
    if (grant.reservationBitsPerSecond >= reservation * (1 - ROUNDING_PART)) return [];
    const granted = formatRate(grant.reservationBitsPerSecond);
    return [
      {
        object: `domain ${vnic.domain} ${vnic.mac}`,
        message: `its reservation of ${formatRate(reservation)} does not fit on ${vnic.via}: it has ${granted}`,
        remedy: "lower reservations, spread them by placement, or add an uplink",
      },
    ];
  });
}
