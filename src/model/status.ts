/**
 * The status document: what `uplinkctl status --json` prints and GET /v1/status answers. Keys are a promise to
 * scripts: they are added, never renamed nor given another meaning. Rates are bits per second, times are Unix
 * milliseconds, and both are in the names.
 */
import type { SourceMode } from "./config.ts";
import type { DomainPhase, Problem } from "./domain.ts";
import type { HostClassName } from "./host-traffic.ts";
import type { Conflict } from "./kernel.ts";
import type { Balance, DomainAction, TeamCondition } from "./plan.ts";
import type { Priority } from "./policy.ts";
import type { Scope } from "./scope.ts";
import type { BondMode } from "./world.ts";

/** The object of a problem with the daemon's own journal. */
export const JOURNAL = "journal";

export interface DaemonStatus {
  readonly version: string;
  readonly pid: number;
  readonly startedAtMs: number;
  /** observing: plans and shows, changes nothing. released: the host is as it was before uplinkd. */
  readonly mode: "enforcing" | "observing" | "released";
  /** What of the host is enabled; the whole host where nothing is enforced. */
  readonly scope: Scope;
  readonly libvirt: "up" | "down";
  /** When everything was last read anew and compared; null: not yet. */
  readonly lastResyncMs: number | null;
  /** When what was enabled is rolled back unless confirmed; null: nothing waits for that. */
  readonly confirmByMs: number | null;
}

/** What probes say of an uplink. */
export interface ProbeStatus {
  /** That its probes come from. */
  readonly mac: string;
  /** unlinked: it has no link to be probed by. unproven: nothing has come since its link came back. */
  readonly path: "unlinked" | "unproven" | "healthy" | "dead";
  readonly targets: readonly {
    readonly address: string;
    /** 0: untagged. */
    readonly vlanId: number;
    /** By this uplink, at the last look. */
    readonly answers: boolean;
  }[];
  /** Since the daemon's start, or since it has been probed. */
  readonly sentFrames: number;
  /** When an answer or another uplink's probe last came in; null: never. */
  readonly heardAtMs: number | null;
}

export interface UplinkStatus {
  readonly name: string;
  readonly usable: boolean;
  /** Taken out of service by an operator. */
  readonly drained: boolean;
  readonly carrier: boolean;
  /** null: it isn't probed. */
  readonly probe: ProbeStatus | null;
  /** null where neither configuration nor driver says. */
  readonly speedBitsPerSecond: number | null;
  /** Speed less headroom; 0 where not usable. */
  readonly capacityBitsPerSecond: number;
  /** Sum of the reservations of what sends there now. */
  readonly committedBitsPerSecond: number;
  /** All that leaves by it, the host's own included, over the team's load window; null: not measured yet. */
  readonly sentBitsPerSecond: number | null;
  /** The same with what was dropped: what would have been sent. */
  readonly demandBitsPerSecond: number | null;
  /** Waiting in its queues at the last sample. */
  readonly backlogBytes: number | null;
  /** Packets that its queues dropped since they were made. */
  readonly drops: number | null;
  readonly reason: string;
}

/** A class of the host's own traffic, the same on every uplink of its team. */
export interface HostClassStatus {
  /** `default` has what none of the others takes. */
  readonly name: "default" | HostClassName;
  /** HTB class as tc prints it: `7570:fff0`. */
  readonly classId: string;
  readonly priority: Priority;
  /** As configured, on each uplink. */
  readonly reservationBitsPerSecond: number;
  readonly limitBitsPerSecond: number | null;
  readonly shares: number;
  /** The rate that its class has where that is least, of the usable uplinks; 0 where none is. */
  readonly grantedBitsPerSecond: number;
  /** By all uplinks, measured over the team's load window; null: not measured yet. */
  readonly sentBitsPerSecond: number | null;
  /** Packets that its class dropped since the class was made. */
  readonly drops: number;
}

/** Frames of one interface whose source address wasn't its own. */
export interface SourceStatus {
  /** The interface that they came in by. */
  readonly device: string;
  /** Whose tap it is; null: no domain's. */
  readonly domain: string | null;
  /** With another vNIC's address; counted since the interface has been judged. */
  readonly forgedFrames: number;
  /** With an address that is no vNIC's. */
  readonly unregisteredFrames: number;
}

/** What is done about source addresses, and what came of it. */
export interface SourcesStatus {
  readonly forged: SourceMode;
  readonly unregistered: SourceMode;
  /** Those with frames to tell of. */
  readonly interfaces: readonly SourceStatus[];
}

