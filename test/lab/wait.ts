import { setTimeout as sleep } from "node:timers/promises";

/** How often a condition is looked at: often enough to time events of 100 ms, seldom enough to cost little. */
const pollMs = 5;

/** Waits until a condition holds; fails with what was waited for. Returns the milliseconds it took. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 20_000,
  everyMs = pollMs,
): Promise<number> {
  const start = performance.now();
  while (!(await condition())) {
    if (performance.now() - start > limitMs)
      throw new Error(`after ${limitMs} ms still not: ${what}`);
    await sleep(everyMs);
  }
  return performance.now() - start;
}
