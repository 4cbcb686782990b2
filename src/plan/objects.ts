/** The kernel objects that enforce a team's placement and grants. */
import type { HtbClass, KernelObject, LeafQueue } from "../model/kernel.ts";
import { CONTROL_MINOR, CONTROL_PROTOCOLS, DEFAULT_MINOR, ROOT_MINOR } from "../model/layout.ts";
import { blockOf } from "../model/probe.ts";
import { quantizeRate, ticksForBytes } from "../model/units.ts";
import type { TeamState } from "../model/world.ts";
import { ceilingOf, controlRate, type Silence, type UplinkGrants } from "./grants.ts";
import { hostLines, putHostFilters } from "./host.ts";
import { putHomeActions, putPin, queueOf } from "./pin.ts";
import type { Placement } from "./placement.ts";
import {
  burstBytes,
  CONTROL_PRIO,
  hostPrio,
  htbPrio,
  inboundBurstBytes,
  quantumBytes,
} from "./priority.ts";
import type { Member, Roster } from "./roster.ts";
import { LEAST_RATE } from "./share.ts";
import { putSourceFilters, senderOf } from "./sources.ts";
import { wiringOf } from "./steering.ts";
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
  readonly roster: Roster;
  readonly placement: Placement;
  /** One entry a managed uplink. */
  readonly grants: readonly UplinkGrants[];
  /** 0 where none is left. */
  readonly minors: Int32Array;
  readonly handles: Float64Array;
  /** By which interface each one's frames come; null where that doesn't matter. */
  readonly taps: Float64Array | null;
  readonly queueIds: ReadonlyMap<string, number>;
  /** Where frames of a lost uplink go first: what the driver itself would choose. */
  readonly fallback: string | null;
  /** The bond's active port if it has to move, else null. */
  readonly moveActiveTo: string | null;
  /** Of vNICs whose data is discarded wherever they are carried. */
  readonly discarded: Silence;
  /** Of vNICs whose data is discarded once their home is lost. */
  readonly discardedWhenDisplaced: Silence;
}

/** What is wanted of a vNIC's objects, added up; what it shares with others is made in any case. */
export const WANTED = {
  nothing: 0,
  /** Its classes and their queues. */
  classes: 1,
  /** The filter on the bond. */
  filter: 2,
  /** Those on the uplinks' ingress. */
  reception: 4,
  all: 7,
} as const;

/** Some vNICs, and what is wanted of the objects of each. */
export interface Selection {
  readonly indexes: Iterable<number>;
  readonly wantedOf: (index: number) => number;
}

/**
 * Makes the objects of a team's uplinks and of the vNICs that are selected, and hands each to `put`; one of them may
 * come several times.
 */
export function makeTeamObjects(
  input: TeamObjectsInput,
  put: (object: KernelObject) => void,
  { indexes, wantedOf }: Selection,
): void {
  const { team, uplinks, roster } = input;
  const { bond } = team;
  if (bond === null) return;
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
  const fallbackQueue = queueOf(input, input.fallback);
  const wiring = wiringOf(team);
  const restQueue = wiring.pinsRest ? fallbackQueue : 0;
  put({ kind: "catch-all", device: bond.name, minor: null, queueId: restQueue });
  // Also by the home, once more: its frame comes last, so that the switch keeps the MAC where it belongs.
  const copyTo = uplinks.filter((entry) => entry.managed).map((entry) => entry.uplink.ifindex);
  if (wiring.separate) put({ kind: "reports", device: bond.name, copyTo });
  putHostFilters(team, put);
  putSourceFilters(input, restQueue, put);
  putHomeActions(put, input);
  for (const index of indexes) {
    const member = roster.members[index];
    const minor = input.minors[index] ?? 0;
    if (member === undefined || minor === 0) continue;
    const wanted = wantedOf(index);
    if ((wanted & WANTED.classes) !== 0) putClasses(put, input, member, index, minor);
    // While its memory still arrives, the guest runs elsewhere: its frames come from outside.
    if (member.domain.phase === "incoming") continue;
    putVnicFilters(put, input, member, index, minor, wanted);
  }
}

/** All of a team's vNICs, with all their objects. */
export function selectAll({ minors }: TeamObjectsInput): Selection {
  return { indexes: minors.keys(), wantedOf: () => WANTED.all };
}

