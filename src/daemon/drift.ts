/** What the kernel holds that differs from the plan although it was to be mended, and since when. */
import type { UplinkError } from "../model/errors.ts";
import { kernelKey } from "../model/kernel.ts";
import type { Drift } from "../model/status.ts";
import type { Step } from "../model/step.ts";
import { formatDuration } from "../model/units.ts";
import type { EventLog } from "./events.ts";

/** Why an object isn't mended that is left to somebody else. */
const LEFT = "somebody else changes it again and again: see contests";

export class DriftBook {
  #drift: readonly Drift[] = [];
  /** What was told to differ, and since when; world time. */
  readonly #told = new Map<string, number>();

  /** As of the last run. */
  list(): readonly Drift[] {
    return this.#drift;
  }

  /** Whether the kernel is as wanted, but for what is left to somebody else. */
  get isAsWanted(): boolean {
    return this.#drift.every(({ message }) => message === LEFT);
  }

  clear(): void {
    this.#drift = [];
    this.#told.clear();
  }

  /** Nothing was written, since what stood before can't be saved. @returns whether that was so in the last run, too */
  noteUnsaved(due: readonly Step[], nowMs: number, message: string): boolean {
    const known = this.#drift.some((drift) => drift.message === message);
    this.#drift = due.map((step) => driftOf(step, nowMs, message));
    return known;
  }

  /** Nothing was to be written but what is left to somebody else. */
  noteLeft(left: readonly Step[], nowMs: number, log: EventLog): void {
    this.#drift = left.map((step) => driftOf(step, nowMs, LEFT));
    this.#tellEnds(nowMs, log);
  }

  /**
   * What was written has been read back; what is newly open is logged.
   * @param open steps that are still to be taken
   * @param left steps that are left to somebody else
   * @param refused what the kernel said when it was written
   */
  noteReadBack(
    { due: open, left }: { readonly due: readonly Step[]; readonly left: readonly Step[] },
    refused: readonly UplinkError[],
    nowMs: number,
    log: EventLog,
  ): void {
    const known = new Map(this.#drift.map((drift) => [drift.object, drift.sinceMs]));
    const drift = open.map((step) => {
      const key = kernelKey(step.object);
      const error = refused.find((candidate) => candidate.object === key);
      const message = error?.message ?? "the kernel holds something else than was written";
      return driftOf(step, known.get(key) ?? nowMs, message);
    });
    for (const { object, message, sinceMs } of drift) {
      if (known.has(object)) continue;
      this.#told.set(object, sinceMs);
      log.tell("warning", "drift", `${object} differs from the plan: ${message}`);
    }
    this.#drift = [...drift, ...left.map((step) => driftOf(step, nowMs, LEFT))];
    this.#tellEnds(nowMs, log);
  }

  /** Says of what was told to differ that it doesn't any more. */
  #tellEnds(nowMs: number, log: EventLog): void {
    if (this.#told.size === 0) return;
    const open = new Set(this.#drift.map((drift) => drift.object));
    for (const [object, sinceMs] of this.#told) {
      if (open.has(object)) continue;
      this.#told.delete(object);
      const lasted = formatDuration(nowMs - sinceMs);
      log.tell("notice", "drift-over", `${object} is as planned again, after ${lasted}`);
    }
  }
}

function driftOf(step: Step, sinceMs: number, message: string): Drift {
  return { object: kernelKey(step.object), op: step.op, sinceMs, message };
}
