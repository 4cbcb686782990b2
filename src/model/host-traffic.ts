/**
 * The host's own traffic, told apart by what it is for: a class each for management, migration and storage on every
 * uplink, and the default class for the rest (docs/claims.md, row 68).
 */
import type { Priority } from "./policy.ts";

/** In the order in which their matches are asked; the first that matches holds. */
export const HOST_CLASSES = ["management", "migration", "storage"] as const;
export type HostClassName = (typeof HOST_CLASSES)[number];

/** A share of each uplink for what is not VM data. */
export interface HostShare {
  readonly reservationBitsPerSecond: number;
  readonly limitBitsPerSecond: number | null;
  readonly shares: number;
  readonly priority: Priority;
}

export const HOST_PROTOCOLS = ["tcp", "udp", "icmp"] as const;
export type HostProtocol = (typeof HOST_PROTOCOLS)[number];

/** What a frame of the host has to be like; what is null doesn't matter, and not all of it is. */
export interface HostMatch {
  /** `icmp` means IPv6's as well. */
  readonly protocol: HostProtocol | null;
  /** `22` or `49152-49215`. */
  readonly sourcePorts: string | null;
  readonly destinationPorts: string | null;
  /** As formatPrefix writes it: `10.1.0.0/16`, `fd00::/8`. */
  readonly source: string | null;
  readonly destination: string | null;
  /** 802.1Q id with which the frame leaves by the bond. */
  readonly vlanId: number | null;
}

/** One of the host's classes besides the default one. */
export interface HostClass extends HostShare {
  readonly name: HostClassName;
  /** At least one. */
  readonly matches: readonly HostMatch[];
}
