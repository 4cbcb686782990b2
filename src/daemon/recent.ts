/**
 * What was read a moment ago, for as long as nothing is known to have changed since: a run of the loop that follows the one
 * before need not read back once more what that one has read back to verify it.
 */

/** Longer nobody's silence is trusted: not all that changes is told. */
const TRUSTED_MS = 2000;

export class Recent<T> {
  readonly #now: () => number;
  #kept: { readonly value: T; readonly mark: string; readonly atMs: number } | null = null;

  /** @param now milliseconds of a clock that a change of the host's time doesn't move */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** @param mark of what the value was read: it holds for the same only */
  keep(value: T, mark: string): void {
    this.#kept = { value, mark, atMs: this.#now() };
  }

  /** What was kept for that mark; null where it is too old or for another one. It is had once. */
  take(mark: string): T | null {
    const kept = this.#kept;
    this.#kept = null;
    if (kept === null || kept.mark !== mark) return null;
    return this.#now() - kept.atMs <= TRUSTED_MS ? kept.value : null;
  }

  forget(): void {
    this.#kept = null;
  }
}
