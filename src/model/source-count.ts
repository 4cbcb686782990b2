/** How many frames had a source address that isn't their sender's, as the kernel's filters count them. */

/** Frames of one interface. */
export interface SourceCount {
  readonly bond: string;
  /** ifindex of the interface that they came in by. */
  readonly fromIfindex: number;
  readonly kind: "forged" | "unregistered";
  /** Since the filter was made. */
  readonly frames: bigint;
}
