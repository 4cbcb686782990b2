/** Makes a failing history shorter, for people to read. */
import type { Event } from "./event.ts";
import { live } from "./simulate.ts";

/** Attempts at most; each is a history of its own. */
const ATTEMPTS = 400;

/**
 * Takes away events, in ever smaller pieces, as long as the same invariant breaks.
 * @returns a history that breaks it, as short as was found
 */
export async function shrink(
  seed: number,
  events: readonly Event[],
  invariant: string,
): Promise<readonly Event[]> {
  let best = events;
  let attempts = 0;
  for (
    let size = Math.ceil(best.length / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let at = best.length - size; at > -size && attempts < ATTEMPTS; at -= size) {
      const from = Math.max(0, at);
      const candidate = best.toSpliced(from, size);
      attempts += 1;
      const { violation, lived } = await live(seed, candidate);
      if (violation?.invariant === invariant) best = candidate.slice(0, lived + 1);
    }
  }
  return best;
}
