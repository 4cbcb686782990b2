/**
 * What stands in the kernel, and what should: a flat map from key to object. Plan, diff, observe and apply all
 * speak in these; only the netlink room knows their bytes. Two objects with one key are the same thing in two
 * versions. Every field is what the kernel reports back, so that plan and kernel compare equal field by field.
 *
 * Ownership: HTB handle 7570: (layout.ts) and filter priorities (filter-priority.ts) mark what is ours. Promiscuity,
 * queue ids, the bond's options and its active port carry no mark: their former values are saved before the first change.
 */
import type { ControlProtocol } from "./layout.ts";
import type { Mac } from "./mac.ts";

/**
 * What names a vNIC's port. `queue`: bonding's queue ids, which the driver itself passes over for a port that is down
 * (bond_slave_override: active-backup and balance-rr only). `redirect`: the filter sends by the port itself, past
 * bonding; one without carrier drops until it is retargeted. `hash`: bonding's own choice, which is foreseen.
 */
export type Steering = "queue" | "redirect" | "hash";

/** The bond's updelay; carries no owner. */
export interface BondOption {
  readonly kind: "bond-option";
  readonly bond: string;
  readonly updelayMs: number;
}

/** The bond's active port; in a plan only where it has to move. */
export interface ActivePort {
  readonly kind: "active-port";
  readonly bond: string;
  readonly port: string | null;
}

/** A bond port's queue id, 0 for none. */
export interface PortQueue {
  readonly kind: "port-queue";
  readonly device: string;
  readonly queueId: number;
}

/** IFF_PROMISC as set by an administrator (not the count that bonding and bridges hold). */
export interface Promiscuity {
  readonly kind: "promiscuity";
  readonly device: string;
  readonly on: boolean;
}

export interface Clsact {
  readonly kind: "clsact";
  readonly device: string;
}

/** Root qdisc `htb 7570: default <minor>`. */
export interface HtbRoot {
  readonly kind: "htb";
  readonly device: string;
  readonly defaultMinor: number;
}

/** An HTB class 7570:minor. */
export interface HtbClass {
  readonly kind: "class";
  readonly device: string;
  readonly minor: number;
  /** null: directly below the qdisc. */
  readonly parentMinor: number | null;
  /** Multiples of 8: whole bytes per second. */
  readonly rateBitsPerSecond: number;
  readonly ceilBitsPerSecond: number;
  /** psched ticks of 64 ns, see ticksForBytes. */
  readonly bufferTicks: number;
  readonly cbufferTicks: number;
  /** 0 to 7; 0 for an inner class, where it means nothing. */
  readonly prio: number;
  readonly quantumBytes: number;
}

/** The queue below a leaf class. */
export type LeafQueue =
  | { readonly type: "fq_codel"; readonly flows: number; readonly limitPackets: number }
  | { readonly type: "pfifo"; readonly limitPackets: number }
  /** Discards and counts. */
  | { readonly type: "blackhole" };

export interface Leaf {
  readonly kind: "leaf";
  readonly device: string;
  readonly minor: number;
  readonly queue: LeafQueue;
}

/** Shared `skbedit queue_mapping` action: one message retargets all filters that refer to it. */
export interface UplinkAction {
  readonly kind: "uplink-action";
  readonly index: number;
  readonly queueId: number;
}

/** Shared `mirred egress redirect` action, the same for bonds whose driver heeds no queue id. */
export interface PortAction {
  readonly kind: "port-action";
  readonly index: number;
  /** Of the uplink that sends. */
  readonly toIfindex: number;
}

export interface CatchAllFilter {
  readonly kind: "catch-all";
  readonly device: string;
  /** Null: none, also where a frame has one as it comes, so that the uplink's control filters and its HTB's default decide. */
  readonly minor: number | null;
  /** The port of what no other filter names; 0 leaves it to the bond. */
  readonly queueId: number;
  /** The one for frames with a vNIC's address that are asked by which interface they came; absent: for all others. */
  readonly senders?: true;
}

