/** What a loss would bring, once it is settled: the planner asked about a world that isn't. */
import type { Plan } from "../model/plan.ts";
import type { World } from "../model/world.ts";
import { applied, withLoss } from "./loss.ts";
import { planWorld } from "./plan.ts";

export interface Simulation {
  /** Without the loss. */
  readonly before: Plan;
  /** With it, grace times elapsed and all that is due done. */
  readonly after: Plan;
}

/** Longer than any grace time, milliseconds (units.ts: 30 days are the longest duration). */
const ALL_GRACE_MS = 31 * 24 * 3600e3;

/**
 * Plans the world as it is, applies that plan, then the losses.
 * @param failed names of uplinks of the world's only team; empty: nothing is lost
 */
export function simulateLoss(world: World, failed: readonly string[]): Simulation {
  const present = { ...world, hypothetical: true };
  const before = planWorld(present);
  const [team] = world.teams;
  if (failed.length === 0 || team === undefined) return { before, after: before };
  const lost = withLoss(applied(present, before), team.config.name, failed);
  return { before, after: planWorld({ ...lost, nowMs: lost.nowMs + ALL_GRACE_MS }) };
}
