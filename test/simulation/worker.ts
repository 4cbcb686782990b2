/** A process that lives through the histories that run.ts names, one after the other. */
import { describeEvent } from "./event.ts";
import type { Violation } from "./invariants.ts";
import { shrink } from "./shrink.ts";
import { simulate } from "./simulate.ts";

export interface Task {
  readonly seed: number;
  /** Events of the history. */
  readonly count: number;
  readonly shrink: boolean;
}

export interface Lived {
  /** How many events happened. */
  readonly lived: number;
  readonly violation: Violation | null;
  /** The shortest history that breaks the same invariant, where one was asked for: a line for each event. */
  readonly shortened: readonly string[];
}

process.on("message", async ({ seed, count, shrink: isShrunk }: Task) => {
  const { lived, violation, events } = await simulate(seed, count);
  const shortened =
    violation !== null && isShrunk
      ? await shrink(seed, events.slice(0, lived + 1), violation.invariant)
      : [];
  const answer: Lived = { lived, violation, shortened: shortened.map(describeEvent) };
  process.send?.(answer);
});
