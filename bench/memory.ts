/** Memory of a process that plans for 1,000 vNICs, and whether it grows with the events that it has seen. */
import { fork } from "node:child_process";
import { bundleForLab } from "../test/lab/bundle.ts";
import { runtimeOfUnit } from "../test/lab/daemon.ts";
import { atMost, type Benchmark, type Result, resultOf } from "./result.ts";

const MB = 1e6;

/** What the measured process tells. */
export interface MemoryReport {
  readonly residentBytes: number;
  /** In use after a collection: after the first events, and after all. */
  readonly earlyBytes: number;
  readonly lateBytes: number;
  readonly events: number;
}

export const memory: Benchmark = { name: "memory", run };

async function run(): Promise<Result[]> {
  // Plain JavaScript, as the daemon is: what strips types would be measured, too.
  const { programs, remove } = await bundleForLab(["bench/memory-events.ts"]);
  const child = fork(programs[0] ?? "", {
    execArgv: ["--expose-gc", ...runtimeOfUnit().flags],
    env: { ...process.env, ...runtimeOfUnit().environment },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const report = await new Promise<MemoryReport>((resolve, reject) => {
    child.on("message", (message) => resolve(message as MemoryReport));
    child.on("exit", (code) => reject(new Error(`the measured process ended with ${code}`)));
  }).finally(remove);
  const grownBytes = report.lateBytes - report.earlyBytes;
  return [
    resultOf(
      "resident, planner with 1,000 vNICs x 4",
      "MB",
      [report.residentBytes / MB],
      atMost(90),
    ),
    resultOf("heap in use after a collection", "MB", [report.lateBytes / MB]),
    resultOf(`its growth over ${report.events} events`, "MB", [grownBytes / MB], atMost(1)),
  ];
}
