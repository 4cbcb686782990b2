/** What the daemon's loop needs of the world outside: the kernel's side and libvirt's side, as interfaces. */
import type { NetlinkError } from "../model/errors.ts";
import type { InboundCount } from "../model/inbound-count.ts";
import type { ClassCounters, Conflict, KernelMap } from "../model/kernel.ts";
import type { LinkState } from "../model/link.ts";
import type { Mac } from "../model/mac.ts";
import type { PathState } from "../model/probe.ts";
import type { SourceCount } from "../model/source-count.ts";
import type { Step } from "../model/step.ts";

/** A bond and its ports, by name. */
export interface TeamDevices {
  readonly bond: string;
  readonly ports: readonly string[];
}

export interface KernelSnapshot {
  readonly objects: KernelMap;
  readonly conflicts: readonly Conflict[];
  readonly counters: readonly ClassCounters[];
  readonly sourceCounts: readonly SourceCount[];
  readonly inboundCounts: readonly InboundCount[];
  /** Devices whose clsact holds others' filters, too. */
  readonly sharedHooks: readonly string[];
}

/**
 * How the kernel is read: anew; anew and to be kept for who comes next; or as it was kept a moment ago, if nobody was heard of
 * since who changed anything. What links say themselves is never kept.
 */
export type Reading = "anew" | "to keep" | "as kept";

/** All calls end when the kernel has answered; they take milliseconds, never wait for events. */
export interface KernelPort {
  readonly readLinks: () => readonly LinkState[];
  /** What stands there, on links as they were last read. */
  readonly readKernel: (teams: readonly TeamDevices[], reading?: Reading) => KernelSnapshot;
  readonly readCounters: (teams: readonly TeamDevices[]) => readonly ClassCounters[];
  /** Runs the steps in order, all of them; returns the refusals. */
  readonly apply: (steps: readonly Step[]) => Promise<readonly NetlinkError[]>;
  /** Lays ready what is to be sent the moment that this port is lost; replaces what lay there. */
  readonly arm: (port: string, steps: readonly Step[]) => void;
  /** How many prepared plans have been sent, or are about to be: what the kernel shows of one is counted already. */
  readonly reactions: () => number;
}

/** Sends frames as they are, by an uplink of choice; never waits. */
export interface FramePort {
  /** @returns null, or why the frame didn't leave */
  readonly send: (ifindex: number, frame: Uint8Array) => string | null;
  readonly close: () => void;
}

/** What libvirt is asked for when a domain is to be moved. */
export interface MigrationCall {
  /** libvirt's URI of the other host. */
  readonly uri: string;
  readonly migrateUri: string | null;
  readonly bandwidthBitsPerSecond: number;
  /** An answer that takes longer is none. */
  readonly timeoutMs: number;
}

export type DomainJob = "none" | "migration" | "other";
/** What is known of paths behind links. */
export interface PathSource {
  /** Who isn't named is healthy. */
  readonly paths: ReadonlyMap<string, PathState>;
  /** The host's block of MACs for probes, see probeBlock. */
  readonly block: Mac;
}

/** What comes in by one uplink, past the bond; never waits. */
export interface EarPort {
  /** Frames to its probes' MAC since the last call. */
  readonly answers: () => readonly { readonly vlanId: number; readonly frame: Uint8Array }[];
  /** Frames to groups since the last call; the first few of many. */
  readonly floods: () => readonly Uint8Array[];
  readonly close: () => void;
}

export type DomainRunState = "running" | "paused" | "other" | "absent";

/** Calls to libvirt; each has a deadline of its own and rejects with LibvirtError. */
export interface LibvirtPort {
  readonly suspend: (uuid: string) => Promise<void>;
  readonly resume: (uuid: string) => Promise<void>;
  readonly stateOf: (uuid: string) => Promise<DomainRunState>;
  /** Settles when the domain runs there and is gone from here. */
  readonly migrate: (uuid: string, call: MigrationCall) => Promise<void>;
  /** The long job of libvirt's that is under way; other: a save, a dump, a backup. */
  readonly jobOf: (uuid: string) => Promise<DomainJob>;
  /** Ends that job; the domain then goes on here. */
  readonly abortJob: (uuid: string) => Promise<void>;
}
