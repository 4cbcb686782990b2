/**
 * What was read a moment ago, for as long as nothing is known to have changed since: a run of the loop that follows the one
 * before need not read back once more what that one has read back to verify it.
 */
import type { Clock } from "../model/clock.ts";

/** Longer nobody's silence is trusted, since not all that changes is told; nor is it kept: some megabytes for a thousand vNICs. */
const TRUSTED_MS = 2000;

export class Recent<T> {
  readonly #clock: Clock;
  #kept: {
    readonly value: T;
    readonly mark: string;
    readonly atMs: number;
    readonly cancel: () => void;
  } | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param mark of what the value was read: it holds for the same only */
  keep(value: T, mark: string): void {
    this.forget();
    const cancel = this.#clock.after(TRUSTED_MS, () => this.forget());
    this.#kept = { value, mark, atMs: this.#clock.now(), cancel };
  }

  /** What was kept for that mark; null where it is too old or for another one. It is had once. */
  take(mark: string): T | null {
    const kept = this.#kept;
    this.forget();
    if (kept === null || kept.mark !== mark) return null;
    // A thread that stood still has its timers late.
    return this.#clock.now() - kept.atMs <= TRUSTED_MS ? kept.value : null;
  }

  forget(): void {
    this.#kept?.cancel();
    this.#kept = null;
  }
}
