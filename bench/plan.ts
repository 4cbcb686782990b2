/** How long planning takes, all single losses included: what the daemon's loop does at every event. */
import { diffKernel } from "../src/diff/diff.ts";
import type { World } from "../src/model/world.ts";
import { planLosses } from "../src/plan/loss.ts";
import { planWorld } from "../src/plan/plan.ts";
import { type Benchmark, type Result, resultOf, timeRuns } from "./result.ts";
import { benchWorld, CROWDS } from "./world.ts";

const DOMAINS = [100, 1000, 10_000];
const UPLINKS = [2, 4, 8];

/** Bounds of the median, milliseconds. */
const GOALS: Readonly<Record<string, number>> = { "1000 x 4": 10, "10000 x 8": 200 };

export const plan: Benchmark = { name: "plan", run };

async function run(): Promise<Result[]> {
  return (["roomy", "crowded"] as const).flatMap((crowd) =>
    DOMAINS.flatMap((domains) =>
      UPLINKS.flatMap((uplinks) => {
        const world = benchWorld(domains, uplinks, CROWDS[crowd]);
        return measure(world, `${domains} x ${uplinks}`, crowd);
      }),
    ),
  );
}

function measure(world: World, size: string, crowd: string): Result[] {
  const [firstMs = 0, ...warm] = timeRuns(runsFor(world), () =>
    planLosses(world, planWorld(world)),
  );
  const armed = timeRuns(3, () => {
    const { plan, losses } = planLosses(world, planWorld(world));
    diffKernel(world.kernel, plan.kernel);
    for (const loss of losses) diffKernel(plan.kernel, loss.plan.kernel);
  });
  const what = `${crowd} ${size}`;
  return [
    resultOf(`${what}: plan and losses, first`, "ms", [firstMs]),
    resultOf(`${what}: plan and losses, warm`, "ms", warm, GOALS[size] ?? null),
    resultOf(`${what}: with kernel objects and all diffs`, "ms", armed),
  ];
}

function runsFor(world: World): number {
  return world.domains.length >= 10_000 ? 6 : 21;
}
