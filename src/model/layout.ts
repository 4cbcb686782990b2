/**
 * The numbers by which what is ours in the kernel is found again: handles, minors, queue ids, indices of actions. Priorities
 * of filters are in filter-priority.ts.
 */
import type { HostClassName } from "./host-traffic.ts";

/**
 * Version of all that follows, in the kernel itself: the handle of the bond's catch-all filter. It rises only where a
 * daemon of the version before must not touch what stands; what merely has another form is mended filter by filter.
 */
export const LAYOUT = 2;
/** Major number of our HTB qdisc on each uplink: handle 7570: (hexadecimal, as tc prints it). */
export const HTB_MAJOR = 0x7570;
/** The inner class below which everything stands: rate = ceil = the uplink's capacity. */
export const ROOT_MINOR = 0x1;
/** First and last minor of vNIC classes; the same minor on every uplink of a team. */
export const FIRST_VNIC_MINOR = 0x10;
export const LAST_VNIC_MINOR = 0xffe0;
/** The class of whatever no filter names: the host's own traffic and unregistered sources. */
export const DEFAULT_MINOR = 0xfff0;
/** LACP, LLDP, STP and our own announcements and probes. */
export const CONTROL_MINOR = 0xfff1;
/** The host's own classes, where the configuration has them. */
export const HOST_CLASS_MINORS: Readonly<Record<HostClassName, number>> = {
  management: 0xfff2,
  migration: 0xfff3,
  storage: 0xfff4,
};

/** Link-local protocols (to 01:80:c2:00:00:0x) for the control class; priority FILTER_PRIORITY.control + index. */
export const CONTROL_PROTOCOLS = [
  { name: "lacp", etherType: 0x8809 },
  { name: "lldp", etherType: 0x88cc },
  /** STP is LLC: skb->protocol is ETH_P_802_2 (0x0004). */
  { name: "stp", etherType: 0x0004 },
] as const;
export type ControlProtocol = (typeof CONTROL_PROTOCOLS)[number]["name"];

/** The largest queue id that bonding takes (tx_queues 16). */
export const MAX_QUEUE_ID = 15;

/**
 * Index of the shared action that filters of vNICs at home on the port with queue id `home`, sending by `via`,
 * refer to. Home and via are so read back from the kernel after a restart. The bond's ifindex keeps teams apart.
 */
export function actionIndex(bondIfindex: number, home: number, via: number): number {
  return 0x70000000 + (bondIfindex & 0xfffff) * 256 + home * 16 + via;
}

/** The inverse of {@link actionIndex}; null for an index that isn't ours. */
export function parseActionIndex(
  index: number,
): { readonly bondIfindex: number; readonly home: number; readonly via: number } | null {
  if (index < 0x70000000 || index > 0x7fffffff) return null;
  return {
    bondIfindex: Math.floor((index - 0x70000000) / 256),
    home: (index >> 4) & 15,
    via: index & 15,
  };
}
