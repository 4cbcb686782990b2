/**
 * `npm run bench [-- --only NAME,... --json FILE]`: runs the benchmarks, tells their figures, and which ratios are
 * worse than those of bench/results/bench.json. `--json bench/results/bench.json` makes what was measured the new
 * measure. Ends with 1 if a goal is missed or a ratio has become worse.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { parseArgs } from "node:util";
import { failover } from "./failover.ts";
import { hook } from "./hook.ts";
import { memory } from "./memory.ts";
import { plan } from "./plan.ts";
import { findRegressions, tellRegressions } from "./regression.ts";
import { type Benchmark, formatResults, type Result } from "./result.ts";

const BENCHMARKS: readonly Benchmark[] = [plan, failover, hook, memory];

const { values } = parseArgs({
  options: { only: { type: "string" }, json: { type: "string" } },
});
const names = BENCHMARKS.map((benchmark) => benchmark.name);
const wanted = values.only?.split(",") ?? names;
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  console.error(`bench: no benchmark ${unknown.join(", ")}; there are ${names.join(", ")}`);
  process.exit(2);
}
const all: (Result & { readonly benchmark: string })[] = [];
for (const benchmark of BENCHMARKS.filter(({ name }) => wanted.includes(name))) {
  const results = await benchmark.run();
  console.log(`${benchmark.name}\n${formatResults(results)}\n`);
  all.push(...results.map((result) => ({ benchmark: benchmark.name, ...result })));
}
const committed = new URL("results/bench.json", import.meta.url);
const before = existsSync(committed)
  ? (JSON.parse(readFileSync(committed, "utf8")) as { readonly results: readonly Result[] }).results
  : [];
const isWorse = tellRegressions(findRegressions(all, before));
if (values.json !== undefined) {
  const machine = {
    node: process.version,
    kernel: release(),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
  };
  writeFileSync(values.json, `${JSON.stringify({ machine, results: all }, null, 2)}\n`);
}
if (isWorse || all.some((result) => result.met === false)) process.exitCode = 1;
