/** What came for a vNIC from the wire while it has an inbound limit, as the kernel's filter counts it. */
import type { Mac } from "./mac.ts";

/** Counted since the limit was made; one that changes is made anew. */
export interface InboundCount {
  readonly bond: string;
  readonly mac: Mac;
  /** Layer 2, what was dropped included. */
  readonly arrivedBytes: number;
  readonly droppedPackets: number;
}
