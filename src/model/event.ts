/** What the daemon tells: the journal of a failover, read by `uplinkctl events` and by journalctl. */

export type Severity = "debug" | "info" | "notice" | "warning" | "error";

export interface UplinkEvent {
  /** Rising by one; gaps mean that older ones were dropped from memory. */
  readonly sequence: number;
  /** Unix time, milliseconds. */
  readonly atMs: number;
  readonly severity: Severity;
  /** A stable name: `uplink-lost`, `domain-paused`; docs/reference lists them. */
  readonly id: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}