export interface TeamStatus {
  readonly name: string;
  readonly bond: string;
  /** null where the bond does not exist. */
  readonly mode: BondMode | null;
  readonly condition: TeamCondition;
  readonly activePort: string | null;
  readonly uplinks: readonly UplinkStatus[];
  /** The default class, then those that the configuration names. */
  readonly host: readonly HostClassStatus[];
  readonly reasons: readonly string[];
  readonly conflicts: readonly Conflict[];
  /** What loads are averaged over: the time constant of an exponentially weighted average. */
  readonly loadWindowMs: number;
  /** How evenly the uplinks are used, and what is done about it; null: `rebalance` is off. */
  readonly balance: Balance | null;
  /** null: nothing is done about source addresses. */
  readonly sources: SourcesStatus | null;
}

/** What a reservation is worth once an uplink is lost. */
export const GUARANTEES = ["holds with any one uplink lost", "best effort when degraded"] as const;
export type Guarantee = (typeof GUARANTEES)[number];

export interface VnicStatus {
  readonly mac: string;
  readonly tap: string | null;
  readonly team: string | null;
  /** Name of the policy that it has. */
  readonly policy: string;
  readonly priority: Priority;
  readonly home: string | null;
  /** Where its frames go now; differs from home while home is lost. */
  readonly via: string | null;
  /** HTB class as tc prints it: `7570:10`. */
  readonly classId: string | null;
  /** How often it changed uplink in the last 3 minutes, forced or not. */
  readonly recentMoves: number;
  /** As promised. */
  readonly reservationBitsPerSecond: number;
  readonly limitBitsPerSecond: number | null;
  /** Of what reaches it from the wire, which can be limited, never guaranteed; absent: not limited. */
  readonly inboundLimitBitsPerSecond?: number;
  /** What came for it from the wire since that limit was made, dropped or not; absent: not limited in the kernel. */
  readonly inboundBytes?: number;
  /** Packets of it that were dropped, as they were above the limit. */
  readonly inboundDrops?: number;
  readonly shares: number;
  /** The rate that its class has where it sends now. */
  readonly grantedBitsPerSecond: number;
  /** What it gets there at present, everyone's demand considered. */
  readonly expectedBitsPerSecond: number;
  /** Measured over the team's load window; null: not measured yet. */
  readonly sentBitsPerSecond: number | null;
  /** The same with what was dropped: what it would have sent. */
  readonly demandBitsPerSecond: number | null;
  /** Waiting in its queue at the last sample. */
  readonly backlogBytes: number;
  /** Packets that its class dropped since the class was made. */
  readonly drops: number;
  /** Whether the reservation still holds with any one uplink lost. */
  readonly survivesOneLoss: boolean;
  /** The same in words; null where nothing is reserved. */
  readonly guarantee: Guarantee | null;
  /** Why nothing of ours carries it; null where it is shaped. */
  readonly unshapedReason: string | null;
}

export interface MigrationStatus {
  /** Its name in uplinkd.yaml. */
  readonly destination: string;
  readonly sinceMs: number;
  /** The most that it may send. */
  readonly bandwidthBitsPerSecond: number;
}

export interface DomainStatus {
  readonly name: string;
  readonly phase: DomainPhase;
  readonly action: DomainAction;
  readonly pausedByUs: boolean;
  /** By an operator: shaped, never paused, discarded nor moved. */
  readonly held: boolean;
  /** Another manager that owns it, so that it is shaped, never paused or moved; null: none. */
  readonly owner: string | null;
  /** A migration by uplinkd that is under way; null: none. */
  readonly migration: MigrationStatus | null;
  readonly vnics: readonly VnicStatus[];
  readonly problems: readonly Problem[];
}

/** A difference between plan and kernel that is being mended, or could not be. */
export interface Drift {
  /** Key of the kernel object: `class nic0 7570:10`. */
  readonly object: string;
  readonly op: "add" | "change" | "delete";
  readonly sinceMs: number;
  /** Why it stands; "" while it is merely being mended. */
  readonly message: string;
}

/** An object that somebody else changes again and again, so that uplinkd leaves it for a while. */
export interface Contest {
  /** Key of the kernel object. */
  readonly object: string;
  /** How often it was changed since. */
  readonly times: number;
  readonly sinceMs: number;
  /** Who it is likely to be, and the evidence. */
  readonly who: string;
  /** Until then it stays as the other has left it, unless the plan changes. */
  readonly nextTryAtMs: number;
}

export interface Status {
  readonly daemon: DaemonStatus;
  readonly teams: readonly TeamStatus[];
  readonly domains: readonly DomainStatus[];
  readonly problems: readonly Problem[];
  readonly drift: readonly Drift[];
  readonly contests: readonly Contest[];
}
