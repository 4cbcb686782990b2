/** The kernel objects that enforce a team's placement and grants. */
import {
  actionIndex,
  CONTROL_MINOR,
  CONTROL_PROTOCOLS,
  DEFAULT_MINOR,
  type HtbClass,
  type KernelObject,
  kernelKey,
  type LeafQueue,
  ROOT_MINOR,
} from "../model/kernel.ts";
import { ticksForBytes } from "../model/units.ts";
import type { TeamState } from "../model/world.ts";
import { ceilingOf, controlRate, type UplinkGrants } from "./grants.ts";
import type { Placed } from "./placement.ts";
import { burstBytes, CONTROL_PRIO, hostPrio, htbPrio, quantumBytes } from "./priority.ts";
import { LEAST_RATE } from "./share.ts";
import type { Usability } from "./usable.ts";

/** 64 flows cost 4 KB a leaf; with fq_codel's default of 1024 a thousand leaves take 64 MB. */
const LEAF_FLOWS = 64;
/** Bounds what one guest may queue; codel keeps it far below while the class gets its rate. */
const LEAF_LIMIT_PACKETS = 1000;
const CONTROL_LIMIT_PACKETS = 100;
const QUEUE: LeafQueue = { type: "fq_codel", flows: LEAF_FLOWS, limitPackets: LEAF_LIMIT_PACKETS };
const DISCARD: LeafQueue = { type: "blackhole" };

export interface TeamObjectsInput {
  readonly team: TeamState;
  readonly uplinks: readonly Usability[];
  readonly placed: readonly Placed[];
  /** One entry a managed uplink. */
  readonly grants: readonly UplinkGrants[];
  readonly minors: readonly (number | null)[];
  readonly handles: readonly number[];
  readonly queueIds: ReadonlyMap<string, number>;
  /** Where frames of a lost uplink go first: what the driver itself would choose. */
  readonly fallback: string | null;
  /** The bond's active port if it has to move, else null. */
  readonly moveActiveTo: string | null;
  /** Indexes of vNICs whose data is discarded wherever they are carried. */
  readonly discarded: ReadonlySet<number>;
  /** Indexes of vNICs whose data is discarded once their home is lost. */
  readonly discardedWhenDisplaced: ReadonlySet<number>;
}

/** Adds a team's objects to `map`. */
export function addTeamObjects(map: Map<string, KernelObject>, input: TeamObjectsInput): void {
  const { team, uplinks, placed } = input;
  const { bond } = team;
  if (bond === null) return;
  const put = (object: KernelObject): void => {
    map.set(kernelKey(object), object);
  };
  if (team.config.bondUpdelayMs !== null) {
    // Bonding rounds it down to a multiple of miimon (bond_option_updelay_set); planned so, it compares equal.
    const updelayMs = team.config.bondUpdelayMs - (team.config.bondUpdelayMs % bond.miimonMs);
    put({ kind: "bond-option", bond: bond.name, updelayMs });
  }
  if (input.moveActiveTo !== null)
    put({ kind: "active-port", bond: bond.name, port: input.moveActiveTo });
  for (const grants of input.grants) putUplink(put, input, grants);
  for (const entry of uplinks) {
    if (isGuarded(team, entry)) put({ kind: "clsact", device: entry.uplink.name });
  }
  put({ kind: "clsact", device: bond.name });
  put({ kind: "catch-all", device: bond.name, minor: DEFAULT_MINOR });
  // Also by the home, once more: its frame comes last, so that the switch keeps the MAC where it belongs.
  const copyTo = uplinks.filter((entry) => entry.managed).map((entry) => entry.uplink.ifindex);
  put({ kind: "reports", device: bond.name, copyTo });
  const fallbackQueue = queueOf(input, input.fallback);
  for (const entry of uplinks) {
    const home = queueOf(input, entry.uplink.name);
    if (!entry.managed || home === 0) continue;
    // With no fallback either, the driver decides: a frame whose port is down goes by its own policy.
    const queueId = entry.usable || fallbackQueue === 0 ? home : fallbackQueue;
    put({ kind: "uplink-action", index: actionIndex(bond.ifindex, home, home), queueId });
  }
  placed.forEach((member, index) => {
    const minor = input.minors[index] ?? null;
    if (minor === null) return;
    putClasses(put, input, member, index, minor);
    // While its memory still arrives, the guest runs elsewhere: its frames come from outside.
    if (member.domain.phase === "incoming") return;
    putVnicFilters(put, input, member, index, minor);
  });
}

function queueOf(input: TeamObjectsInput, uplink: string | null): number {
  return uplink === null ? 0 : (input.queueIds.get(uplink) ?? 0);
}

