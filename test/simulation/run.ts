/**
 * Simulates many histories, or one again: npm run test:simulation -- --seeds 1000 --events 1000, or --seed S. Seeds are
 * lived through by as many processes as there are processors (--workers N). A history that breaks an invariant is shrunk
 * and printed; the exit code is 1 then.
 */
import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Lived, Task } from "./worker.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    first: { type: "string", default: "1" },
    seeds: { type: "string", default: "100" },
    events: { type: "string", default: "1000" },
    workers: { type: "string", default: String(availableParallelism()) },
    "keep-going": { type: "boolean", default: false },
    shrink: { type: "boolean", default: true },
  },
  allowNegative: true,
});
const count = Number(values.events);
const first = Number(values.seed ?? values.first);
const seeds = values.seed === undefined ? Number(values.seeds) : 1;

/** Most of what a history makes is gone at once: a larger nursery makes V8 look for it less often. */
const NURSERY = ["--min-semi-space-size=16", "--max-semi-space-size=16"];
/** How often it is said how far it came, milliseconds. */
const PROGRESS_MS = 60_000;

let events = 0;
let failed = 0;
let lived = 0;
let next = first;
let stopped = false;
const startedAtMs = performance.now();
// Who is tired of waiting is told how far it came.
process.on("SIGINT", () => {
  stopped = true;
});
const progress = setInterval(tell, PROGRESS_MS);

const workers = Math.min(seeds, Math.max(1, Number(values.workers)));
await Promise.all(Array.from({ length: workers }, work));
clearInterval(progress);
tell();
process.exitCode = failed === 0 ? 0 : 1;

/** One process, and seeds for it until there are no more. */
async function work(): Promise<void> {
  const worker = fork(join(import.meta.dirname, "worker.ts"), { execArgv: NURSERY });
  while (!stopped && next < first + seeds) {
    const seed = next;
    next += 1;
    const result = await give(worker, { seed, count, shrink: values.shrink });
    events += result.lived;
    lived += 1;
    if (result.violation === null) continue;
    failed += 1;
    const { invariant, what } = result.violation;
    console.log(`seed ${seed}: ${invariant}: ${what} (after ${result.lived} events)`);
    for (const event of result.shortened) console.log(`  ${event}`);
    console.log(`  again: npm run test:simulation -- --seed ${seed} --events ${count}`);
    if (!values["keep-going"]) stopped = true;
  }
  worker.disconnect();
}

function give(worker: ChildProcess, task: Task): Promise<Lived> {
  return new Promise((resolve, reject) => {
    const died = (code: number | null) =>
      reject(new Error(`seed ${task.seed}: its process ended with ${code ?? "a signal"}`));
    worker.once("exit", died);
    worker.once("message", (answer: Lived) => {
      worker.off("exit", died);
      resolve(answer);
    });
    worker.send(task);
  });
}

function tell(): void {
  const seconds = (performance.now() - startedAtMs) / 1000;
  const rate = Math.round(events / seconds);
  console.log(
    `${events} events over ${lived} seeds in ${seconds.toFixed(1)} s, ${rate} a second; ${failed} seeds failed`,
  );
}
