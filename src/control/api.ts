/**
 * The local API: what is asked and answered over control.sock (root's) and read.sock (a group's, GET only).
 * uplinkctl speaks it and nothing else. Documents are a promise: keys are added, never renamed.
 */
import type { Problem } from "../model/domain.ts";
import type { UplinkEvent } from "../model/event.ts";
import type { NetworkPolicy } from "../model/policy.ts";
import type { Scope } from "../model/scope.ts";
import type { SimulationDocument } from "../model/simulation.ts";
import type { DaemonStatus, DomainStatus, Status } from "../model/status.ts";

/** GET /v1/explain/DOMAIN: why it has what it has. */
export interface Explanation {
  readonly domain: DomainStatus;
  /** Why something is done to it, or isn't. */
  readonly reasons: readonly string[];
  readonly vnics: readonly {
    readonly mac: string;
    /** With every gap filled; durations and rates with their units in the keys. */
    readonly policy: NetworkPolicy;
    /** The planner's, in its order: placement, rates, failure. */
    readonly reasons: readonly string[];
    /** What its class has on each uplink of its team. */
    readonly classes: readonly {
      readonly uplink: string;
      readonly reservationBitsPerSecond: number;
      readonly limitBitsPerSecond: number;
    }[];
  }[];
  /** The team's own, for each team that a vNIC of it is in. */
  readonly teams: readonly { readonly name: string; readonly reasons: readonly string[] }[];
}

/** GET /v1/events?since=N: those after sequence N that are still in memory, oldest first. */
export interface EventPage {
  readonly events: readonly UplinkEvent[];
  /** The newest sequence there is: the next `since`. */
  readonly lastSequence: number;
  /** Whether some after N are no longer in memory. */
  readonly missed: boolean;
}

/** POST /v1/release, POST /v1/observe. */
export interface ReleaseAnswer {
  /** What was taken away or put back, a line each. */
  readonly steps: readonly string[];
  /** What could not be restored; empty when the host is as it was. */
  readonly problems: readonly Problem[];
}

/** What to enable: all, or a part as a canary. */
export type EnablePart =
  | { readonly kind: "host" }
  | { readonly kind: "team"; readonly team: string }
  | { readonly kind: "domain"; readonly domain: string };

/** POST /v1/enable[?team=NAME|domain=NAME][&confirmMs=N]. */
export interface EnableAnswer {
  /** observing where the daemon was started to change nothing. */
  readonly mode: DaemonStatus["mode"];
  /** What is enabled now. */
  readonly scope: Scope;
  /** When it is rolled back unless confirmed; null: it isn't. */
  readonly confirmByMs: number | null;
  /** What could not be put in force; empty when all of the plan is. */
  readonly problems: readonly Problem[];
}

/** POST /v1/hold/DOMAIN and /v1/unhold/DOMAIN. */
export interface HoldAnswer {
  readonly domain: string;
  readonly held: boolean;
}

/** POST /v1/drain/UPLINK[?force=1] and /v1/undrain/UPLINK. */
export interface DrainAnswer {
  readonly uplink: string;
  readonly drained: boolean;
  /** Domains that send by it. */
  readonly carries: readonly string[];
  /** What breaks by a drain that was forced. */
  readonly reasons: readonly string[];
  /** What the kernel doesn't hold yet as planned; only without any may the cable be pulled. */
  readonly problems: readonly string[];
}

/** POST /v1/confirm. */
export interface ConfirmAnswer {
  /** False where nothing waited for it. */
  readonly confirmed: boolean;
}

/** The body of every answer that isn't 2xx. */
export interface ErrorAnswer {
  readonly error: {
    /** An error's kind of model/errors.ts, or: not-found, method, forbidden, request, timeout, internal. */
    readonly kind: string;
    readonly object: string;
    readonly message: string;
    readonly remedy: string;
  };
}

/** Observations by their upper bounds; each bucket holds those below it, too. */
export interface HistogramCounts {
  readonly buckets: readonly { readonly boundSeconds: number; readonly count: number }[];
  readonly sumSeconds: number;
  readonly count: number;
}

/** Since the daemon's start. */
export interface Durations {
  /** From the kernel's event of a loss to the prepared plan's last byte sent. */
  readonly failover: HistogramCounts;
  /** Building the world and planning it, losses and all. */
  readonly plan: HistogramCounts;
  /** Writing a plan's changes to the kernel, of runs that had any. */
  readonly apply: HistogramCounts;
  readonly conditions: readonly {
    readonly team: string;
    readonly condition: string;
    readonly seconds: number;
  }[];
}

export interface Measurements {
  /** How often each event was told since the start, by its id. */
  readonly events: ReadonlyMap<string, number>;
  readonly durations: Durations;
}

/** What the server asks of the daemon. Errors of model/errors.ts reach the caller as they are. */
export interface ControlHandlers {
  status(): Status | Promise<Status>;
  /** @returns null where there is no such domain */
  explain(domain: string): Explanation | null | Promise<Explanation | null>;
  /** For suggestions where a name was mistyped. */
  domainNames(): readonly string[];
  /** GET /v1/simulate?fail=UPLINK&fail=...: what the loss would bring. @param failed uplinks of {@link uplinkNames} */
  simulate(failed: readonly string[]): SimulationDocument | Promise<SimulationDocument>;
  /** Those that can be asked about. */
  uplinkNames(): readonly string[];
  events(sinceSequence: number): EventPage;
  /** What only the metrics tell. */
  measurements(): Measurements;
  /** Calls the listener with every later event until the returned function is called. */
  followEvents(listener: (event: UplinkEvent) => void): () => void;
  release(): ReleaseAnswer | Promise<ReleaseAnswer>;
  /** Never pauses nor discards a domain. @returns null where there is no such domain */
  hold(domain: string): Promise<HoldAnswer | null>;
  unhold(domain: string): Promise<HoldAnswer | null>;
  /** Moves everything off an uplink of {@link uplinkNames}. */
  drain(uplink: string, force: boolean): Promise<DrainAnswer>;
  undrain(uplink: string): Promise<DrainAnswer>;
  /** Releases, and then only plans and shows. */
  observe(): ReleaseAnswer | Promise<ReleaseAnswer>;
  /**
   * Enforces a part of {@link teamNames} or {@link domainNames}, or all; rolled back after so long unless confirmed,
   * where that isn't null.
   */
  enable(confirmWithinMs: number | null, part: EnablePart): EnableAnswer | Promise<EnableAnswer>;
  /** Those that can be enabled alone. */
  teamNames(): readonly string[];
  confirm(): ConfirmAnswer;
}