function putUplink(
  put: (object: KernelObject) => void,
  input: TeamObjectsInput,
  grants: UplinkGrants,
): void {
  const { uplink, capacityBitsPerSecond: capacity } = grants.entry;
  const device = uplink.name;
  put({ kind: "htb", device, defaultMinor: DEFAULT_MINOR });
  put(htbClass(device, ROOT_MINOR, null, capacity, capacity, 0, 100, null));
  const { host: share } = input.team.config;
  put(
    htbClass(
      device,
      DEFAULT_MINOR,
      ROOT_MINOR,
      grants.hostBitsPerSecond,
      grants.hostLimitBitsPerSecond,
      hostPrio(share.priority),
      share.shares,
      null,
    ),
  );
  put({ kind: "leaf", device, minor: DEFAULT_MINOR, queue: QUEUE });
  const control = controlRate(capacity);
  put(htbClass(device, CONTROL_MINOR, null, control, control, CONTROL_PRIO, 100, null));
  const controlQueue: LeafQueue = { type: "pfifo", limitPackets: CONTROL_LIMIT_PACKETS };
  put({ kind: "leaf", device, minor: CONTROL_MINOR, queue: controlQueue });
  put({ kind: "clsact", device });
  for (const { name } of CONTROL_PROTOCOLS) {
    put({ kind: "control", device, protocol: name, minor: CONTROL_MINOR });
  }
  if (uplink.txQueues > 1) put({ kind: "queue-reset", device });
  put({ kind: "promiscuity", device, on: true });
  put({ kind: "port-queue", device, queueId: queueOf(input, device) });
}

function putClasses(
  put: (object: KernelObject) => void,
  input: TeamObjectsInput,
  member: Placed,
  index: number,
  minor: number,
): void {
  const { bandwidth, priority } = member.vnic.policy;
  for (const { entry, rates } of input.grants) {
    const device = entry.uplink.name;
    const rate = rates[index] ?? LEAST_RATE;
    const ceiling = ceilingOf(bandwidth.limitBitsPerSecond, entry.capacityBitsPerSecond, rate);
    const { shares, burstBytes: burst } = bandwidth;
    const prio = htbPrio(priority);
    put(htbClass(device, minor, ROOT_MINOR, rate, ceiling, prio, shares, burst));
    // Displaced is who has lost his home, not who merely waits elsewhere before he goes back.
    const displaced =
      device !== member.home && (device !== member.via || !isUsable(input, member.home));
    const discards =
      input.discarded.has(index) || (input.discardedWhenDisplaced.has(index) && displaced);
    put({ kind: "leaf", device, minor, queue: discards ? DISCARD : QUEUE });
  }
}

function putVnicFilters(
  put: (object: KernelObject) => void,
  input: TeamObjectsInput,
  member: Placed,
  index: number,
  minor: number,
): void {
  const { bond } = input.team;
  const handle = input.handles[index];
  if (bond === null || handle === undefined) return;
  const { mac } = member.vnic;
  const home = queueOf(input, member.home);
  const via = queueOf(input, member.via);
  // The home's own shared action already leads to the fallback: only who goes elsewhere needs one of its own.
  const direct =
    via === home || via === 0 || (member.via === input.fallback && !isUsable(input, member.home));
  const action = actionIndex(bond.ifindex, home, direct ? home : via);
  // A home without a queue id has no shared action of its own: mapping 0 leaves the choice to the bond.
  if (!direct || home === 0)
    put({ kind: "uplink-action", index: action, queueId: direct ? home : via });
  put({ kind: "vnic", device: bond.name, mac, handle, minor, actionIndex: action });
  for (const entry of input.uplinks) {
    if (!entry.managed && !isGuarded(input.team, entry)) continue;
    const device = entry.uplink.name;
    put({ kind: "reflection", device, mac, handle });
    if (!entry.managed) continue;
    put({ kind: "redirect", device, mac, handle, toIfindex: bond.ifindex });
  }
}

function isUsable({ uplinks }: TeamObjectsInput, name: string | null): boolean {
  return uplinks.some((entry) => entry.usable && entry.uplink.name === name);
}

/**
 * A port that we don't shape still takes in for the bond what the switch floods: a vNIC's own broadcast by another
 * port would come back there, and the bridge would learn that the vNIC is outside. Only a qdisc in the place of
 * clsact's leaves no room for the filter.
 */
function isGuarded(team: TeamState, { managed, uplink }: Usability): boolean {
  if (managed || !uplink.inBond) return false;
  return !team.conflicts.some(
    ({ device, found }) => device === uplink.name && found.startsWith("qdisc "),
  );
}

function htbClass(
  device: string,
  minor: number,
  parentMinor: number | null,
  rateBitsPerSecond: number,
  ceilBitsPerSecond: number,
  prio: number,
  shares: number,
  burst: number | null,
): HtbClass {
  return {
    kind: "class",
    device,
    minor,
    parentMinor,
    rateBitsPerSecond,
    ceilBitsPerSecond,
    bufferTicks: ticksForBytes(burst ?? burstBytes(rateBitsPerSecond), rateBitsPerSecond),
    cbufferTicks: ticksForBytes(burst ?? burstBytes(ceilBitsPerSecond), ceilBitsPerSecond),
    prio: minor === ROOT_MINOR ? 0 : prio,
    quantumBytes: quantumBytes(shares),
  };
}
