/**
 * `npm run fuzz [-- --seconds 10 --seed 1 --target NAME --keep]`: changes the inputs of test/fuzz/corpus at random, goes on
 * from those that reach code which none reached before, and says how many it tried and how much they reached. What breaks
 * something is kept in the corpus and printed, and the exit code is 1; with --keep what reached something new is kept, too.
 */
import { parseArgs } from "node:util";
import { Random } from "../simulation/random.ts";
import { keep, readCorpus } from "./corpus.ts";
import { hunt } from "./hunt.ts";
import { Reach } from "./reach.ts";
import { TARGETS } from "./targets.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "10" },
    seed: { type: "string", default: "1" },
    target: { type: "string" },
    keep: { type: "boolean", default: false },
  },
});

const reach = new Reach();
await reach.start();
let total = 0;
for (const [name, target] of Object.entries(TARGETS)) {
  if (values.target !== undefined && values.target !== name) continue;
  await reach.reset();
  const startedAtMs = performance.now();
  const endsAtMs = startedAtMs + Number(values.seconds) * 1000;
  const { executions, kept, find } = await hunt(target, readCorpus(name), {
    random: new Random(Number(values.seed)),
    goesOn: () => performance.now() < endsAtMs,
    reached: () => reach.take(),
  });
  total += executions;
  const rate = Math.round((executions * 1000) / (performance.now() - startedAtMs));
  const { functions, blocks } = reach.sum;
  console.log(
    `${name.padEnd(15)} ${executions} executions, ${rate} a second; ${functions} functions and ${blocks} blocks ran, ` +
      `${kept.length} inputs reached something new`,
  );
  if (values.keep) for (const input of kept) keep(name, input);
  if (find === null) continue;
  process.exitCode = 1;
  console.log(`${name}: ${find.error}\n  kept as ${keep(name, find.input)}`);
}
console.log(`${total} executions in all`);
