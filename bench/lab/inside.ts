/**
 * Runs benchmarks inside the lab and writes their results where run.ts finds them.
 *
 *   node bench/lab/inside.ts FILE NAME...
 */
import { writeFileSync } from "node:fs";
import { type Benchmark, formatResults, type Result } from "../result.ts";
import { frames, vswitchFrames } from "./frames.ts";
import { losses } from "./losses.ts";
import { lab } from "./place.ts";
import { programming } from "./programming.ts";
import { pulls, vswitchPulls } from "./pulls.ts";
import { resident } from "./resident.ts";
import { highPriority, shaping } from "./shaping.ts";
import { statistics } from "./statistics.ts";

const BENCHMARKS: readonly Benchmark[] = [
  programming(1000, 5, lab),
  programming(5000, 3, lab),
  pulls,
  vswitchPulls,
  losses,
  frames,
  vswitchFrames,
  statistics,
  resident,
  shaping,
  highPriority,
];

const [file = "", ...names] = process.argv.slice(2);
const results: Record<string, readonly Result[]> = {};
let exitCode = 0;
for (const name of names) {
  const benchmark = BENCHMARKS.find((candidate) => candidate.name === name);
  if (benchmark === undefined) throw new Error(`no benchmark ${name}`);
  try {
    results[name] = await benchmark.run();
    console.log(formatResults(results[name]));
  } catch (error) {
    console.log(`${name} failed: ${error instanceof Error ? error.stack : String(error)}`);
    exitCode = 1;
  }
  // After each, so that one that fails doesn't take the others with it.
  writeFileSync(file, JSON.stringify(results));
}
// Whatever a benchmark left running ends with the lab.
process.exit(exitCode);
