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
/** Events before one counts: a daemon has seen more by the time it has so many domains. */
const WARM_EVENTS = 40;

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
  const yardstick = resultOf("", "", timeRuns(runs, workOnYardstick)).median;
  const [firstMs = 0, ...warm] = timeRuns(runs, () => planAll(world, null));
  const results = [
    resultOf(`${what}: all anew, first`, "CPU ms", [firstMs]),
    resultOf(`${what}: all anew`, "CPU ms", warm, GOALS[size] ?? null),
  ];
  let now = world;
  let last = planAll(world, null).plan;
  const incremental = Array.from({ length: WARM_EVENTS + 31 }, (_, event) => {
    now = changeDomain(now, event);
    const [ms = 0] = timeRuns(1, () => {
      last = planAll(now, last).plan;
    });
    return ms;
  });
  const changed = incremental.slice(WARM_EVENTS);
  const goal = CHANGE_GOALS[size] ?? null;
  results.push(resultOf(`${what}: one domain changed`, "CPU ms", changed, goal));
  // Below some milliseconds the kernel's ticks are all that there is.
  if (!(size in GOALS)) return results;
  const ratio = (of: string, values: readonly number[]) =>
    resultOf(
      `${what}: ${of} / yardstick`,
      "ratio",
      values.map((ms) => ms / yardstick),
    );
  results.push(ratio("all anew", warm), ratio("one domain changed", changed));
  return [...results, ...measureObjects(world, what, runs, yardstick)];
}

/** What else a run of the loop does with a plan: the kernel's objects, and what is laid ready for each loss. */
function measureObjects(world: World, what: string, runs: number, yardstick: number): Result[] {
  const anew = planAll(world, null).plan;
  const results = [
    resultOf(
      `${what}: the kernel's objects, all anew`,
      "CPU ms",
      timeRuns(1, () => anew.kernel),
    ),
    resultOf(
      `${what}: their diff with another's, all looked at`,
      "CPU ms",
      timeRuns(3, () => diffKernel(new Map(anew.kernel), anew.kernel)),
    ),
  ];
  const times: Record<"objects" | "diff" | "losses", number[]> = {
    objects: [],
    diff: [],
    losses: [],
  };
  let now: World = { ...world, kernel: anew.kernel };
  let last = anew;
  for (let event = 0; event < 2 * runs; event += 1) {
    now = changeDomain(now, event);
    const { plan, losses } = planAll(now, last);
    times.objects.push(...timeRuns(1, () => plan.kernel));
    times.diff.push(...timeRuns(1, () => diffKernel(now.kernel, plan.kernel)));
    times.losses.push(
      ...timeRuns(1, () => losses.map((loss) => diffKernel(plan.kernel, loss.plan.kernel))),
    );
    now = { ...now, kernel: plan.kernel };
    last = plan;
  }
  const late = (values: readonly number[]) => values.slice(runs);
  return [
    ...results,
    resultOf(`${what}: one domain changed, the kernel's objects`, "CPU ms", late(times.objects)),
    resultOf(`${what}: one domain changed, their diff`, "CPU ms", late(times.diff)),
    resultOf(`${what}: one domain changed, the steps for each loss`, "CPU ms", late(times.losses)),
    resultOf(
      `${what}: one domain changed, the steps for each loss / yardstick`,
      "ratio",
      late(times.losses).map((ms) => ms / yardstick),
    ),
  ];
}

/** A fixed piece of work of the planner's kind, by which different machines are compared: strings, a map, columns. */
function workOnYardstick(): number {
  const found = new Map<string, number>();
  for (let index = 0; index < 40_000; index += 1) found.set(`class eno1 7570:${index}`, index);
  const column = new Float64Array(400_000);
  let total = 0;
  for (let index = 0; index < column.length; index += 1) {
    column[index] = (index * 7919) % 40_009;
    total += found.get("class eno1 7570:17") === 17 ? (column[index] as number) : 0;
  }
  return total;
}

/** What every run of the loop reads of a plan. */
function planAll(world: World, before: Plan | null) {
  const planned = planLosses(world, planWorld(world, before));
  const { vnics, domains, problems, nextWakeAtMs } = planned.plan;
  return { ...planned, read: [vnics, domains, problems, nextWakeAtMs] };
}
