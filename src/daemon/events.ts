/** The daemon's voice: every event goes to the journal (stderr, with journald's priority prefix) and to memory. */
import type { Severity, UplinkEvent } from "../model/event.ts";

/** Kept for `uplinkctl events`; older ones are in the journal. */
const MAX_EVENTS = 2000;

/** sd-daemon(3): the prefixes that journald takes as priorities. */
const PRIORITY: Readonly<Record<Severity, number>> = {
  debug: 7,
  info: 6,
  notice: 5,
  warning: 4,
  error: 3,
};

/** Control characters of all kinds (ESC, CSI, line feeds), and Unicode's own ends of lines. */
const CONTROL = /[\p{Cc}\u2028\u2029]/gu;

export type Fields = Readonly<Record<string, string | number | boolean>>;

export class EventLog {
  readonly #events: UplinkEvent[] = [];
  readonly #listeners = new Set<(event: UplinkEvent) => void>();
  readonly #now: () => number;
  readonly #write: (line: string) => void;
  #sequence = 0;
  readonly #counts = new Map<string, number>();

  constructor(now: () => number, write: (line: string) => void) {
    this.#now = now;
    this.#write = write;
  }

  /** Tells one thing. `id` is stable; the message is for people and stands alone. */
  tell(severity: Severity, id: string, message: string, fields: Fields = {}): void {
    this.#sequence += 1;
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    const event = { sequence: this.#sequence, atMs: this.#now(), severity, id, message, fields };
    this.#events.push(event);
    if (this.#events.length > MAX_EVENTS) this.#events.shift();
    // Names and errors are others' words: one line, and nothing that a terminal obeys.
    this.#write(`<${PRIORITY[severity]}>${id}: ${message.replaceAll(CONTROL, " ")}\n`);
    for (const listener of this.#listeners) listener(event);
  }

  /** How often each id was told. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** Events after `sequence`, oldest first, and whether older ones of them are no longer in memory. */
  page(sequence: number): {
    readonly events: readonly UplinkEvent[];
    readonly lastSequence: number;
    readonly missed: boolean;
  } {
    const oldest = this.#events[0]?.sequence ?? 1;
    return {
      events: this.#events.filter((event) => event.sequence > sequence),
      lastSequence: this.#sequence,
      missed: sequence + 1 < oldest,
    };
  }

  /** @returns the function that ends the subscription */
  follow(listener: (event: UplinkEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
