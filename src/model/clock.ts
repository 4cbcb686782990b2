/** Time, as what waits for it takes it: so that a test may run days of it in a second. */

export interface Clock {
  /**
   * Milliseconds since 1970, whole, and steady: a host's clock that is set anew moves no time limit. It may
   * therefore differ from the host's until the next start.
   */
  readonly now: () => number;
  /** Calls once after so many milliseconds. @returns takes that back; nothing happens where it was called already */
  readonly after: (delayMs: number, call: () => void) => () => void;
}

/** The host's: CLOCK_MONOTONIC from the moment of the program's start. */
export const SYSTEM_CLOCK: Clock = {
  now: () => Math.round(performance.timeOrigin + performance.now()),
  after: (delayMs, call) => {
    const timer = setTimeout(call, delayMs);
    return () => clearTimeout(timer);
  },
};
