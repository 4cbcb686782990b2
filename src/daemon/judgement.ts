/** What is done about somebody else's changes: undone and told, or left for a while and told. */
import { type KernelMap, kernelKey } from "../model/kernel.ts";
import type { Step } from "../model/step.ts";
import type { Contests } from "./contests.ts";
import type { EventLog } from "./events.ts";
import { describeTampering, findTampering } from "./tampering.ts";

export interface Seen {
  readonly steps: readonly Step[];
  /** What stood in the kernel as of the last run; null where it isn't known to be what was planned. */
  readonly settled: KernelMap | null;
  readonly desired: KernelMap;
  readonly nowMs: number;
}

/** @returns the steps to take now, and those that are left to somebody else for a while */
export function judgeTampering(
  contests: Contests,
  { steps, settled, desired, nowMs }: Seen,
  log: EventLog,
): { readonly due: readonly Step[]; readonly left: readonly Step[] } {
  for (const object of contests.end(nowMs))
    log.tell("notice", "contest-over", `nobody else changes ${object} any more`);
  const first = contests.sift(steps, desired, nowMs);
  if (settled === null) return first;
  const changes = findTampering(settled, first.due);
  for (const { object, times, who, nextTryAtMs } of contests.note(changes, desired, nowMs)) {
    const seconds = Math.round((nextTryAtMs - nowMs) / 1000);
    log.tell(
      "error",
      "contest",
      `${object} was changed ${times} times by somebody else, likely ${who}; it is left as it is for ${seconds} s`,
      { object, times, seconds },
    );
  }
  const sifted = contests.sift(steps, desired, nowMs);
  const undone = new Set(sifted.due.map((step) => kernelKey(step.object)));
  const story = describeTampering(
    changes.filter(({ object }) => undone.has(object)),
    (object) => contests.whoOf(object),
  );
  if (story !== null) log.tell("warning", "drift-mended", story);
  return sifted;
}
