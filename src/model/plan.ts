/** The planner's output: what should stand in the kernel, what is to be done to domains, and why. */
import type { Problem } from "./domain.ts";
import type { Conflict, KernelMap } from "./kernel.ts";
import type { Mac } from "./mac.ts";
import type { FailoverAction, Priority } from "./policy.ts";

/** What a vNIC's class has on one uplink. */
export interface ClassGrant {
  readonly uplink: string;
  /** The class's guaranteed rate (HTB rate). */
  readonly reservationBitsPerSecond: number;
  /** The class's ceiling (HTB ceil). */
  readonly limitBitsPerSecond: number;
}

export interface VnicPlan {
  readonly domain: string;
  readonly mac: Mac;
  readonly team: string;
  readonly priority: Priority;
  /** Where it belongs; null where no uplink has ever been usable. */
  readonly home: string | null;
  /** Where its frames go now; differs from home while home is lost. */
  readonly via: string | null;
  readonly minor: number;
  readonly classes: readonly ClassGrant[];
  /** What it gets on `via` as HTB shares it, all demands known or unbounded. */
  readonly expectedBitsPerSecond: number;
  readonly unmetReservationBitsPerSecond: number;
  /** Whether the reservation still holds with any one uplink lost. */
  readonly survivesOneLoss: boolean;
  readonly reasons: readonly string[];
}

export type DomainAction = "none" | FailoverAction | "resume";

/** Where a domain is moved to. */
export interface MigrationPlan {
  readonly destination: string;
  /** The most that it may send. */
  readonly bandwidthBitsPerSecond: number;
}

export interface DomainPlan {
  readonly domain: string;
  readonly action: DomainAction;
  /** To be begun, or under way and to go on; null: none, and one that is under way is to be aborted. */
  readonly migration: MigrationPlan | null;
  /** When the action is due, world time; at or before nowMs: now. Of `none` nothing is due, and it is 0. */
  readonly dueAtMs: number;
  readonly reasons: readonly string[];
}

export interface UplinkPlan {
  readonly name: string;
  readonly team: string;
  readonly usable: boolean;
  /** Speed less headroom; 0 where not usable. */
  readonly capacityBitsPerSecond: number;
  /** Sum of the rates of the classes that carry traffic there now. */
  readonly committedBitsPerSecond: number;
  readonly reason: string;
}

/** refused: it can't be managed as it is. barred: a canary leaves it out. */
export type TeamCondition = "ok" | "degraded" | "isolated" | "refused" | "barred";

/** A vNIC that evens out the load elsewhere. */
export interface BalanceMove {
  readonly domain: string;
  readonly mac: Mac;
  readonly from: string;
  readonly to: string;
  readonly loadBitsPerSecond: number;
  /** suggested: only shown; waiting: until its queue is empty; made: with this plan. */
  readonly state: "suggested" | "waiting" | "made";
  readonly reason: string;
}

/** How evenly a team's uplinks are used, and what is done about it. */
export interface Balance {
  readonly mode: "suggest" | "on";
  /** What the team carries, as a part of the capacity of its usable uplinks. */
  readonly evenUtilisation: number;
  /** Of usable uplinks. */
  readonly uplinks: readonly { readonly name: string; readonly utilisation: number }[];
  readonly moves: readonly BalanceMove[];
  /** Why there are moves, or none. */
  readonly reason: string;
}

export interface TeamPlan {
  readonly name: string;
  readonly bond: string;
  readonly condition: TeamCondition;
  readonly uplinks: readonly UplinkPlan[];
  readonly reasons: readonly string[];
  readonly conflicts: readonly Conflict[];
  /** null: not asked for, or the team isn't managed. */
  readonly balance: Balance | null;
}

export interface Plan {
  readonly teams: readonly TeamPlan[];
  readonly vnics: readonly VnicPlan[];
  readonly domains: readonly DomainPlan[];
  /** Complete desired kernel objects of all teams that aren't refused. */
  readonly kernel: KernelMap;
  /** When the planner wants to be asked again although nothing happened; null: not needed. */
  readonly nextWakeAtMs: number | null;
  readonly problems: readonly Problem[];
}
