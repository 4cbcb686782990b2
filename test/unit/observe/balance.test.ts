import assert from "node:assert/strict";
import type { Plan } from "../../../src/model/plan.ts";
import { NO_BALANCE, observeBalance } from "../../../src/observe/balance.ts";
import { observeMoves } from "../../../src/observe/moves.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, GBIT, macOf, NOW } from "../world.ts";

const worldOf = (backlogBytes: number) =>
  buildWorld({
    uplinks: [{ name: "eno1" }, { name: "eno2" }],
    config: { rebalance: { mode: "on", threshold: 0.1, coolDownMs: 300_000 } },
    domains: ["a", "b"].map((name) => ({
      name,
      vnics: [{ home: "eno1", demand: 4 * GBIT, backlogBytes }],
    })),
  });

describe("the memory of what evens out load", () => {
  it("keeps the moment from which moves wait, until none does", () => {
    const waiting = planWorld(worldOf(20_000));
    const since = (plan: Plan, memory = NO_BALANCE, nowMs = NOW) =>
      observeBalance(memory, plan, new Map(), nowMs);
    const first = since(waiting);
    assert.deepEqual([...first.movesWaitSinceMs], [["bond0", NOW]]);
    assert.deepEqual([...since(waiting, first, NOW + 100).movesWaitSinceMs], [["bond0", NOW]]);
    assert.equal(since(planWorld(worldOf(0)), first, NOW + 200).movesWaitSinceMs.size, 0);
  });

  it("keeps a move, its story and its moment for as long as the cool-down lasts", () => {
    const world = worldOf(0);
    const plan = planWorld(world);
    const moves = observeMoves(new Map(), world, null, plan);
    const [move] = moves.get(macOf(0)) ?? moves.get(macOf(1)) ?? [];
    assert.match(move?.story ?? "", /from eno1 to eno2/);
    const balance = observeBalance(NO_BALANCE, plan, moves, NOW);
    assert.deepEqual([...balance.lastMoveAtMs], [["bond0", NOW]]);
    const later = (seconds: number) =>
      observeMoves(moves, { ...world, nowMs: NOW + seconds * 1000 }, plan, plan);
    assert.equal(later(299).get(macOf(0)) ?? later(299).get(macOf(1)), [...moves.values()][0]);
    assert.equal(later(300).size, 0);
    const still = observeBalance(balance, plan, new Map(), NOW + 600_000);
    assert.deepEqual([...still.lastMoveAtMs], [["bond0", NOW]]);
  });
});
