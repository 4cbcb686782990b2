/** How long planning takes, all single losses included: what the daemon's loop does at every event. */
import { diffKernel } from "../src/diff/diff.ts";
import type { Plan } from "../src/model/plan.ts";
import type { World } from "../src/model/world.ts";
import { planLosses } from "../src/plan/loss.ts";
import { planWorld } from "../src/plan/plan.ts";
import { atMost, type Benchmark, type Goal, type Result, resultOf, timeRuns } from "./result.ts";
import { benchWorld, CROWDS, changeDomain } from "./world.ts";

const DOMAINS = [100, 1000, 10_000];
const UPLINKS = [2, 4, 8];

/** Bounds of the median, milliseconds. */
const GOALS: Readonly<Record<string, Goal>> = {
  "1000 x 4": atMost(10),
  "10000 x 8": atMost(200),
};
const CHANGE_GOALS: Readonly<Record<string, Goal>> = { "10000 x 8": atMost(5) };

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
  const runs = world.domains.length >= 10_000 ? 9 : 31;
  const what = `${crowd} ${size}`;
  const [firstMs = 0, ...warm] = timeRuns(runs, () => planAll(world, null));
  const results = [
    resultOf(`${what}: all anew, first`, "CPU ms", [firstMs]),
    resultOf(`${what}: all anew`, "CPU ms", warm, GOALS[size] ?? null),
  ];
  let now = world;
  let last = planAll(world, null).plan;
  const incremental = Array.from({ length: 2 * runs }, (_, event) => {
    now = changeDomain(now, event);
    const [ms = 0] = timeRuns(1, () => {
      last = planAll(now, last).plan;
    });
    return ms;
  });
  // The first ones compile.
  const goal = CHANGE_GOALS[size] ?? null;
  results.push(resultOf(`${what}: one domain changed`, "CPU ms", incremental.slice(runs), goal));
  if (size in GOALS) results.push(...measureObjects(world, what));
  return results;
}

/** What else a run of the loop does with a plan: the kernel's objects, and what is laid ready for each loss. */
function measureObjects(world: World, what: string): Result[] {
  const times: Record<"objects" | "diff" | "losses", number[]> = {
    objects: [],
    diff: [],
    losses: [],
  };
  for (let round = 0; round < 5; round += 1) {
    const { plan, losses } = planAll(world, null);
    times.objects.push(...timeRuns(1, () => plan.kernel));
    times.diff.push(...timeRuns(1, () => diffKernel(world.kernel, plan.kernel)));
    times.losses.push(
      ...timeRuns(1, () => losses.map((loss) => diffKernel(plan.kernel, loss.plan.kernel))),
    );
  }
  return [
    resultOf(`${what}: the kernel's objects`, "CPU ms", times.objects),
    resultOf(`${what}: their diff with what stands`, "CPU ms", times.diff),
    resultOf(`${what}: the steps for each loss`, "CPU ms", times.losses),
  ];
}

/** What every run of the loop reads of a plan. */
function planAll(world: World, before: Plan | null) {
  const planned = planLosses(world, planWorld(world, before));
  const { vnics, domains, problems, nextWakeAtMs } = planned.plan;
  return { ...planned, read: [vnics, domains, problems, nextWakeAtMs] };
}
