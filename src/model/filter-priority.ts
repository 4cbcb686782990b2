/** Where our filters stand: priorities mark them as ours, chains are those that frames are led to. */

/** Our filters' priorities (decimal, tc's `pref`), in the order in which a frame meets those of one hook and chain. */
export const FILTER_PRIORITY = {
  /** bond egress, chain SOURCES_CHAIN, matchall: the default class and a port as catchAll's, for frames of whose sender nothing there says more. */
  anySender: 7567,
  /**
   * bond egress, flower src_mac: the shared action that names the port, the vNIC's class, on to the reports. First, so that
   * a guest's frame passes no other filter before it (docs/performance-lab.md says what each costs).
   */
  vnic: 7568,
  /** bond egress, flower indev and src_mac: an address that a guest has besides its own, by its tap; its class. */
  declared: 7569,
  /**
   * bond egress, matchall, goes on: queue_mapping 0 (the bond's own choice of port) or one port's, and no class, so that the
   * uplink's HTB asks its own filters, which are `control`, and else has the default class.
   */
  catchAll: 7570,
  /** bond egress, chain REPORTS_CHAIN, u32: a vNIC's IGMP and MLD reports go by every uplink, so that each has the groups when it's needed. */
  reports: 7572,
  /**
   * bond egress, flower indev: what came in by another interface isn't the host's own; it stays in the default class, or
   * is dropped where unregistered sources are.
   */
  passedOn: 7573,
  /** bond egress, flower src_mac: the host's own frames, on to its classes. */
  hostSource: 7574,
  /** bond egress, chain HOST_CHAIN, flower: what makes a frame of the host one of a class; one priority a match. */
  hostMatch: 7600,
  /** port ingress, flower src_mac: a local vNIC's frame that the switch sent back. */
  reflection: 7575,
  /** port ingress, flower dst_mac: redirect to the bond, past its drop on inactive ports. */
  redirect: 7576,
  /** port's HTB, for frames without a class: control protocols, one priority a protocol (see CONTROL_PROTOCOLS). */
  control: 7577,
  /** port egress, matchall: queue_mapping 0, only on ports with several tx queues. */
  queueReset: 7580,
  /** port ingress, flower dst_mac, the host's block: an answer to a probe, read before it gets here. */
  probeTo: 7581,
  /** port ingress, flower src_mac, the host's block: another uplink's probe, likewise. */
  probeFrom: 7582,
  /** bond egress, chain SOURCES_CHAIN, flower indev and src_mac: a vNIC's address by the vNIC's own tap. */
  ownTap: 7583,
  /** bond egress, chain SOURCES_CHAIN, flower indev: a vNIC's address by anybody else's interface. */
  forged: 7584,
  /** bond egress, chain SOURCES_CHAIN, flower src_mac: a macvtap's address; its frames came in by no interface. */
  macvtap: 7585,
  /** bond ingress, flower dst_mac: frames from the wire to a vNIC above its inbound limit are dropped, the rest goes on. */
  inbound: 7586,
} as const;

/**
 * The chain that only vNICs' frames are sent on to, with the reports filters in it. A copied report of the host, or of
 * a sender that we don't know, would teach the switch its address on a port where the bond drops what comes.
 */
export const REPORTS_CHAIN = 7572;

/**
 * The chain that only the host's own frames are sent on to. What nothing there matches has the class and the queue that
 * the catch-all gave it.
 */
export const HOST_CHAIN = 7574;
/**
 * The chain in which a frame with a vNIC's address is asked by which interface it came, where source addresses are
 * enforced. What nothing there matches came in by an interface that we don't know: it stays in the default class, since
 * an address that moved while nobody looked must not cost a guest its network.
 */
export const SOURCES_CHAIN = 7583;

/** Where layout 1 had vNICs' filters, behind the catch-all: taken away once ours stand. */
export const FORMER_VNIC_PRIORITY = 7571;

/** Matches of one team: a frame of the host's is compared with one after the other. */
export const MAX_HOST_MATCHES = 64;

/** The chain of the bond's egress in which a priority of ours stands. */
export function chainOf(priority: number): number {
  switch (priority) {
    case FILTER_PRIORITY.reports:
      return REPORTS_CHAIN;
    case FILTER_PRIORITY.anySender:
    case FILTER_PRIORITY.ownTap:
    case FILTER_PRIORITY.forged:
    case FILTER_PRIORITY.macvtap:
      return SOURCES_CHAIN;
  }
  const position = priority - FILTER_PRIORITY.hostMatch;
  return position >= 0 && position < MAX_HOST_MATCHES ? HOST_CHAIN : 0;
}
