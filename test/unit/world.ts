/** Small worlds for tests of the planner: everything has a default, a test states what it is about. */
import type { TeamConfig } from "../../src/model/config.ts";
import type { DomainPhase } from "../../src/model/domain.ts";
import { type Mac, parseMac } from "../../src/model/mac.ts";
import type { Plan, VnicPlan } from "../../src/model/plan.ts";
import { FALLBACK_POLICY, mergePolicy, type NetworkWish } from "../../src/model/policy.ts";
import type {
  DomainState,
  MigrationRecord,
  Move,
  PauseRecord,
  Refusal,
  TeamState,
  UplinkState,
  VnicState,
  World,
} from "../../src/model/world.ts";

/** Now in all worlds, milliseconds. */
export const NOW = 1_000_000_000;

export const MBIT = 1e6;
export const GBIT = 1e9;

export type UplinkSpec = Partial<UplinkState> & { readonly name: string };

export interface VnicSpec extends NetworkWish {
  /** Bits per second, as measured; null: not measured. */
  readonly demand?: number | null;
  /** How long that is measured; an hour by default. */
  readonly measuredForMs?: number;
  readonly backlogBytes?: number;
  readonly latched?: number | null;
  readonly home?: string;
  readonly via?: string | null;
  readonly recentMoves?: readonly Move[];
}

export interface DomainSpec {
  readonly name: string;
  readonly phase?: DomainPhase;
  readonly held?: boolean;
  readonly owner?: string;
  readonly exempt?: string;
  readonly pausedByUs?: PauseRecord;
  readonly migration?: MigrationRecord;
  readonly refusals?: readonly Refusal[];
  readonly vnics: readonly VnicSpec[];
}

export interface WorldSpec {
  readonly uplinks: readonly UplinkSpec[];
  readonly domains?: readonly DomainSpec[];
  readonly config?: Partial<TeamConfig>;
  readonly active?: string | null;
  /** Of the bond, on top of an active-backup one's. */
  readonly bond?: Partial<NonNullable<TeamState["bond"]>>;
  readonly hostDemand?: number;
  readonly passedOnFrom?: TeamState["passedOnFrom"];
  /** In the order of the configuration's classes. */
  readonly hostClassDemands?: readonly (number | null)[];
  readonly lastMoveAtMs?: number;
  readonly movesWaitSinceMs?: number;
  readonly hypothetical?: boolean;
}

/** Nothing that a test or a benchmark of the planner would trip over. */
export const PLAIN_CONFIG: World["config"] = {
  teams: [],
  autoTeams: true,
  admission: { mode: "off", survive: 0 },
  annotations: "lenient",
  caps: [],
  owners: [],
  destinations: [],
  migration: { concurrent: 1, bandwidthBitsPerSecond: null, timeoutMs: 300_000, retryMs: 600_000 },
  maxPauseMs: 600_000,
  resyncMs: 60_000,
  announcements: null,
};

/** One team `bond0`, no headroom, no host traffic and no floors unless `config` says so. */
export function buildWorld(spec: WorldSpec): World {
  const uplinks = spec.uplinks.map(buildUplink);
  const minors = { next: 0x10 };
  return {
    nowMs: NOW,
    ...(spec.hypothetical === undefined ? {} : { hypothetical: spec.hypothetical }),
    config: PLAIN_CONFIG,
    teams: [buildTeam(spec, uplinks)],
    domains: (spec.domains ?? []).map((domain, index) => buildDomain(domain, index, minors)),
    kernel: new Map(),
  };
}

function buildUplink(spec: UplinkSpec, index: number): UplinkState {
  return {
    ifindex: 2 + index,
    label: null,
    speedBitsPerSecond: 10 * GBIT,
    adminUp: true,
    carrier: true,
    bondUp: true,
    inBond: true,
    distributing: true,
    healthy: true,
    pathReason: "",
    probeMac: null,
    drainedAtMs: null,
    holdDownMs: 30_000,
    queueId: index + 1,
    txQueues: 1,
    lostAtMs: null,
    returnedAtMs: null,
    ...spec,
  };
}

