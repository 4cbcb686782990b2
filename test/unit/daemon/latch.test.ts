import assert from "node:assert/strict";
import { latchDemand } from "../../../src/daemon/latch.ts";
import type { Mac } from "../../../src/model/mac.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, MBIT, macOf, NOW } from "../world.ts";

const NONE: ReadonlyMap<Mac, number> = new Map();
const at = (demand: number | null, carrier: boolean) => {
  const world = buildWorld({
    uplinks: [
      { name: "eno1", carrier, bondUp: carrier, lostAtMs: carrier ? null : NOW },
      { name: "eno2" },
    ],
    domains: [{ name: "web1", vnics: [{ demand, home: "eno1" }] }],
  });
  return { world, teams: planWorld(world).teams };
};
const latch = (before: ReadonlyMap<Mac, number>, state: ReturnType<typeof at>) =>
  latchDemand(before, state.world, state.teams);

describe("demand before a loss", () => {
  it("is taken when the team degrades, and kept whatever the guest then sends", () => {
    assert.deepEqual(latch(NONE, at(9 * MBIT, true)), new Map());
    const taken = latch(NONE, at(9 * MBIT, false));
    assert.deepEqual(taken, new Map([[macOf(0), 9 * MBIT]]));
    assert.deepEqual(latch(taken, at(1 * MBIT, false)), taken, "backing off isn't relief");
    assert.deepEqual(latch(taken, at(null, false)), taken, "nor is being paused");
  });

  it("is let go when the team is whole again", () => {
    const taken = latch(NONE, at(9 * MBIT, false));
    assert.deepEqual(latch(taken, at(9 * MBIT, true)), new Map());
  });

  it("is not guessed where it was never measured", () => {
    assert.deepEqual(latch(NONE, at(null, false)), new Map());
  });
});
