/** Puts what was observed together into the planner's world. Pure. */
import type { Config, TeamConfig } from "../model/config.ts";
import type { DomainDefinition, DomainPhase, Problem, VnicDefinition } from "../model/domain.ts";
import type { HostClassName, HostShare } from "../model/host-traffic.ts";
import type { ClassCounters, Conflict, KernelMap } from "../model/kernel.ts";
import { DEFAULT_MINOR, HOST_CLASS_MINORS, parseActionIndex, ROOT_MINOR } from "../model/layout.ts";
import type { LinkState } from "../model/link.ts";
import type { Mac } from "../model/mac.ts";
import type { NetworkPolicy } from "../model/policy.ts";
import { type PathState, probeMac } from "../model/probe.ts";
import type { Scope } from "../model/scope.ts";
import type {
  DomainState,
  MigrationRecord,
  PauseRecord,
  Refusal,
  TeamState,
  UplinkState,
  VnicState,
  World,
} from "../model/world.ts";
import { attachmentResolver, detachedBridge } from "./attachment.ts";
import type { BalanceMemory } from "./balance.ts";
import { confine } from "./canary.ts";
import { type LoadMemory, loadKey } from "./demand.ts";
import { findHost } from "./host.ts";
import type { MoveMemory } from "./moves.ts";
import { holdDownOf, type UplinkMemories } from "./uplinks.ts";

/** A domain as the registry holds it. */
export interface KnownDomain {
  readonly definition: DomainDefinition;
  readonly phase: DomainPhase;
  readonly policies: ReadonlyMap<Mac, NetworkPolicy>;
  readonly problems: readonly Problem[];
  readonly held: boolean;
  readonly pausedByUs: PauseRecord | null;
  readonly exempt: string | null;
  readonly migration: MigrationRecord | null;
  readonly refusals: readonly Refusal[];
}

export interface Observation {
  readonly nowMs: number;
  readonly config: Config;
  readonly teams: readonly TeamConfig[];
  readonly links: readonly LinkState[];
  readonly kernel: KernelMap;
  readonly conflicts: readonly Conflict[];
  readonly uplinks: UplinkMemories;
  /** What probes say of each uplink's path; who isn't named is healthy. */
  readonly paths: ReadonlyMap<string, PathState>;
  /** The host's block of MACs for probes. */
  readonly probeBlock: Mac;
  /** When each uplink that is out of service was drained. */
  readonly drains: ReadonlyMap<string, number>;
  /** What is managed of all this. */
  readonly scope: Scope;
  readonly loads: LoadMemory;
  readonly latched: ReadonlyMap<Mac, number>;
  readonly moves: MoveMemory;
  readonly balance: BalanceMemory;
  /** As read with the kernel's objects. */
  readonly counters: readonly ClassCounters[];
  /** In the order of their arrival. */
  readonly domains: readonly KnownDomain[];
}

/** Builds the world. */
export function buildWorld(seen: Observation): World {
  const byName = new Map(seen.links.map((link) => [link.name, link]));
  const byIndex = new Map(seen.links.map((link) => [link.ifindex, link]));
  const numbers = { last: 0 };
  const teams = seen.teams.map((config) => buildTeam(config, seen, byName, byIndex, numbers));
  const filters = indexFilters(seen.kernel, teams);
  const backlogs = indexBacklogs(seen, teams);
  const claimed = new Set<Mac>();
  const resolve = attachmentResolver(teams, byName, byIndex);
  const world: World = {
    nowMs: seen.nowMs,
    config: seen.config,
    teams,
    kernel: seen.kernel,
    domains: seen.domains.map((known): DomainState => {
      const { definition } = known;
      return {
        name: definition.name,
        uuid: definition.uuid,
        phase: known.phase,
        problems: [...definition.problems, ...known.problems],
        owner: definition.owner,
        held: known.held,
        pausedByUs: known.pausedByUs,
        exempt: known.exempt,
        migration: known.migration,
        refusals: known.refusals,
        vnics: definition.vnics.map((vnic) =>
          buildVnic(vnic, known, seen, { resolve, byName, filters, backlogs, claimed }),
        ),
      };
    }),
  };
  return confine(world, seen.scope);
}

