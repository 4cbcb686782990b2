/** uplinkd.yaml and its drop-ins laid together, every default filled in. */
import {
  type Cap,
  type Config,
  type Destination,
  type RebalanceRules,
  type SourceRules,
  type TeamConfig,
  UNJUDGED,
  type UplinkConfig,
} from "../model/config.ts";
import type { HostShare } from "../model/host-traffic.ts";
import { FAILOVER_ACTIONS } from "../model/policy.ts";
import type { ProbeRules, ProbeTarget } from "../model/probe.ts";
import type { ConfigFile, TeamFile } from "./config-file.ts";
import { buildHostClasses } from "./host-file.ts";

/** Every default of a team; the only place where they are stated. */
const TEAM_DEFAULTS = {
  /** Below line rate by more than preamble, gap and FCS cost small frames, or HTB isn't the bottleneck. */
  headroom: 0.05,
  /** Enough for ARP, TCP's probes and a heartbeat; HTB starves lower priorities without it. */
  floorBitsPerSecond: 100e3,
  /** STP's forwarding delay twice: a switch port that has carrier may not forward yet. */
  holdDownMs: 30e3,
  /** An uplink that comes and goes all day is then tried a few times an hour. */
  holdDownMaxMs: 10 * 60e3,
  /** The bond's own settings stay as they are until the operator asks. */
  bondUpdelayMs: null,
  loadWindowMs: 10e3,
  rebalance: {
    /** Nothing moves that worked until now, unless the operator asks. */
    mode: "off",
    /** Less is not worth a move: nobody notices whether an uplink is used by 45 or by 55 %. */
    threshold: 0.1,
    /** Longer than MOVE_WINDOW_MS, so that evening out leaves a MAC's moves to failures; loads of people change in minutes. */
    coolDownMs: 5 * 60e3,
  },
  /** A guest with several addresses would lose some of them, unasked. */
  sources: UNJUDGED,
} as const;

/** Every default of probes, where they are configured at all. */
const PROBE_DEFAULTS = {
  /** A dead path is left within 2.5 s; a gateway gets one ARP request a second and uplink, by unicast. */
  intervalMs: 1000,
  /** One frame may be lost, and one more in a burst; three looks, 1.5 s, span what a busy switch drops. */
  losses: 3,
  /** A gateway that is rebooted is no uplink's loss. */
  require: "any",
} as const;

/** Every default of a host's share: enough for ssh and libvirt's control, not for a migration's bulk. */
const HOST_DEFAULTS: HostShare = {
  reservationBitsPerSecond: 10e6,
  limitBitsPerSecond: null,
  shares: 100,
  priority: "normal",
};

/** Every default of the rest. */
const DEFAULTS: Config = {
  teams: [],
  autoTeams: true,
  admission: { mode: "warn", survive: 0 },
  annotations: "lenient",
  caps: [],
  owners: [],
  destinations: [],
  migration: {
    // A second one halves what each gets, and most of the first's second half is then sent again.
    concurrent: 1,
    bandwidthBitsPerSecond: null,
    // 4 GiB at 1 Gbit/s take 40 s; one that isn't done by then writes faster than is sent.
    timeoutMs: 5 * 60e3,
    retryMs: 10 * 60e3,
  },
  maxPauseMs: 15 * 60e3,
  resyncMs: 10e3,
  // One may be lost in the queue of a switch that is busy with the same failure; the last comes after the first rush.
  announcements: { count: 3, intervalMs: 500 },
};

/**
 * Lays files over each other in order and fills in defaults. A later file's value replaces an earlier one's;
 * of `teams` an entry replaces the earlier entry of the same bond, of `destinations` that of the same name, others are added; `caps` and `owners` are added, so that
 * a drop-in can't lift what the main file caps.
 */
export function buildConfig(files: readonly ConfigFile[]): Config {
  let config = DEFAULTS;
  for (const file of files) config = layOver(config, file);
  return config;
}

/** The team of a bond that no file names. */
export function defaultTeam(bond: string): TeamConfig {
  return buildTeam({ bond });
}

function layOver(base: Config, file: ConfigFile): Config {
  const { admission } = file;
  const mode = typeof admission === "object" ? admission.mode : admission;
  const survive = typeof admission === "object" ? admission.survive : file.survive;
  return {
    ...layTeams(base, file.teams),
    admission: {
      mode: mode ?? base.admission.mode,
      survive: survive ?? file.survive ?? base.admission.survive,
    },
    annotations: file.annotations ?? base.annotations,
    caps: [...base.caps, ...(file.caps ?? []).map(buildCap)],
    owners: [...base.owners, ...(file.owners ?? [])],
    destinations: layDestinations(base.destinations, file.destinations),
    migration: {
      concurrent: file.migration?.concurrent ?? base.migration.concurrent,
      bandwidthBitsPerSecond: file.migration?.bandwidth ?? base.migration.bandwidthBitsPerSecond,
      timeoutMs: file.migration?.timeout ?? base.migration.timeoutMs,
      retryMs: file.migration?.retry ?? base.migration.retryMs,
    },
    maxPauseMs: file.maxPause ?? base.maxPauseMs,
    resyncMs: file.resync ?? base.resyncMs,
    announcements: layAnnouncements(base.announcements, file.announcements),
  };
}

function layDestinations(
  base: readonly Destination[],
  file: ConfigFile["destinations"],
): readonly Destination[] {
  const byName = new Map(base.map((destination) => [destination.name, destination]));
  for (const { name, uri, migrateUri } of file ?? [])
    byName.set(name, { name, uri, migrateUri: migrateUri ?? null });
  return [...byName.values()];
}

