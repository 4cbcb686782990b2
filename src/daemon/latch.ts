/** Demand as it was before a loss: taken when a team degrades, kept until it is whole. */
import type { Mac } from "../model/mac.ts";
import type { TeamPlan } from "../model/plan.ts";
import type { World } from "../model/world.ts";

/**
 * @param before what is latched so far
 * @param conditions the present condition of each team, as planned
 * @returns what is latched from now on
 */
export function latchDemand(
  before: ReadonlyMap<Mac, number>,
  world: World,
  teams: readonly TeamPlan[],
): ReadonlyMap<Mac, number> {
  const next = new Map<Mac, number>();
  const degraded = new Set(
    teams
      .filter((team) => team.condition === "degraded" || team.condition === "isolated")
      .map((team) => team.name),
  );
  for (const domain of world.domains) {
    for (const vnic of domain.vnics) {
      if (vnic.team === null || !degraded.has(vnic.team)) continue;
      const demand = before.get(vnic.mac) ?? vnic.demandBitsPerSecond;
      if (demand !== null) next.set(vnic.mac, demand);
    }
  }
  return next;
}

/** Whether two looks have latched the same. */
export function sameDemand(a: ReadonlyMap<Mac, number>, b: ReadonlyMap<Mac, number>): boolean {
  return a.size === b.size && [...a].every(([mac, demand]) => b.get(mac) === demand);
}
