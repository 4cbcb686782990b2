/** The planner's input: everything that is, as plain data. Nothing in it is read lazily. */
import type { Config, TeamConfig } from "./config.ts";
import type { DomainPhase, Problem } from "./domain.ts";
import type { Conflict, KernelMap } from "./kernel.ts";
import type { Mac } from "./mac.ts";
import type { NetworkPolicy } from "./policy.ts";

/** Bonding's modes by their names in ip-link(8). */
export type BondMode =
  | "balance-rr"
  | "active-backup"
  | "balance-xor"
  | "broadcast"
  | "802.3ad"
  | "balance-tlb"
  | "balance-alb";

/** What bonding spreads by in balance-xor and 802.3ad (xmit_hash_policy), by its names in ip-link(8). */
export type HashPolicy =
  | "layer2"
  | "layer3+4"
  | "layer2+3"
  | "encap2+3"
  | "encap3+4"
  | "vlan+srcmac";

export interface UplinkState {
  readonly name: string;
  readonly ifindex: number;
  readonly label: string | null;
  /** As configured, else the driver's; null where neither says. */
  readonly speedBitsPerSecond: number | null;
  readonly adminUp: boolean;
  readonly carrier: boolean;
  /** Bonding itself regards the port as up (past updelay). */
  readonly bondUp: boolean;
  readonly inBond: boolean;
  /** 802.3ad: bonding sends by it, as LACP agreed on it and its aggregator is the active one; true in other modes. */
  readonly distributing: boolean;
  /** False where a health probe found the path dead; true where none is configured. */
  readonly healthy: boolean;
  /** Why its path counts as dead; "" where it doesn't. */
  readonly pathReason: string;
  /** The MAC that its probes come from; null: it sends none. */
  readonly probeMac: Mac | null;
  /** When an operator took it out of service; null: in service. */
  readonly drainedAtMs: number | null;
  /** Bonding's queue id; 0 for none. */
  readonly queueId: number;
  readonly txQueues: number;
  /** When it was last lost (carrier, up, bond or health); null: never seen lost. Kept after its return. */
  readonly lostAtMs: number | null;
  /** When it last came back; null: there since before we looked, or still lost. */
  readonly returnedAtMs: number | null;
  /** How long it is kept out after its last return. */
  readonly holdDownMs: number;
}

/** An interface whose frames are passed on to a bond. */
export interface PassedOnFrom {
  readonly name: string;
  readonly ifindex: number;
  /** A port of a bridge on the bond, a tap or something else; absent: its frames are routed there. */
  readonly bridged?: "tap" | "other";
}

export interface TeamState {
  readonly config: TeamConfig;
  readonly bond: {
    readonly name: string;
    readonly ifindex: number;
    readonly mode: BondMode;
    readonly activePort: string | null;
    readonly primaryPort: string | null;
    readonly miimonMs: number;
    readonly updelayMs: number;
    readonly txQueues: number;
    readonly hashPolicy: HashPolicy;
    /** Its ports in the order in which bonding counts them: that of enslaving. */
    readonly portOrder: readonly string[];
  } | null;
  /** In the order of configuration (else of enslaving). */
  readonly uplinks: readonly UplinkState[];
  readonly conflicts: readonly Conflict[];
  /** What the host itself sends and wants to send; null: not measured, its reservation counts. */
  readonly hostDemandBitsPerSecond: number | null;
  /** The same of each of the host's own classes, in the configuration's order. */
  readonly hostClassDemandsBitsPerSecond: readonly (number | null)[];
  /** Addresses with which the host's own frames leave by the bond; asked for where it has classes of its own. */
  readonly hostMacs: readonly Mac[];
  /** Interfaces from which frames are passed on to the bond; asked for like hostMacs, and for judging source addresses. */
  readonly passedOnFrom: readonly PassedOnFrom[];
  /** When one of its vNICs last changed uplink; null: not lately. */
  readonly lastMoveAtMs: number | null;
  /** Since when moves that would even out the load wait for their vNICs' queues to run empty; null: none waits. */
  readonly movesWaitSinceMs: number | null;
  /** Why nothing of it is managed although it could be: a canary leaves it out. Absent: it is managed. */
  readonly barred?: string;
}