function layAnnouncements(
  base: Config["announcements"],
  file: ConfigFile["announcements"],
): Config["announcements"] {
  if (file === undefined) return base;
  if (file === "off") return null;
  const below = base ?? DEFAULTS.announcements;
  return below === null
    ? null
    : {
        count: file.count ?? below.count,
        intervalMs: file.interval ?? below.intervalMs,
      };
}

function layTeams(base: Config, teams: ConfigFile["teams"]): Pick<Config, "teams" | "autoTeams"> {
  if (teams === undefined) return { teams: base.teams, autoTeams: base.autoTeams };
  if (teams === "auto") return { teams: [], autoTeams: true };
  const byBond = new Map(base.teams.map((team) => [team.bond, team]));
  for (const team of teams) byBond.set(team.bond, buildTeam(team));
  return { teams: [...byBond.values()], autoTeams: false };
}

function buildTeam(file: TeamFile): TeamConfig {
  const { host } = file;
  const { holdDownMs: usual, holdDownMaxMs: usualMax } = TEAM_DEFAULTS;
  const holdDownMs = file.holdDown ?? Math.min(usual, file.holdDownMax ?? usual);
  return {
    name: file.name ?? file.bond,
    bond: file.bond,
    uplinks: (file.uplinks ?? []).map(buildUplink),
    headroom: file.headroom ?? TEAM_DEFAULTS.headroom,
    host: {
      reservationBitsPerSecond: host?.reservation ?? defaultHostReservation(host?.limit),
      limitBitsPerSecond: host?.limit ?? HOST_DEFAULTS.limitBitsPerSecond,
      shares: host?.shares ?? HOST_DEFAULTS.shares,
      priority: host?.priority ?? HOST_DEFAULTS.priority,
    },
    hostClasses: buildHostClasses(host),
    floorBitsPerSecond: file.floor ?? TEAM_DEFAULTS.floorBitsPerSecond,
    holdDownMs,
    holdDownMaxMs: file.holdDownMax ?? Math.max(holdDownMs, usualMax),
    bondUpdelayMs:
      file.bondUpdelay === undefined || file.bondUpdelay === "keep"
        ? TEAM_DEFAULTS.bondUpdelayMs
        : file.bondUpdelay,
    steering: file.steering ?? null,
    loadWindowMs: file.loadWindow ?? TEAM_DEFAULTS.loadWindowMs,
    rebalance: buildRebalance(file.rebalance),
    sources: buildSources(file.sources),
    probes: file.probes === undefined || file.probes === "off" ? null : buildProbes(file.probes),
  };
}

function buildRebalance(file: TeamFile["rebalance"]): RebalanceRules {
  const { mode, threshold, coolDown } = typeof file === "string" ? { mode: file } : (file ?? {});
  const defaults = TEAM_DEFAULTS.rebalance;
  return {
    mode: mode ?? defaults.mode,
    threshold: threshold ?? defaults.threshold,
    coolDownMs: coolDown ?? defaults.coolDownMs,
  };
}

function buildSources(file: TeamFile["sources"]): SourceRules {
  if (typeof file === "string") return { forged: file, unregistered: file };
  const { forged, unregistered } = TEAM_DEFAULTS.sources;
  return { forged: file?.forged ?? forged, unregistered: file?.unregistered ?? unregistered };
}

/** A small limit that someone sets must not be contradicted by the default reservation. */
function defaultHostReservation(limitBitsPerSecond: number | undefined): number {
  return Math.min(
    HOST_DEFAULTS.reservationBitsPerSecond,
    limitBitsPerSecond ?? Number.POSITIVE_INFINITY,
  );
}

function buildUplink(file: NonNullable<TeamFile["uplinks"]>[number]): UplinkConfig {
  if (typeof file === "string") return { name: file, label: null, speedBitsPerSecond: null };
  return {
    name: file.name,
    label: file.label ?? null,
    speedBitsPerSecond: file.speed ?? null,
  };
}

type ProbesFile = Exclude<NonNullable<TeamFile["probes"]>, "off">;

function buildProbes(file: ProbesFile): ProbeRules {
  const targets = (file.targets ?? []).map((target): ProbeTarget => {
    if (typeof target === "string") return { address: target, vlanId: 0, sources: {} };
    const { address, vlan, sources } = target;
    const own = (sources ?? []).map((source) => [source.uplink, source.address] as const);
    return { address, vlanId: vlan ?? 0, sources: Object.fromEntries(own) };
  });
  // Where targets are, uplinks reach each other, too; a trunk's native VLAN is often nobody's.
  const vlanIds = targets.length === 0 ? [0] : targets.map(({ vlanId }) => vlanId);
  const between = file.between ?? vlanIds;
  return {
    intervalMs: file.interval ?? PROBE_DEFAULTS.intervalMs,
    losses: file.losses ?? PROBE_DEFAULTS.losses,
    targets,
    require: file.require ?? PROBE_DEFAULTS.require,
    betweenVlanIds: between === "off" ? [] : [...new Set(between)],
  };
}

function buildCap(file: NonNullable<ConfigFile["caps"]>[number]): Cap {
  return {
    domain: file.domain,
    maxPriority: file.maxPriority ?? "critical",
    maxReservationBitsPerSecond: file.maxReservation ?? null,
    actions: file.actions ?? FAILOVER_ACTIONS,
  };
}
