/** What the path of a lost link allocates, and what the collector takes of it: no socket but route netlink's, no rights. */
import { fork } from "node:child_process";
import { runtimeOfUnit } from "../test/lab/daemon.ts";
import { type Benchmark, type Result, resultOf } from "./result.ts";

/** What the measured process tells of one size of host. */
export interface FailoverReport {
  readonly vnics: number;
  readonly messages: number;
  /** The first reaction of the process, before anything was warmed; each later one. Milliseconds. */
  readonly firstMs: number;
  readonly warmMs: readonly number[];
  /** Each the first after the program's pages were let go, as the daemon does after a burst. */
  readonly unmappedMs: readonly number[];
  /** By each reaction, without those in which something was collected. */
  readonly allocatedBytes: readonly number[];
  /** Of each collection meanwhile, milliseconds; and in how many reactions. */
  readonly collectionMs: readonly number[];
  readonly reactions: number;
  /** Functions that allocate most by a reaction, by the sampling heap profile. */
  readonly allocators: readonly { readonly name: string; readonly bytes: number }[];
}

export const failover: Benchmark = { name: "failover", run };

async function run(): Promise<Result[]> {
  const results: Result[] = [];
  for (const [vnics, crowd] of SIZES) {
    // A process each: the first reaction is cold only once.
    const child = fork(new URL("failover-path.ts", import.meta.url), [String(vnics), crowd], {
      execArgv: ["--expose-gc", ...runtimeOfUnit().flags],
      env: { ...process.env, ...runtimeOfUnit().environment },
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const report = await new Promise<FailoverReport>((resolve, reject) => {
      child.on("message", (message) => resolve(message as FailoverReport));
      child.on("exit", (code) => reject(new Error(`the measured process ended with ${code}`)));
    });
    results.push(...tell(report));
  }
  return results;
}

const SIZES = [
  [100, "roomy"],
  [1000, "roomy"],
  [1000, "crowded"],
] as const;

function tell(report: FailoverReport): Result[] {
  const { vnics, messages, reactions, collectionMs } = report;
  const what = `${vnics} vNICs, ${messages} messages`;
  const all = collectionMs.reduce((sum, ms) => sum + ms, 0);
  return [
    resultOf(`${what}: a reaction, cold`, "ms", [report.firstMs]),
    resultOf(`${what}: a reaction, warmed`, "ms", report.warmMs),
    resultOf(`${what}: the first after the program's pages were let go`, "ms", report.unmappedMs),
    resultOf(
      `${what}: a reaction allocates`,
      "kB",
      report.allocatedBytes.map((bytes) => bytes / 1000),
    ),
    ...report.allocators.map(({ name, bytes }) =>
      resultOf(`${what}: of it by ${name}`, "kB", [bytes / 1000]),
    ),
    resultOf(`${what}: collections in ${reactions} reactions`, "", [collectionMs.length]),
    resultOf(`${what}: collecting, for each reaction`, "ms", [all / reactions]),
    resultOf(`${what}: the longest collection`, "ms", [Math.max(0, ...collectionMs)]),
  ];
}
