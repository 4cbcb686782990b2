/** Chaos inside a lab: `inside.ts MINUTES SEED`. Exit 1 after a violation. */
import { runChaos, summarize } from "./chaos.ts";

const [minutes = "3", seed = "1"] = process.argv.slice(2);
const report = await runChaos({ seed: Number(seed), durationMs: Number(minutes) * 60e3 });
console.log(summarize(report));
for (const violation of report.violations) console.log(`VIOLATION: ${violation}`);
process.exit(report.violations.length === 0 ? 0 : 1);
