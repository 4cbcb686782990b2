/** What the daemon tells: the journal of a failover, read by `uplinkctl events` and by journalctl. */
import type { EventId } from "./event-id.ts";

export type Severity = "debug" | "info" | "notice" | "warning" | "error";

export interface UplinkEvent {
  /** Rising by one; gaps mean that older ones were dropped from memory. */
  readonly sequence: number;
  /** Unix time, milliseconds. */
  readonly atMs: number;
  readonly severity: Severity;
  /** A stable name: `uplink-lost`, `domain-paused`; docs/reference lists them. */
  readonly id: string;
  /** The plan that it belongs to, counted since the daemon's start: what one change brought about has one number. */
  readonly revision: number;
  readonly message: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}

/** An event as this version tells it; a client may read ids that it doesn't know. */
export interface ToldEvent extends UplinkEvent {
  readonly id: EventId;
}
