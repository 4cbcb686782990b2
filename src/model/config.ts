/** The daemon's configuration (uplinkd.yaml) with every default filled in. */
import type { HostClass, HostShare } from "./host-traffic.ts";
import type { FailoverAction, Priority } from "./policy.ts";
import type { ProbeRules } from "./probe.ts";

export interface UplinkConfig {
  readonly name: string;
  /** A name that survives a migration to another host; null for none. */
  readonly label: string | null;
  /** Stated speed, which wins over the driver's; null to ask the driver. */
  readonly speedBitsPerSecond: number | null;
}

/** Whether vNICs are moved to even out what uplinks carry: not at all, shown only, done. */
export const REBALANCE_MODES = ["off", "suggest", "on"] as const;

/** When and how far a team's load is evened out. */
export interface RebalanceRules {
  readonly mode: (typeof REBALANCE_MODES)[number];
  /** How far an uplink's utilisation may be from the team's, as a part of its capacity: 0.1 for 10 %. */
  readonly threshold: number;
  /** How long a vNIC stays where it is after any change of its uplink. */
  readonly coolDownMs: number;
}

/** What is done about a frame whose source address isn't its sender's: nothing, counted and told, discarded. */
export const SOURCE_MODES = ["off", "log", "drop"] as const;
export type SourceMode = (typeof SOURCE_MODES)[number];

/** Whether source addresses are held to who sends them; what isn't dropped goes by the default class. */
export interface SourceRules {
  /** A vNIC's address from another interface than its tap. */
  readonly forged: SourceMode;
  /** From a guest's tap, or a bridge port that is no tap: an address that is no vNIC's. */
  readonly unregistered: SourceMode;
}

/** Source addresses are believed as they come. */
export const UNJUDGED: SourceRules = { forged: "off", unregistered: "off" };

export interface TeamConfig {
  /** Its name in status; by default the bond's. */
  readonly name: string;
  readonly bond: string;
  /** In the order of configuration; empty to take every port of the bond. */
  readonly uplinks: readonly UplinkConfig[];
  /** Part of each uplink's speed that is left unused, so that HTB and not the NIC queues: 0.05 for 5 %. */
  readonly headroom: number;
  /** Unclassified traffic: the host itself, unregistered sources. */
  readonly host: HostShare;
  /** The host's traffic that has classes of its own, in the order of HOST_CLASSES; none by default. */
  readonly hostClasses: readonly HostClass[];
  /** Every vNIC's least rate, however degraded. */
  readonly floorBitsPerSecond: number;
  /** How long a returned uplink must keep its carrier before vNICs go home. */
  readonly holdDownMs: number;
  /** Bound of the hold-down of an uplink that comes and goes, which doubles each time; at least holdDownMs. */
  readonly holdDownMaxMs: number;
  /** Set the bond's updelay to this (with the operator's consent by writing it); null leaves it alone. */
  readonly bondUpdelayMs: number | null;
  /** balance-xor and 802.3ad: what chooses vNICs' ports; null: bonding's own hash. */
  readonly steering: "redirect" | "hash" | null;
  /** Window of the load averages: time constant of an exponentially weighted average. */
  readonly loadWindowMs: number;
  readonly rebalance: RebalanceRules;
  readonly sources: SourceRules;
  /** null: a link that is up counts as a path that works. */
  readonly probes: ProbeRules | null;
}

/** Upper bounds for what annotations may ask for; the first entry whose pattern matches holds. */
export interface Cap {
  /** Glob over the domain's name: `web-*`. */
  readonly domain: string;
  readonly maxPriority: Priority;
  readonly maxReservationBitsPerSecond: number | null;
  readonly actions: readonly FailoverAction[];
}

/** Domains that another manager owns without a trace of it in their XML; the first entry that matches holds. */
export interface OwnerPattern {
  /** Glob over the domain's name: `ha-*`. */
  readonly domain: string;
  /** The manager's name, for reasons: `pacemaker`. */
  readonly manager: string;
}

/** A libvirt host that domains may be moved to; annotations and policies know it by its name only. */
export interface Destination {
  readonly name: string;
  /** As this host's libvirtd reaches the other's: `qemu+tls://host2.example/system`. */
  readonly uri: string;
  /** Where the guest's memory is sent: `tcp://10.1.0.2`; null: as the destination's libvirt answers. */
  readonly migrateUri: string | null;
}

/** How domains are moved. */
export interface MigrationRules {
  /** So many of ours at once; libvirt-dbus has four workers, and two must be left for everything else. */
  readonly concurrent: 1 | 2;
  /** The most that one may send; null: what reservations leave. */
  readonly bandwidthBitsPerSecond: number | null;
  /** After so long it is aborted. */
  readonly timeoutMs: number;
  /** A destination to which a domain couldn't be moved isn't asked again for it for so long. */
  readonly retryMs: number;
}

/** How a vNIC is announced after it changed uplink. */
export interface AnnouncementRules {
  /** Frames a move, one a VLAN each time. */
  readonly count: number;
  /** Between two of them. */
  readonly intervalMs: number;
}

export interface Config {
  readonly teams: readonly TeamConfig[];
  /** No teams were named: every active-backup bond that is a bridge's port is taken, with the defaults. */
  readonly autoTeams: boolean;
  readonly admission: { readonly mode: "off" | "warn" | "enforce"; readonly survive: 0 | 1 };
  readonly annotations: "lenient" | "strict";
  readonly caps: readonly Cap[];
  readonly owners: readonly OwnerPattern[];
  /** In the order in which they are asked where a policy names none. */
  readonly destinations: readonly Destination[];
  readonly migration: MigrationRules;
  /** Bound of every pause by us. */
  readonly maxPauseMs: number;
  /** How often everything is read anew and compared. */
  readonly resyncMs: number;
  /** null: nothing is announced. */
  readonly announcements: AnnouncementRules | null;
}
