/**
 * When the loop runs: at once for a hook, soon for an event, when the plan asks for it, and every so often in any
 * case; and what follows each run. All its time is the given clock's.
 */
import type { Clock } from "../model/clock.ts";
import type { ControlLoop, Run } from "./loop.ts";
import type { Migrations } from "./migrations.ts";
import type { Pauses } from "./pauses.ts";

export interface SchedulerOptions {
  readonly clock: Clock;
  readonly loop: Pick<ControlLoop, "run" | "sample" | "mode" | "nextTryAtMs">;
  /** What is done to domains: pauses, migrations. */
  readonly actions: readonly Pick<Pauses | Migrations, "carryOut">[];
  /** After each run that enforced, before anything is done to domains. */
  readonly enforced: (run: Run) => void;
  /** Takes what a run or an action threw. */
  readonly report: (error: unknown) => void;
}

/** How often counters are read, milliseconds. */
const SAMPLE_MS = 1000;
/** The longest wait for what a plan waits for: timers of Node overflow at 25 days. */
const LONGEST_WAIT_MS = 3600e3;
const NEVER = Number.POSITIVE_INFINITY;

export class Scheduler {
  readonly #options: SchedulerOptions;
  #cancelWake: () => void = () => undefined;
  #cancelSoon: () => void = () => undefined;
  #soonAtMs = Number.POSITIVE_INFINITY;
  #cancelSample: () => void = () => undefined;
  #cancelResync: () => void = () => undefined;
  #stopped = false;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** Begins to sample counters, and to run every `resyncMs` whatever happens or doesn't. */
  start(resyncMs: number): void {
    const { clock, loop, report } = this.#options;
    const sample = () => {
      this.#cancelSample = clock.after(SAMPLE_MS, sample);
      try {
        loop.sample();
      } catch (error) {
        report(error);
      }
    };
    const resync = () => {
      this.#cancelResync = clock.after(resyncMs, resync);
      void this.runNow();
    };
    this.#cancelSample = clock.after(SAMPLE_MS, sample);
    this.#cancelResync = clock.after(resyncMs, resync);
  }

  /** Nothing begins any more; a run under way ends, and nothing follows it. */
  stop(): void {
    this.#stopped = true;
    this.#cancelSoon();
    this.#cancelWake();
    this.#cancelSample();
    this.#cancelResync();
  }

  /**
   * One way for everything: run, then do to domains what the plan says, then wait for what it waits for.
   * @returns settles when what stood in the registry at the call is enforced, or that failed and was reported
   */
  async runNow(): Promise<void> {
    const { clock, loop, actions, enforced, report } = this.#options;
    if (this.#stopped) return;
    this.#cancelSoon();
    this.#soonAtMs = Number.POSITIVE_INFINITY;
    try {
      const run = await loop.run();
      if (this.#stopped) return;
      const { world, plan } = run;
      if (loop.mode === "enforcing") {
        enforced(run);
        for (const action of actions) {
          action.carryOut(world, plan).then((changed) => {
            if (changed) this.runSoon("something was done to a domain", 0);
          }, report);
        }
      }
      this.#cancelWake();
      const wakeAtMs = Math.min(plan.nextWakeAtMs ?? NEVER, loop.nextTryAtMs ?? NEVER);
      if (wakeAtMs < NEVER) {
        const delayMs = Math.min(Math.max(1, wakeAtMs - clock.now()), LONGEST_WAIT_MS);
        this.#cancelWake = clock.after(delayMs, () => void this.runNow());
      }
    } catch (error) {
      report(error);
    }
  }

  /** Runs after so long at the latest. `_why` is for the reader of the caller. */
  runSoon(_why: string, delayMs: number): void {
    const { clock } = this.#options;
    const atMs = clock.now() + delayMs;
    if (this.#stopped || atMs >= this.#soonAtMs) return;
    this.#soonAtMs = atMs;
    this.#cancelSoon();
    this.#cancelSoon = clock.after(delayMs, () => void this.runNow());
  }
}