export interface VnicFilter {
  readonly kind: "vnic";
  readonly device: string;
  readonly mac: Mac;
  /** Stable for a MAC as long as the filter stands, so that it can be replaced without a gap. */
  readonly handle: number;
  readonly minor: number;
  readonly steering: Steering;
  /** The shared action that names the port (see actionIndex): a queue mapping, or a redirect; 0 with `hash`. */
  readonly actionIndex: number;
  /**
   * Who is believed to send with this address: what came in by this tap ("" for one that is gone); null: what came in by no
   * interface that we know, as a macvtap's frames do. Absent: anybody, addresses aren't enforced.
   */
  readonly from?: string | null;
}

export interface ReportsFilter {
  readonly kind: "reports";
  readonly device: string;
  /** ifindexes of the uplinks that get a copy of each report, in the team's order. */
  readonly copyTo: readonly number[];
}

/** Frames that came in by another interface, bridged or routed: not the host's own, whatever address they have. */
export interface PassedOnFilter {
  readonly kind: "passed-on";
  readonly device: string;
  /** The interface's name; null once it is gone, when the kernel can't tell it any more (fl_dump_key). */
  readonly from: string | null;
  /** Its ifindex. */
  readonly handle: number;
  /** Discarded, as it has no vNIC's address; absent: it goes on in the default class. */
  readonly drops?: true;
}

/** An address that a guest has besides its vNIC's, as its annotation declares; by the bond's own choice of port. */
export interface DeclaredFilter {
  readonly kind: "declared";
  readonly device: string;
  /** Its tap's name; null once that is gone. */
  readonly from: string | null;
  readonly mac: Mac;
  readonly handle: number;
  /** The vNIC's class. */
  readonly minor: number;
  /** As the catch-all's. */
  readonly queueId: number;
}

/** A vNIC's address by an interface that isn't the vNIC's. */
export interface ForgedFilter {
  readonly kind: "forged";
  readonly device: string;
  /** The interface's name; null once it is gone. */
  readonly from: string | null;
  /** Its ifindex. */
  readonly handle: number;
  /** Absent: it goes on in the default class. */
  readonly drops?: true;
}

/** An address of the host itself. */
export interface HostSourceFilter {
  readonly kind: "host-source";
  readonly device: string;
  readonly mac: Mac;
  readonly handle: number;
}

/** A match of one of the host's classes; null is for what doesn't matter. */
export interface HostMatchFilter {
  readonly kind: "host-match";
  readonly device: string;
  /** Order in which they are asked, from 0. */
  readonly position: number;
  readonly minor: number;
  readonly vlanId: number | null;
  /** 0x0800 or 0x86dd, behind the VLAN tag. */
  readonly etherType: number | null;
  readonly ipProtocol: number | null;
  /** `22` or `49152-49215`. */
  readonly sourcePorts: string | null;
  readonly destinationPorts: string | null;
  /** As formatPrefix writes it. */
  readonly source: string | null;
  readonly destination: string | null;
}

export interface ReflectionFilter {
  readonly kind: "reflection";
  readonly device: string;
  readonly mac: Mac;
  readonly handle: number;
}

export interface RedirectFilter {
  readonly kind: "redirect";
  readonly device: string;
  readonly mac: Mac;
  readonly handle: number;
  /** ifindex of the bond that it redirects to (ingress). */
  readonly toIfindex: number;
}

/** What of the frames for a vNIC comes in by the bond beyond its limit is dropped (act_police); one that has passed goes on. */
export interface InboundFilter {
  readonly kind: "inbound";
  /** The bond. */
  readonly device: string;
  readonly mac: Mac;
  readonly handle: number;
  /** A multiple of 8: whole bytes per second, layer 2 as on the wire. */
  readonly rateBitsPerSecond: number;
  /** psched ticks of 64 ns, see ticksForBytes. */
  readonly burstTicks: number;
}

/**
 * Ends probes and their answers where they arrive. The daemon's socket sees them before (packet taps come first in
 * __netif_receive_skb_core); the bridge must not: it would flood them to the guests and learn the probes' MACs.
 */