function buildTeam(
  config: TeamConfig,
  seen: Observation,
  byName: ReadonlyMap<string, LinkState>,
  byIndex: ReadonlyMap<number, LinkState>,
  numbers: { last: number },
): TeamState {
  const bond = byName.get(config.bond);
  const details = bond?.bond ?? null;
  const ports = seen.links.filter(
    (link) => bond !== undefined && link.masterIfindex === bond.ifindex,
  );
  // A port that the configuration doesn't name isn't shaped, but it takes in what the switch floods.
  const names = [
    ...new Set([...config.uplinks.map((uplink) => uplink.name), ...ports.map((port) => port.name)]),
  ];
  return {
    config,
    bond:
      bond === undefined || details === null
        ? null
        : {
            name: bond.name,
            ifindex: bond.ifindex,
            mode: details.mode,
            activePort: nameOf(byIndex, details.activeIfindex),
            primaryPort: nameOf(byIndex, details.primaryIfindex),
            miimonMs: details.miimonMs,
            updelayMs: details.updelayMs,
            txQueues: bond.txQueues,
            hashPolicy: details.hashPolicy,
            portOrder: details.portOrder,
          },
    uplinks: names.map((name) => {
      // Counted over all teams, probed or not: another team's configuration moves no MAC.
      numbers.last += 1;
      return buildUplink(name, config, seen, byName.get(name), bond, numbers.last);
    }),
    conflicts: seen.conflicts.filter(
      (conflict) => names.includes(conflict.device) || conflict.device === config.bond,
    ),
    hostDemandBitsPerSecond: hostDemandOf(config, "default", config.host, seen),
    hostClassDemandsBitsPerSecond: config.hostClasses.map((share) =>
      hostDemandOf(config, share.name, share, seen),
    ),
    ...findHost(config, bond, seen.links),
    lastMoveAtMs: seen.balance.lastMoveAtMs.get(config.name) ?? null,
    movesWaitSinceMs: seen.balance.movesWaitSinceMs.get(config.name) ?? null,
  };
}

/**
 * What a class of the host's wants to send. Migrations count with all that they may send from their beginning on, on every
 * team: which of them they go by is the host's routing's choice. They count as the migration class's, where there is one.
 */
function hostDemandOf(
  config: TeamConfig,
  name: "default" | HostClassName,
  share: HostShare,
  seen: Observation,
): number | null {
  const minor = name === "default" ? DEFAULT_MINOR : HOST_CLASS_MINORS[name];
  const load = seen.loads.loads.get(loadKey(config.name, minor));
  const measured = load?.demandBitsPerSecond ?? null;
  const apart = config.hostClasses.some((entry) => entry.name === "migration");
  if (name !== (apart ? "migration" : "default")) return measured;
  let migrating = 0;
  for (const { migration } of seen.domains) migrating += migration?.bandwidthBitsPerSecond ?? 0;
  if (migrating === 0) return measured;
  return Math.max(measured ?? 0, share.reservationBitsPerSecond + migrating);
}

function nameOf(byIndex: ReadonlyMap<number, LinkState>, ifindex: number | null): string | null {
  return ifindex === null ? null : (byIndex.get(ifindex)?.name ?? null);
}

function buildUplink(
  name: string,
  config: TeamConfig,
  seen: Observation,
  link: LinkState | undefined,
  bond: LinkState | undefined,
  number: number,
): UplinkState {
  const stated = config.uplinks.find((uplink) => uplink.name === name);
  const memory = seen.uplinks.get(name);
  const path = config.probes === null ? undefined : seen.paths.get(name);
  return {
    name,
    ifindex: link?.ifindex ?? 0,
    label: stated?.label ?? null,
    speedBitsPerSecond:
      stated === undefined && config.uplinks.length > 0
        ? null
        : (stated?.speedBitsPerSecond ??
          link?.speedBitsPerSecond ??
          enforcedSpeed(seen.kernel, name, config.headroom)),
    adminUp: link?.adminUp ?? false,
    carrier: link?.carrier ?? false,
    bondUp: link?.port?.bondUp ?? false,
    inBond: link !== undefined && bond !== undefined && link.masterIfindex === bond.ifindex,
    distributing: isDistributing(link, bond),
    healthy: path?.healthy ?? true,
    pathReason: path?.reason ?? "",
    probeMac: config.probes === null ? null : probeMac(seen.probeBlock, number),
    drainedAtMs: seen.drains.get(name) ?? null,
    queueId: link?.port?.queueId ?? 0,
    txQueues: link?.txQueues ?? 1,
    lostAtMs: memory?.lostAtMs ?? null,
    returnedAtMs: memory?.returnedAtMs ?? null,
    holdDownMs: memory === undefined ? config.holdDownMs : holdDownOf(memory.flaps, config),
  };
}

/** bond_update_slave_arr: in 802.3ad only active ports of the active aggregator are sent by. */
function isDistributing(link: LinkState | undefined, bond: LinkState | undefined): boolean {
  if (bond?.bond?.mode !== "802.3ad") return true;
  const port = link?.port ?? null;
  return port?.active === true && port.aggregator === bond.bond.activeAggregator;
}

/**
 * The speed that the uplink had when its classes were made. Drivers know none without a carrier: an uplink that is
 * lost must not look like one that was never ours.
 */
