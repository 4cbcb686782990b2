/**
 * Runs what can be measured on the machine itself, without a lab's slowness: in a network namespace of its own.
 *
 *   unshare --net node bench/lab/here.ts FILE
 */
import { writeFileSync } from "node:fs";
import { atMost, type Result } from "../result.ts";
import { measureIdleHere } from "./idle.ts";
import { machine } from "./place.ts";
import { programming } from "./programming.ts";
import { reaction } from "./reaction.ts";
import { speed } from "./speed.ts";
import { measureSampling } from "./statistics.ts";

/** 2 % of a core, once a second. */
const MOST_SAMPLE_MS = 20;
/** vNICs, and rounds: five thousand keep the kernel busy for a minute each time. */
const FLEETS = [
  [1000, 9],
  [5000, 3],
] as const;

const [file = ""] = process.argv.slice(2);
const results: Record<string, readonly Result[]> = {
  // First, while there is nothing of ours that a daemon would look at.
  idle: await measureIdleHere(),
  reaction: await reaction.run(),
};
await machine.prepare();
const prepared = { ...machine, prepare: async () => undefined };
results["machine"] = [
  ...(await measureSampling(prepared, atMost(MOST_SAMPLE_MS))),
  speed("on the machine itself"),
];
for (const [vnics, rounds] of FLEETS) {
  const benchmark = programming(vnics, rounds, prepared);
  results[`${benchmark.name}-here`] = await benchmark.run();
  writeFileSync(file, JSON.stringify(results));
}
process.exit(0);
