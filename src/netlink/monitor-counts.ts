/** What the monitor's worker counts in memory that it shares: the main thread so knows of it before the news is told. */

/** Places in that memory, 32 bits each. */
export const COUNTS = {
  /** Reactions that have begun. */
  reactions: 0,
  /** News of what others did to traffic control, bonds or their ports, of links that went, and of news lost. */
  changes: 1,
} as const;