function buildTeam(spec: WorldSpec, uplinks: readonly UplinkState[]): TeamState {
  const mode = spec.bond?.mode ?? "active-backup";
  const first = mode === "active-backup" ? (uplinks[0]?.name ?? null) : null;
  const active = spec.active === undefined ? first : spec.active;
  return {
    config: {
      name: "bond0",
      bond: "bond0",
      uplinks: uplinks.map(({ name, label }) => ({ name, label, speedBitsPerSecond: null })),
      headroom: 0,
      host: {
        reservationBitsPerSecond: 0,
        limitBitsPerSecond: null,
        shares: 100,
        priority: "normal",
      },
      hostClasses: [],
      floorBitsPerSecond: 0,
      holdDownMs: 30_000,
      holdDownMaxMs: 600_000,
      bondUpdelayMs: null,
      loadWindowMs: 10_000,
      rebalance: { mode: "off", threshold: 0.1, coolDownMs: 300_000 },
      sources: { forged: "off", unregistered: "off" },
      steering: null,
      probes: null,
      ...spec.config,
    },
    bond: {
      name: "bond0",
      ifindex: 9,
      mode,
      activePort: active,
      primaryPort: null,
      miimonMs: 100,
      updelayMs: 0,
      txQueues: 16,
      hashPolicy: "vlan+srcmac",
      portOrder: uplinks.map(({ name }) => name),
      ...spec.bond,
    },
    uplinks,
    conflicts: [],
    hostDemandBitsPerSecond: spec.hostDemand ?? null,
    hostClassDemandsBitsPerSecond: spec.hostClassDemands ?? [],
    hostMacs: [HOST_MAC],
    passedOnFrom: spec.passedOnFrom ?? [{ name: "vnet0", ifindex: 30 }],
    lastMoveAtMs: spec.lastMoveAtMs ?? null,
    movesWaitSinceMs: spec.movesWaitSinceMs ?? null,
  };
}

function buildDomain(spec: DomainSpec, index: number, minors: { next: number }): DomainState {
  return {
    name: spec.name,
    uuid: `00000000-0000-4000-8000-${index.toString(16).padStart(12, "0")}`,
    phase: spec.phase ?? "running",
    vnics: spec.vnics.map((vnic, position) => buildVnic(vnic, index, position, minors)),
    problems: [],
    owner: spec.owner ?? null,
    held: spec.held ?? false,
    pausedByUs: spec.pausedByUs ?? null,
    exempt: spec.exempt ?? null,
    migration: spec.migration ?? null,
    refusals: spec.refusals ?? [],
  };
}

function buildVnic(
  spec: VnicSpec,
  domain: number,
  position: number,
  minors: { next: number },
): VnicState {
  const { demand = null, latched = null, home, via, recentMoves, ...rest } = spec;
  const { measuredForMs = 3600e3, backlogBytes = 0, ...wish } = rest;
  const minor = minors.next++;
  return {
    mac: macOf(domain, position),
    vlanIds: [0],
    recentMoves: recentMoves ?? [],
    team: "bond0",
    unshapedReason: null,
    tap: `vnet${domain}`,
    isMacvtap: false,
    policy: mergePolicy(FALLBACK_POLICY, wish),
    kernel:
      home === undefined
        ? null
        : { minor, handle: minor, home, via: via === undefined ? home : via },
    demandBitsPerSecond: demand,
    measuredSinceMs: demand === null ? null : NOW - measuredForMs,
    backlogBytes,
    latchedDemandBitsPerSecond: latched,
  };
}

/** An address of the host's. */
export const HOST_MAC = "52:55:00:00:00:09" as Mac;

/** The MAC that the vNIC at `position` of the domain at `domain` has. */
export function macOf(domain: number, position = 0) {
  const hex = (value: number) => value.toString(16).padStart(2, "0");
  const mac = parseMac(`52:54:00:${hex(domain >> 8)}:${hex(domain & 255)}:${hex(position)}`);
  if (mac === null) throw new Error(`domain ${domain} has no MAC`);
  return mac;
}

/** The world with one team or uplinks changed. */
export function withUplink(world: World, name: string, change: Partial<UplinkState>): World {
  return {
    ...world,
    teams: world.teams.map((team) => ({
      ...team,
      uplinks: team.uplinks.map((uplink) =>
        uplink.name === name ? { ...uplink, ...change } : uplink,
      ),
    })),
  };
}

/** The plan of a domain's first vNIC. */
export function vnicOf(plan: Plan, domain: string): VnicPlan {
  const found = plan.vnics.find((vnic) => vnic.domain === domain);
  if (found === undefined) throw new Error(`no vNIC of ${domain} is planned`);
  return found;
}

/** The rate of a domain's class on an uplink, bits per second. */
export function rateOn(plan: Plan, domain: string, uplink: string): number {
  const grant = vnicOf(plan, domain).classes.find((found) => found.uplink === uplink);
  if (grant === undefined) throw new Error(`${domain} has no class on ${uplink}`);
  return grant.reservationBitsPerSecond;
}

export function actionOf(plan: Plan, domain: string): string {
  return plan.domains.find((found) => found.domain === domain)?.action ?? "not planned";
}
