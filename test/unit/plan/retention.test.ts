import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { benchWorld, CROWDS, changeDomain } from "../../../bench/world.ts";
import { diffKernel } from "../../../src/diff/diff.ts";
import type { Plan } from "../../../src/model/plan.ts";
import type { World } from "../../../src/model/world.ts";
import { planLosses, withLoss } from "../../../src/plan/loss.ts";
import { planWorld } from "../../../src/plan/plan.ts";

const VNICS = 200;
const UPLINKS = 4;
const EARLY_RUNS = 150;
const RUNS = 450;
/** Plans that kept those before them added 10 kB a run: 3 MB. */
const MOST_GROWTH_BYTES = 600_000;

/** Plans as the loop does, and reads what the loop reads. */
function planAsTheLoop(world: World, before: Plan | null): Plan {
  const { plan, losses } = planLosses(world, planWorld(world, before));
  diffKernel(world.kernel, plan.kernel);
  for (const loss of losses) diffKernel(plan.kernel, loss.plan.kernel);
  void [plan.vnics, plan.domains, plan.problems, plan.nextWakeAtMs];
  return plan;
}

describe("a plan", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const usedBytes = () => {
    for (let round = 0; round < 2; round += 1) collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const roomy = benchWorld(VNICS, UPLINKS, CROWDS.roomy);
  const crowded = benchWorld(VNICS, UPLINKS, CROWDS.crowded);
  const lost = (world: World) => withLoss(world, "bond0", ["eno2"]);

  for (const [what, first, changesEvery] of [
    ["nothing changes", roomy, 0],
    ["nothing changes where not all fits", crowded, 0],
    ["nothing changes after a loss", lost(roomy), 0],
    ["nothing changes after a loss where not all fits", lost(crowded), 0],
    ["something changes now and then", roomy, 10],
    ["something changes at every run", roomy, 1],
  ] as const) {
    it(`keeps nothing of those before it while ${what}`, () => {
      let world: World = first;
      let plan: Plan | null = null;
      let earlyBytes = 0;
      for (let run = 0; run < RUNS; run += 1) {
        if (run === EARLY_RUNS) earlyBytes = usedBytes();
        const changes = changesEvery > 0 && run % changesEvery === 0;
        world = changes ? changeDomain(world, run) : { ...world, nowMs: world.nowMs + 1000 };
        plan = planAsTheLoop(world, plan);
        world = { ...world, kernel: plan.kernel };
      }
      const grownBytes = usedBytes() - earlyBytes;
      assert.ok(grownBytes < MOST_GROWTH_BYTES, `${Math.round(grownBytes / 1000)} kB more in use`);
      assert.ok(plan !== null);
    });
  }
});
