/** Memory of a process that plans for 1,000 vNICs, and whether it grows with the events that it has seen. */
import { fork } from "node:child_process";
import { bundleForLab } from "../test/lab/bundle.ts";
import { runtimeOfUnit } from "../test/lab/daemon.ts";
import { atMost, type Benchmark, type Result, resultOf } from "./result.ts";

const MB = 1e6;
/** The compiler's own notes come and go by more than that; a leak of two bytes an event would show. */
const MOST_GROWTH_MB = 2;

/** What the measured process tells. */
export interface MemoryReport {
  readonly residentBytes: number;
  /** In use after a collection: after the first events, and after all. */
  readonly earlyBytes: number;
  readonly lateBytes: number;
}

export const memory: Benchmark = { name: "memory", run };

/** A host of the goal's size; and as many events as the goal names, on one so small that they take minutes. */
const HOSTS = [
  { vnics: 1000, uplinks: 4, events: 3000 },
  { vnics: 10, uplinks: 2, events: 1_000_000 },
] as const;

async function run(): Promise<Result[]> {
  // Plain JavaScript, as the daemon is: what strips types would be measured, too.
  const { programs, remove } = await bundleForLab(["bench/memory-events.ts"]);
  try {
    const results: Result[] = [];
    for (const host of HOSTS) results.push(...(await measure(programs[0] ?? "", host)));
    return results;
  } finally {
    remove();
  }
}

async function measure(program: string, host: (typeof HOSTS)[number]): Promise<Result[]> {
  const { vnics, uplinks, events } = host;
  const child = fork(program, [vnics, uplinks, events].map(String), {
    execArgv: ["--expose-gc", ...runtimeOfUnit().flags],
    env: { ...process.env, ...runtimeOfUnit().environment },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const report = await new Promise<MemoryReport>((resolve, reject) => {
    child.on("message", (message) => resolve(message as MemoryReport));
    child.on("exit", (code) => reject(new Error(`the measured process ended with ${code}`)));
  });
  const what = `planner with ${vnics} vNICs x ${uplinks}`;
  const grownBytes = report.lateBytes - report.earlyBytes;
  const goal = vnics >= 1000 ? atMost(90) : null;
  return [
    resultOf(`resident, ${what}`, "MB", [report.residentBytes / MB], goal),
    resultOf(`${what}: heap in use after a collection`, "MB", [report.lateBytes / MB]),
    resultOf(
      `${what}: its growth over ${events} events`,
      "MB",
      [grownBytes / MB],
      atMost(MOST_GROWTH_MB),
    ),
  ];
}