function enforcedSpeed(kernel: KernelMap, device: string, headroom: number): number | null {
  const root = kernel.get(`class ${device} 7570:${ROOT_MINOR.toString(16)}`);
  if (root?.kind !== "class" || headroom >= 1) return null;
  return Math.round(root.rateBitsPerSecond / (1 - headroom));
}

/** What waits in classes of teams whose moves wait for that, by uplink and minor; nothing waits in the others. */
function indexBacklogs(
  { counters }: Observation,
  teams: readonly TeamState[],
): ReadonlyMap<string, number> {
  const uplinks = new Set(
    teams.flatMap((team) =>
      team.config.rebalance.mode === "on" ? team.uplinks.map((uplink) => uplink.name) : [],
    ),
  );
  const backlogs = new Map<string, number>();
  for (const { device, minor, backlogBytes } of counters) {
    if (backlogBytes > 0 && uplinks.has(device)) backlogs.set(`${device} ${minor}`, backlogBytes);
  }
  return backlogs;
}

/** What the kernel's filters say of each MAC, by team. */
function indexFilters(
  kernel: KernelMap,
  teams: readonly TeamState[],
): Map<string, VnicState["kernel"]> {
  const found = new Map<string, VnicState["kernel"]>();
  for (const object of kernel.values()) {
    if (object.kind !== "vnic") continue;
    const team = teams.find((candidate) => candidate.config.bond === object.device);
    if (team === undefined) continue;
    const key = `${team.config.name} ${object.mac}`;
    const { minor, handle } = object;
    const action = parseActionIndex(object.actionIndex);
    if (action === null) {
      // Bonding chooses by its own hash: the filter names no port.
      found.set(key, { minor, handle, home: null, via: null });
      continue;
    }
    const byQueue = (queueId: number) =>
      team.uplinks.find((uplink) => uplink.queueId === queueId && queueId > 0)?.name ?? null;
    const index = object.actionIndex.toString(16);
    const pin = kernel.get(`uplink-action ${index}`);
    const redirect = kernel.get(`port-action ${index}`);
    const via =
      object.steering === "redirect" && redirect?.kind === "port-action"
        ? (team.uplinks.find(({ ifindex }) => ifindex === redirect.toIfindex)?.name ?? null)
        : byQueue(pin?.kind === "uplink-action" ? pin.queueId : action.via);
    found.set(key, { minor, handle, home: byQueue(action.home), via });
  }
  return found;
}

function buildVnic(
  vnic: VnicDefinition,
  known: KnownDomain,
  seen: Observation,
  index: {
    readonly resolve: ReturnType<typeof attachmentResolver>;
    readonly byName: ReadonlyMap<string, LinkState>;
    readonly filters: ReadonlyMap<string, VnicState["kernel"]>;
    readonly backlogs: ReadonlyMap<string, number>;
    readonly claimed: Set<Mac>;
  },
): VnicState {
  const policy = known.policies.get(vnic.mac);
  const { team, vlanId, why } = index.resolve(vnic.attachment);
  // libvirt makes the tap first and puts it into the bridge then.
  const settled = known.phase === "running" || known.phase === "paused";
  const detachedFrom = settled ? detachedBridge(vnic, index.byName) : null;
  const duplicate = index.claimed.has(vnic.mac);
  index.claimed.add(vnic.mac);
  const name = duplicate || policy === undefined ? null : (team?.config.name ?? null);
  const kernel = name === null ? null : (index.filters.get(`${name} ${vnic.mac}`) ?? null);
  const load =
    kernel === null || name === null ? null : seen.loads.loads.get(loadKey(name, kernel.minor));
  return {
    mac: vnic.mac,
    // What it sends untagged gets the tag of the interface below; its own tags go inside of that.
    vlanIds: vlanId === 0 ? vnic.vlanIds : [vlanId],
    recentMoves: seen.moves.get(vnic.mac) ?? [],
    team: name,
    unshapedReason: duplicate
      ? "another domain has the same MAC and came first"
      : name === null
        ? why
        : null,
    tap: vnic.tap,
    ...(detachedFrom === null ? {} : { detachedFrom }),
    isMacvtap: vnic.attachment.kind === "direct",
    policy: policy as NetworkPolicy,
    kernel,
    demandBitsPerSecond: load?.demandBitsPerSecond ?? null,
    measuredSinceMs: load?.sinceMs ?? null,
    backlogBytes: index.backlogs.get(`${kernel?.via} ${kernel?.minor}`) ?? 0,
    latchedDemandBitsPerSecond:
      known.pausedByUs?.demandBitsPerSecond[vnic.mac] ?? seen.latched.get(vnic.mac) ?? null,
  };
}
