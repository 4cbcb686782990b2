/** What it costs to watch a thousand vNICs, and what a daemon costs that has nothing to do. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { diffKernel } from "../../src/diff/diff.ts";
import { NO_LOADS, observeLoads } from "../../src/observe/demand.ts";
import { resetToBare } from "../../test/lab/bare.ts";
import { startDaemon } from "../../test/lab/daemon.ts";
import { labConfig, startGuest } from "../../test/lab/guests.ts";
import { buildHost, uplinkNames } from "../../test/lab/host.ts";
import { type Benchmark, type Goal, type Result, resultOf } from "../result.ts";
import { clearKernel, fleetPlan } from "./fleet.ts";
import { TICKS_PER_SECOND, ticksOf } from "./idle.ts";
import { refuseNone, withKernel } from "./open-kernel.ts";
import { lab, type Place } from "./place.ts";
import { speed } from "./speed.ts";

const VNICS = 1000;
const SAMPLES = 25;
const SAMPLE_MS = 1000;
const PLACE = { team: "bond0", windowMs: 10_000 };
/** Samples until the compiler has taken notice. */
const WARM = 5;
const IDLE_MS = 30_000;

export const statistics: Benchmark = {
  name: "statistics",
  run: async () => {
    return [...(await measureSampling(lab, null)), ...(await measureIdle()), speed("in the lab")];
  },
};

/** The daemon's own sampling (ControlLoop.sample), once a second. */
export async function measureSampling(place: Place, goal: Goal | null): Promise<readonly Result[]> {
  await place.prepare();
  clearKernel();
  const teams = [{ bond: "bond0", ports: uplinkNames() }];
  return withKernel(async (kernel) => {
    const { kernel: wanted } = fleetPlan(kernel.readLinks(), { vnics: VNICS });
    refuseNone(await kernel.apply(diffKernel(new Map(), place.select(wanted))));
    let loads = NO_LOADS;
    const [all, user]: [number[], number[]] = [[], []];
    for (let count = 0; count < WARM + SAMPLES; count += 1) {
      await sleep(SAMPLE_MS);
      const before = process.cpuUsage();
      kernel.readLinks();
      const counters = kernel.readCounters(teams);
      loads = observeLoads(loads, counters, () => PLACE, performance.now());
      const used = process.cpuUsage(before);
      if (count < WARM) continue;
      if (loads.loads.size < VNICS) {
        throw new Error(`only ${loads.loads.size} classes were counted`);
      }
      all.push((used.user + used.system) / 1000);
      user.push(used.user / 1000);
    }
    const what = `a sample of ${VNICS} vNICs on ${uplinkNames().length} uplinks, ${place.words}`;
    return [
      resultOf(`${what}: processor time`, "ms", all, goal),
      resultOf(`${what}: of it in user space`, "ms", user),
    ];
  });
}

/** A daemon with one vNIC and nothing to do, over time. */
async function measureIdle(): Promise<readonly Result[]> {
  await resetToBare();
  await buildHost();
  const daemon = await startDaemon({ config: labConfig() });
  startGuest(1, "quiet", "");
  await sleep(5000);
  const [ticksBefore, wakesBefore] = [ticksOf(daemon.pid), wakesOf(daemon.pid)];
  await sleep(IDLE_MS);
  const seconds = IDLE_MS / 1000;
  const share = ((ticksOf(daemon.pid) - ticksBefore) / TICKS_PER_SECOND / seconds) * 100;
  const wakes = ((wakesOf(daemon.pid) - wakesBefore) / seconds) * 60;
  await daemon.kill();
  return [
    resultOf("an idle daemon, in the lab", "% of a core", [share]),
    resultOf("an idle daemon: wake-ups of all its threads", "a minute", [wakes]),
  ];
}

/** How often its threads have waited for something and been woken since they began. */
function wakesOf(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((task) => readFileSync(`/proc/${pid}/task/${task}/status`, "latin1"))
    .map((status) => Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1] ?? 0))
    .reduce((sum, count) => sum + count, 0);
}
