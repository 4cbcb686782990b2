/** Whether something has become worse than the committed figures say, on whatever machine: ratios are compared. */
import type { Result } from "./result.ts";

/** A busy machine widens every spread: a median beyond this many times the committed one isn't noise. */
const WORSE_FACTOR = 1.3;

/**
 * Compares ratios of the same name. Less is better, but where the goal is a least.
 * @returns a line for each that is worse: beyond the committed spread, and by more than noise
 */
export function findRegressions(now: readonly Result[], before: readonly Result[]): string[] {
  return now.flatMap((result) => {
    const old = before.find(({ what }) => what === result.what);
    if (old === undefined || result.unit !== "ratio" || old.unit !== "ratio") return [];
    const more = result.goal?.startsWith("at least") === true;
    const worse = more
      ? result.median < old.min && result.median * WORSE_FACTOR < old.median
      : result.median > old.max && result.median > old.median * WORSE_FACTOR;
    if (!worse) return [];
    return [`${result.what}: ${result.median}, committed ${old.median} (${old.min} to ${old.max})`];
  });
}

/** Tells them. @returns whether there are any */
export function tellRegressions(lines: readonly string[]): boolean {
  for (const line of lines) console.log(`worse than committed: ${line}`);
  return lines.length > 0;
}
