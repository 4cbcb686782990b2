/** Remembers by team when a vNIC last moved, and since when moves wait. Pure: memory in, memory out. */
import type { Plan } from "../model/plan.ts";
import type { MoveMemory } from "./moves.ts";

export interface BalanceMemory {
  readonly lastMoveAtMs: ReadonlyMap<string, number>;
  readonly movesWaitSinceMs: ReadonlyMap<string, number>;
}

export const NO_BALANCE: BalanceMemory = { lastMoveAtMs: new Map(), movesWaitSinceMs: new Map() };

/** Takes a plan that is being enforced. @param moves of each vNIC, this plan's included */
export function observeBalance(
  memory: BalanceMemory,
  plan: Plan,
  moves: MoveMemory,
  nowMs: number,
): BalanceMemory {
  const lastMoveAtMs = new Map<string, number>();
  const movesWaitSinceMs = new Map<string, number>();
  for (const { name, balance } of plan.teams) {
    const last = memory.lastMoveAtMs.get(name);
    if (last !== undefined) lastMoveAtMs.set(name, last);
    if (balance?.moves.some(({ state }) => state === "waiting") === true)
      movesWaitSinceMs.set(name, memory.movesWaitSinceMs.get(name) ?? nowMs);
  }
  for (const { mac, team } of plan.vnics) {
    const atMs = moves.get(mac)?.at(-1)?.atMs;
    if (atMs !== undefined && atMs > (lastMoveAtMs.get(team) ?? Number.NEGATIVE_INFINITY))
      lastMoveAtMs.set(team, atMs);
  }
  return { lastMoveAtMs, movesWaitSinceMs };
}
