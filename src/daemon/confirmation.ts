/**
 * `enable --confirm`: what was enabled is taken away again unless somebody says in time that the host still does
 * what it should. Who has cut themselves off needs to do nothing.
 */
import type { EventLog } from "./events.ts";
import type { Journal, Unconfirmed } from "./journal.ts";

export interface ConfirmationOptions {
  readonly journal: Journal;
  readonly log: EventLog;
  readonly now: () => number;
  /** Releases the host, and notes what it was before. */
  readonly rollBack: (to: Unconfirmed["before"]) => Promise<unknown>;
  /** Told why it could not be rolled back; tried again a second later. */
  readonly report: (error: unknown) => void;
}

/** Between two tries to roll back, milliseconds. */
const RETRY_MS = 1000;

export class Confirmation {
  readonly #options: ConfirmationOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ConfirmationOptions) {
    this.#options = options;
  }

  /** Until when a confirmation is due, Unix milliseconds; null: none is. */
  get dueMs(): number | null {
    return this.#options.journal.contents.unconfirmed?.untilMs ?? null;
  }

  /** Waits for what an earlier run of the daemon left unconfirmed; what is overdue is rolled back at once. */
  start(): void {
    const pending = this.#options.journal.contents.unconfirmed;
    if (pending === null) return;
    const delayMs = Math.max(0, pending.untilMs - this.#options.now());
    this.#timer = setTimeout(() => void this.#expire(), delayMs);
  }

  /**
   * Notes, before the act, that what follows has to be confirmed. A second one before that has the first one's way
   * back.
   * @throws StateError if it can't be noted: then nothing may be enabled
   */
  begin(withinMs: number): void {
    const { journal, now } = this.#options;
    const { unconfirmed, observing } = journal.contents;
    const before = unconfirmed?.before ?? (observing ? "observing" : "released");
    journal.write({ unconfirmed: { untilMs: now() + withinMs, before } });
    clearTimeout(this.#timer);
    this.start();
  }

  /** @returns false where nothing was to be confirmed */
  confirm(): boolean {
    const { journal, log } = this.#options;
    clearTimeout(this.#timer);
    if (journal.contents.unconfirmed === null) return false;
    journal.write({ unconfirmed: null });
    log.tell("notice", "confirmed", "what was enabled is confirmed");
    return true;
  }

  /** Waits no more; what is pending stays in the journal for the next run of the daemon. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  async #expire(): Promise<void> {
    const { journal, log, rollBack, report } = this.#options;
    const pending = journal.contents.unconfirmed;
    if (pending === null) return;
    log.tell("warning", "rolled-back", "nobody has confirmed in time: the host is released again");
    try {
      await rollBack(pending.before);
      journal.write({ unconfirmed: null });
    } catch (error) {
      report(error);
      this.#timer = setTimeout(() => void this.#expire(), RETRY_MS);
    }
  }
}
