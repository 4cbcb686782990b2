/** Chaos inside a lab: `inside.ts MINUTES SEED`. Exit 1 after a violation, 75 where the lab could not make a fault. */
import { LabFault } from "../fault.ts";
import { runChaos, summarize } from "./chaos.ts";

const [minutes = "3", seed = "1"] = process.argv.slice(2);
const shape = { seed: Number(seed), durationMs: Number(minutes) * 60e3 };
const report = await runChaos(shape).catch((error: unknown) => {
  if (!(error instanceof LabFault)) throw error;
  console.log(`lab fault: ${error.message}`);
  process.exit(75);
});
console.log(summarize(report));
for (const violation of report.violations) console.log(`VIOLATION: ${violation}`);
process.exit(report.violations.length === 0 ? 0 : 1);