export interface ProbeGuard {
  readonly kind: "probe-guard";
  readonly device: string;
  /** Which address of the frame is of the block. */
  readonly side: "to" | "from";
  /** The host's block, see probeBlock: all MACs that differ from it in the last byte only. */
  readonly block: Mac;
}

/**
 * Puts a link protocol's frames into the control class: in the HTB's own list, which frames that have a class never come
 * to. So it costs a guest's frames nothing, and none with a vNIC's address gets there.
 */
export interface ControlFilter {
  readonly kind: "control";
  readonly device: string;
  readonly protocol: ControlProtocol;
  readonly minor: number;
}

export interface QueueResetFilter {
  readonly kind: "queue-reset";
  readonly device: string;
}

/**
 * Something at one of our filter priorities whose shape isn't what we write: an older version's, or another
 * program's change. It has the key of what it stands in for, so the diff mends it by deleting and adding anew.
 */
export interface UnknownFilter {
  readonly kind: "unknown-filter";
  readonly device: string;
  readonly hook: "egress" | "ingress" | "htb";
  readonly priority: number;
  readonly protocol: number;
  readonly handle: number;
  readonly filterKind: string;
}

export type KernelObject =
  | BondOption
  | ActivePort
  | PortQueue
  | Promiscuity
  | Clsact
  | HtbRoot
  | HtbClass
  | Leaf
  | UplinkAction
  | PortAction
  | CatchAllFilter
  | VnicFilter
  | ReportsFilter
  | PassedOnFilter
  | ForgedFilter
  | DeclaredFilter
  | HostSourceFilter
  | HostMatchFilter
  | ReflectionFilter
  | RedirectFilter
  | InboundFilter
  | ProbeGuard
  | ControlFilter
  | QueueResetFilter
  | UnknownFilter;

export type KernelMap = ReadonlyMap<string, KernelObject>;

/** The identity of an object: `class nic0 7570:11`. */
export function kernelKey(object: KernelObject): string {
  switch (object.kind) {
    case "bond-option":
    case "active-port":
      return `${object.kind} ${object.bond}`;
    case "port-queue":
    case "promiscuity":
    case "clsact":
    case "htb":
    case "reports":
    case "queue-reset":
      return `${object.kind} ${object.device}`;
    case "catch-all":
      return `${object.kind} ${object.device}${object.senders ? " senders" : ""}`;
    case "class":
    case "leaf":
      return `${object.kind} ${object.device} 7570:${object.minor.toString(16)}`;
    case "uplink-action":
    case "port-action":
      return `${object.kind} ${object.index.toString(16)}`;
    case "vnic":
    case "host-source":
    case "reflection":
    case "redirect":
    case "inbound":
      return `${object.kind} ${object.device} ${object.mac}`;
    case "declared":
      return `${object.kind} ${object.device} ${object.mac} ${object.handle}`;
    case "passed-on":
    case "forged":
      return `${object.kind} ${object.device} ${object.from ?? `#${object.handle}`}`;
    case "host-match":
      return `${object.kind} ${object.device} ${object.position}`;
    case "control":
      return `${object.kind} ${object.device} ${object.protocol}`;
    case "probe-guard":
      return `${object.kind} ${object.device} ${object.side}`;
    case "unknown-filter":
      return `${object.kind} ${object.device} ${object.hook} ${object.priority} ${object.protocol} ${object.handle}`;
  }
}

/** A foreign object in a place that we need; reported, never replaced silently. */
export interface Conflict {
  readonly device: string;
  /** `root qdisc fq 8001:`. */
  readonly found: string;
  readonly message: string;
  readonly remedy: string;
  /** Whether uplinkd can't work on the device as long as it stands. */
  readonly blocking: boolean;
}

/** Counters of one class on one uplink, as the kernel reports them. */
export interface ClassCounters {
  readonly device: string;
  readonly minor: number;
  readonly sentBytes: bigint;
  readonly sentPackets: bigint;
  readonly drops: number;
  readonly backlogBytes: number;
  readonly queuedPackets: number;
}
