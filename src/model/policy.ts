/** What an operator may promise a vNIC, and what becomes of it when that can't be kept. */
import type { Mac } from "./mac.ts";

/** From first served to first degraded. HTB prio, order of degradation and of rescue follow it. */
export const PRIORITIES = ["critical", "high", "normal", "low"] as const;
export type Priority = (typeof PRIORITIES)[number];

/** What may be done to a domain whose demand exceeds its grant while its team is degraded; mildest first. */
export const FAILOVER_ACTIONS = ["throttle", "discard", "pause", "migrate"] as const;
export type FailoverAction = (typeof FAILOVER_ACTIONS)[number];

export interface Bandwidth {
  /** Kept even when the uplink is full; 0 for none. */
  readonly reservationBitsPerSecond: number;
  /** Never above; null for no limit but the uplink's capacity. */
  readonly limitBitsPerSecond: number | null;
  /** Weight within one priority for what is left above reservations, 1 to 1000. */
  readonly shares: number;
  /** HTB burst; null lets the planner choose by rate. */
  readonly burstBytes: number | null;
}

/** A limit of what reaches a guest from the wire. It can't be guaranteed: what arrives has crossed the uplink already. */
export interface Inbound {
  readonly limitBitsPerSecond: number;
  /** What may pass at once before the rate holds; null lets the planner choose by rate. */
  readonly burstBytes: number | null;
}

/**
 * The least burst of an inbound limit, bytes: a frame larger than the burst never passes (tcf_police_act), and what the kernel
 * has joined on arrival (GRO) is one of up to 64 KiB.
 */
export const LEAST_INBOUND_BURST_BYTES = 65_536;
export const LEAST_INBOUND_BURST =
  "a burst below 64kib would drop what the kernel joins on arrival";

export interface Placement {
  /** Uplink names or labels, first choice first. */
  readonly prefer: readonly string[];
  /** Names of domains that should not share an uplink with this one. */
  readonly apart: readonly string[];
}

export interface Failover {
  readonly action: FailoverAction;
  /** How long demand must exceed the grant before the action is due. */
  readonly graceMs: number;
  /** The longest pause by us; null for the configuration's. */
  readonly maxPauseMs: number | null;
  /** Names of destinations in uplinkd.yaml, in order; never URIs. */
  readonly destinations: readonly string[];
  /** A cap forbids pauses: a migration that comes to nothing is followed by throttling. */
  readonly neverPause?: true;
}

/** A vNIC's policy with every gap filled. */
export interface NetworkPolicy {
  /** The named policy that it came from. */
  readonly policy: string;
  readonly priority: Priority;
  readonly bandwidth: Bandwidth;
  readonly placement: Placement;
  readonly failover: Failover;
  /** Absent: what reaches it isn't limited by us. */
  readonly inbound?: Inbound;
  /** Source addresses that its guest has besides its own, where they are enforced; absent: none. */
  readonly addresses?: readonly Mac[];
}

/** What an annotation or a named policy says; absent fields come from the next source down. */
export interface NetworkWish {
  readonly policy?: string;
  readonly priority?: Priority;
  readonly bandwidth?: Partial<Bandwidth>;
  readonly placement?: Partial<Placement>;
  readonly failover?: Partial<Failover>;
  readonly inbound?: Inbound;
  /** Of an interface's element only. */
  readonly addresses?: readonly Mac[];
}

/** A domain's `<uplink:network>` element: values for each of its vNICs, and for single ones. */
export interface Annotation {
  readonly domain: NetworkWish;
  readonly interfaces: ReadonlyMap<Mac, NetworkWish>;
}

/** What holds where neither annotation nor policy says anything. */
export const FALLBACK_POLICY: NetworkPolicy = {
  policy: "default",
  priority: "normal",
  bandwidth: {
    reservationBitsPerSecond: 0,
    limitBitsPerSecond: null,
    shares: 100,
    burstBytes: null,
  },
  placement: { prefer: [], apart: [] },
  failover: { action: "throttle", graceMs: 5000, maxPauseMs: null, destinations: [] },
};

/** Lays a wish over a policy. */
export function mergePolicy(base: NetworkPolicy, wish: NetworkWish): NetworkPolicy {
  const inbound = wish.inbound ?? base.inbound;
  return {
    policy: wish.policy ?? base.policy,
    priority: wish.priority ?? base.priority,
    bandwidth: { ...base.bandwidth, ...wish.bandwidth },
    placement: { ...base.placement, ...wish.placement },
    failover: { ...base.failover, ...wish.failover },
    ...(inbound === undefined ? {} : { inbound }),
    ...(wish.addresses === undefined ? {} : { addresses: wish.addresses }),
  };
}