/** Moves older than this are forgotten, milliseconds: the span in which fabrics count a MAC's moves (RFC 7432, 15.1). */
export const MOVE_WINDOW_MS = 180_000;

/** A change of the uplink that carries a vNIC. */
export interface Move {
  readonly atMs: number;
  /** The uplink that it left could still have carried it: a return home, a better place, a new policy. */
  readonly voluntary: boolean;
  /** Where from, where to and why, of a move that evened out load; absent for all others. */
  readonly story?: string;
}

export interface VnicState {
  readonly mac: Mac;
  /** 802.1Q ids with which its frames leave the host, 0 for untagged. */
  readonly vlanIds: readonly number[];
  /** Of the last minutes, and as long as its team's cool-down; oldest first. */
  readonly recentMoves: readonly Move[];
  /** Team's name, or null where nothing of ours carries it; then `unshapedReason` says why. */
  readonly team: string | null;
  readonly unshapedReason: string | null;
  readonly tap: string | null;
  /** The bridge that its XML names and that its tap has been taken out of. Absent: it is there, or isn't to be seen. */
  readonly detachedFrom?: string;
  /** Its tap is a macvtap: in mode vepa the switch sends its frames back on purpose. */
  readonly isMacvtap: boolean;
  readonly policy: NetworkPolicy;
  /** What the kernel's filter for this MAC says; null where there is none. */
  readonly kernel: {
    readonly minor: number;
    readonly handle: number;
    readonly home: string | null;
    readonly via: string | null;
  } | null;
  /** What it lately sent and wanted to send, averaged over the team's window; null: not measured yet. */
  readonly demandBitsPerSecond: number | null;
  /** Since when that is averaged; null: not measured yet. */
  readonly measuredSinceMs: number | null;
  /** What waits in its class where it sends, at this look; 0 where its team's moves don't depend on it. */
  readonly backlogBytes: number;
  /** Its demand as it was just before the team lost an uplink; null while nothing is lost. */
  readonly latchedDemandBitsPerSecond: number | null;
}

/** A pause of ours, as journaled before the act. */
export interface PauseRecord {
  readonly domain: string;
  readonly uuid: string;
  readonly sinceMs: number;
  readonly reason: string;
  /** Latched demand of each vNIC: resume is judged by the same figure. */
  readonly demandBitsPerSecond: Readonly<Record<string, number>>;
}

/** A migration of ours that is under way, as journaled before the act. */
export interface MigrationRecord {
  readonly domain: string;
  readonly uuid: string;
  /** Its name in the configuration. */
  readonly destination: string;
  readonly sinceMs: number;
  /** Its cap; counted as the host's traffic for as long as it lasts. */
  readonly bandwidthBitsPerSecond: number;
  readonly reason: string;
}

/** A destination to which a domain couldn't be moved. */
export interface Refusal {
  readonly uuid: string;
  readonly destination: string;
  /** It isn't asked again before. */
  readonly untilMs: number;
  /** In libvirt's words. */
  readonly reason: string;
}

export interface DomainState {
  readonly name: string;
  readonly uuid: string;
  readonly phase: DomainPhase;
  readonly vnics: readonly VnicState[];
  readonly problems: readonly Problem[];
  /** Another manager that owns it (nova, oVirt, pacemaker): shaped, never paused or moved. */
  readonly owner: string | null;
  /** `uplinkctl hold`: no action of ours. */
  readonly held: boolean;
  readonly pausedByUs: PauseRecord | null;
  /** Why it isn't paused again before its team is whole: a person resumed it, or maxPause ran out; else null. */
  readonly exempt: string | null;
  /** To another host, by us; null: none. */
  readonly migration: MigrationRecord | null;
  readonly refusals: readonly Refusal[];
}

export interface World {
  readonly nowMs: number;
  /**
   * A what-if: no measurement and no grace time will follow. A vNIC without a demand is judged by its reservation,
   * and what is due to domains counts as done. Absent: the world as it is.
   */
  readonly hypothetical?: boolean;
  readonly config: Config;
  readonly teams: readonly TeamState[];
  readonly domains: readonly DomainState[];
  /** What stands in the kernel now, ours and the unmarked settings. */
  readonly kernel: KernelMap;
}
