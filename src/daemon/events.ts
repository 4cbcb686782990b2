/** The daemon's voice: every event goes to the journal (journald.ts) and to memory. */
import type { Severity, ToldEvent, UplinkEvent } from "../model/event.ts";
import type { EventId } from "../model/event-id.ts";

/** Kept for `uplinkctl events`; older ones are in the journal. */
const MAX_EVENTS = 2000;

export type Fields = Readonly<Record<string, string | number | boolean>>;

export class EventLog {
  readonly #events: UplinkEvent[] = [];
  readonly #listeners = new Set<(event: UplinkEvent) => void>();
  readonly #now: () => number;
  readonly #write: (event: ToldEvent) => void;
  #sequence = 0;
  #revision = 0;
  readonly #counts = new Map<string, number>();

  constructor(now: () => number, write: (event: ToldEvent) => void) {
    this.#now = now;
    this.#write = write;
  }

  /** Tells one thing. `id` is stable; the message is for people and stands alone. */
  tell(severity: Severity, id: EventId, message: string, fields: Fields = {}): void {
    this.#sequence += 1;
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    const event = {
      sequence: this.#sequence,
      atMs: this.#now(),
      severity,
      id,
      revision: this.#revision,
      message,
      fields,
    };
    this.#events.push(event);
    if (this.#events.length > MAX_EVENTS) this.#events.shift();
    this.#write(event);
    for (const listener of this.#listeners) listener(event);
  }

  /** The plan has changed: what is told from now on belongs to the new one. */
  revise(): void {
    this.#revision += 1;
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
