/**
 * Simulates many histories, or one again: npm run test:simulation -- --seeds 1000 --events 1000, or --seed S.
 * A history that breaks an invariant is shrunk and printed; the exit code is 1 then.
 */
import { parseArgs } from "node:util";
import { describeEvent } from "./event.ts";
import { shrink } from "./shrink.ts";
import { simulate } from "./simulate.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    first: { type: "string", default: "1" },
    seeds: { type: "string", default: "100" },
    events: { type: "string", default: "1000" },
    "keep-going": { type: "boolean", default: false },
    shrink: { type: "boolean", default: true },
  },
  allowNegative: true,
});
const count = Number(values.events);
const first = Number(values.seed ?? values.first);
const seeds = values.seed === undefined ? Number(values.seeds) : 1;

let events = 0;
let failed = 0;
let lived = 0;
const startedAtMs = performance.now();
// Who is tired of waiting is told how far it came.
process.on("SIGINT", () => {
  tell();
  process.exit(failed === 0 ? 0 : 1);
});
for (let seed = first; seed < first + seeds; seed += 1) {
  const history = await simulate(seed, count);
  events += history.lived;
  lived += 1;
  if (history.violation === null) continue;
  failed += 1;
  const { invariant, what } = history.violation;
  console.log(`seed ${seed}: ${invariant}: ${what} (after ${history.lived} events)`);
  if (values.shrink) {
    const short = await shrink(seed, history.events.slice(0, history.lived + 1), invariant);
    for (const event of short) console.log(`  ${describeEvent(event)}`);
  }
  console.log(`  again: npm run test:simulation -- --seed ${seed} --events ${count}`);
  if (!values["keep-going"]) break;
}
tell();
process.exit(failed === 0 ? 0 : 1);

function tell(): void {
  const seconds = (performance.now() - startedAtMs) / 1000;
  const rate = Math.round(events / seconds);
  console.log(
    `${events} events over ${lived} seeds in ${seconds.toFixed(1)} s, ${rate} a second; ${failed} seeds failed`,
  );
}