/** Those that may use another shared action than their home's own. */
export function listSpecial(input: TeamObjectsInput): number[] {
  const { homes, vias } = input.placement;
  const queues = input.uplinks.map(({ uplink }) => queueOf(input, uplink.name));
  const plain = queues.every((queue) => queue !== 0);
  const special: number[] = [];
  for (let index = 0; index < homes.length; index += 1) {
    const home = homes[index] as number;
    if (home !== vias[index] || (!plain && (queues[home] ?? 0) === 0)) special.push(index);
  }
  return special;
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
  for (const [line, { minor, share }] of hostLines(input.team.config).entries()) {
    const rate = grants.host[line]?.rateBitsPerSecond ?? LEAST_RATE;
    const limit = grants.host[line]?.limitBitsPerSecond ?? rate;
    const prio = hostPrio(share.priority);
    put(htbClass(device, minor, ROOT_MINOR, rate, limit, prio, share.shares, null));
    put({ kind: "leaf", device, minor, queue: QUEUE });
  }
  const control = controlRate(capacity);
  put(htbClass(device, CONTROL_MINOR, null, control, control, CONTROL_PRIO, 100, null));
  const controlQueue: LeafQueue = { type: "pfifo", limitPackets: CONTROL_LIMIT_PACKETS };
  put({ kind: "leaf", device, minor: CONTROL_MINOR, queue: controlQueue });
  for (const { name } of CONTROL_PROTOCOLS) {
    put({ kind: "control", device, protocol: name, minor: CONTROL_MINOR });
  }
  put({ kind: "clsact", device });
  if (input.team.config.probes !== null && uplink.probeMac !== null) {
    const block = blockOf(uplink.probeMac);
    for (const side of ["to", "from"] as const) put({ kind: "probe-guard", device, side, block });
  }
  if (uplink.txQueues > 1) put({ kind: "queue-reset", device });
  const wiring = wiringOf(input.team);
  if (wiring.hasInactivePorts) put({ kind: "promiscuity", device, on: true });
  if (wiring.steering !== "hash")
    put({ kind: "port-queue", device, queueId: queueOf(input, device) });
}

function putClasses(
  put: (object: KernelObject) => void,
  input: TeamObjectsInput,
  member: Member,
  index: number,
  minor: number,
): void {
  const { bandwidth, priority } = member.vnic.policy;
  const home = input.uplinks[input.placement.homes[index] as number];
  const via = input.uplinks[input.placement.vias[index] as number];
  for (const { entry, rates } of input.grants) {
    const device = entry.uplink.name;
    const rate = rates[index] ?? LEAST_RATE;
    const ceiling = ceilingOf(bandwidth.limitBitsPerSecond, entry.capacityBitsPerSecond, rate);
    const { shares, burstBytes: burst } = bandwidth;
    const prio = htbPrio(priority);
    put(htbClass(device, minor, ROOT_MINOR, rate, ceiling, prio, shares, burst));
    // Displaced is who has lost his home, not who merely waits elsewhere before he goes back.
    const displaced = entry !== home && (entry !== via || home?.usable !== true);
    const discards =
      input.discarded?.[index] === 1 || (input.discardedWhenDisplaced?.[index] === 1 && displaced);
    put({ kind: "leaf", device, minor, queue: discards ? DISCARD : QUEUE });
  }
}

function putVnicFilters(
  put: (object: KernelObject) => void,
  input: TeamObjectsInput,
  member: Member,
  index: number,
  minor: number,
  wanted: number,
): void {
  const { bond } = input.team;
  const handle = input.handles[index];
  if (bond === null || handle === undefined) return;
  const { mac } = member.vnic;
  const { steering, hasInactivePorts, separate } = wiringOf(input.team);
  const pin = putPin(put, input, index);
  const filter = { kind: "vnic", device: bond.name, mac, handle, minor, steering } as const;
  const from = senderOf(input, index);
  if ((wanted & WANTED.filter) !== 0)
    put({ ...filter, actionIndex: pin, ...(from === undefined ? {} : { from }) });
  if ((wanted & WANTED.reception) === 0) return;
  const { inbound } = member.vnic.policy;
  if (inbound !== undefined) {
    const rate = quantizeRate(inbound.limitBitsPerSecond);
    const burst = inbound.burstBytes ?? inboundBurstBytes(rate);
    const place = { kind: "inbound", device: bond.name, mac, handle } as const;
    put({ ...place, rateBitsPerSecond: rate, burstTicks: ticksForBytes(burst, rate) });
  }
  if (!separate) return;
  for (const entry of input.uplinks) {
    if (!entry.managed && !isGuarded(input.team, entry)) continue;
    const device = entry.uplink.name;
    // macvlan tells its own frames by itself (macvlan_handle_frame), and vepa needs them.
    if (!member.vnic.isMacvtap) put({ kind: "reflection", device, mac, handle });
    if (!entry.managed || !hasInactivePorts) continue;
    put({ kind: "redirect", device, mac, handle, toIfindex: bond.ifindex });
  }
}

/**
 * A port that we don't shape still takes in for the bond what the switch floods: a vNIC's own broadcast by another
 * port would come back there, and the bridge would learn that the vNIC is outside. Only a qdisc in the place of
 * clsact's leaves no room for the filter.
 */
export function isGuarded(team: TeamState, { managed, uplink }: Usability): boolean {
  if (managed || !uplink.inBond || !wiringOf(team).separate) return false;
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
