/** What somebody else has changed of ours, as against what a new plan changes. Pure. */
import { isDeepStrictEqual } from "node:util";
import { type KernelMap, kernelKey } from "../model/kernel.ts";
import type { Step } from "../model/step.ts";

/** What was done that a step undoes. */
const WORDS: Readonly<Record<Step["op"], string>> = {
  add: "gone",
  change: "changed",
  delete: "added",
};
/** So many are named; the rest is counted. */
const MAX_NAMED = 8;

/**
 * @param settled what stood in the kernel, verified, at the end of the last run
 * @param steps what this run has to do
 * @returns the story of it, or null where the plan alone explains the steps
 */
export function describeTampering(settled: KernelMap, steps: readonly Step[]): string | null {
  const named = steps.flatMap(({ op, object }) => {
    const key = kernelKey(object);
    const before = settled.get(key);
    // A rebuild deletes under the key of what it makes anew: only what never stood there was added.
    const isForeign = op === "delete" ? before === undefined : isDeepStrictEqual(before, object);
    return isForeign ? [`${key} was ${WORDS[op]}`] : [];
  });
  if (named.length === 0) return null;
  const rest = named.length > MAX_NAMED ? ` and ${named.length - MAX_NAMED} more` : "";
  return `somebody else's change is undone: ${named.slice(0, MAX_NAMED).join(", ")}${rest}`;
}
