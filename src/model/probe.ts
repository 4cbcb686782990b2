/** Health probes: what is asked by which uplink, from which MAC, and what came of it. */
import type { Mac } from "./mac.ts";

/** An address whose answer proves the path of the uplink that asked. */
export interface ProbeTarget {
  /** IPv4 or IPv6, as configured. */
  readonly address: string;
  /** 802.1Q id with which it is asked; 0 for untagged. */
  readonly vlanId: number;
  /** The IPv4 address that an uplink asks from, by the uplink's name; the others ask from 0.0.0.0. */
  readonly sources: Readonly<Record<string, string>>;
}

export interface ProbeRules {
  /** Between two rounds while all is well; half of it while something is silent. */
  readonly intervalMs: number;
  /** So many looks in a row, half an interval apart, have to find nothing before a path counts as dead. */
  readonly losses: number;
  readonly targets: readonly ProbeTarget[];
  /** any: a path is alive if one target answers by it. all: it has to reach each that others reach. */
  readonly require: "any" | "all";
  /** VLANs by which uplinks probe each other, 0 for untagged; empty: they don't. */
  readonly betweenVlanIds: readonly number[];
}

/** What probes say of an uplink's path. */
export interface PathState {
  readonly healthy: boolean;
  /** Why not; "" where it is healthy. */
  readonly reason: string;
}

/** What a world says of an uplink that isn't probed. */
export const UNPROBED = { healthy: true, pathReason: "", probeMac: null } as const;

/** How many of a host's uplinks can have a MAC of their own; the last byte tells them apart. */
const MOST_UPLINKS = 255;

/**
 * The host's block of MACs for probes, 72:HH:HH:HH:HH:00. Locally administered (the second lowest bit of the first
 * byte), in the quarter that IEEE 802c leaves to administrators, and neither QEMU's, libvirt's (52:54:00) nor Docker's (02:42).
 * Derived, so that a switch finds a port's MAC where it was when the daemon starts anew.
 * @param hostId unique among hosts, as /etc/machine-id; of 1,000 hosts on one network two share a block once in 8,000
 */
export function probeBlock(hostId: string): Mac {
  // FNV-1a, 32 bits: the id is random already.
  let hash = 0x811c9dc5;
  for (const letter of hostId) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193);
  const bytes = [24, 16, 8, 0].map((shift) => ((hash >>> shift) & 0xff).toString(16));
  return `72:${bytes.map((byte) => byte.padStart(2, "0")).join(":")}:00` as Mac;
}

/** The MAC of one of the host's uplinks. @param number from 1; null beyond what a block holds */
export function probeMac(block: Mac, number: number): Mac | null {
  if (number < 1 || number > MOST_UPLINKS) return null;
  return `${block.slice(0, 15)}${number.toString(16).padStart(2, "0")}` as Mac;
}

/** The block that a MAC is of. */
export function blockOf(mac: Mac): Mac {
  return `${mac.slice(0, 15)}00` as Mac;
}

/** One name for a target: `10.0.0.1`, `10.0.0.1 in VLAN 7`. */
export function targetName({ address, vlanId }: Pick<ProbeTarget, "address" | "vlanId">): string {
  return vlanId === 0 ? address : `${address} in VLAN ${vlanId}`;
}
