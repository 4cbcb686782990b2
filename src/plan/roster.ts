/**
 * A team's vNICs as columns of numbers, one entry a vNIC in the order of arrival: what placing, granting and judging
 * read. Ten thousand of them are gone through in microseconds, where objects cost a cache miss each.
 */
import type { TeamConfig } from "../model/config.ts";
import type { DomainState, UplinkState, VnicState, World } from "../model/world.ts";
import { discardsAtLoss, knownDemand, latchedDemand, wantOf } from "./demand.ts";
import { fateOf } from "./fate.ts";
import { priorityRank } from "./priority.ts";
import { type Claim, LEAST_RATE } from "./share.ts";

/** A vNIC of the team being planned, with its domain. */
export interface Member {
  readonly domain: DomainState;
  readonly vnic: VnicState;
}

/** What the kernel's filters say of each vNIC; uplinks by their place in the team, -1 for none. */
export interface Presence {
  readonly homes: Int16Array;
  /** Where it sends: its via, else its home. */
  readonly senders: Int16Array;
  /** -1 where there is no filter. */
  readonly minors: Int32Array;
  readonly handles: Float64Array;
}

export interface Roster {
  readonly members: readonly Member[];
  readonly presence: Presence;
  /** 0 for critical to 3 for low. */
  readonly ranks: Uint8Array;
  /** Indexes in the order of placing: by rank, then by arrival. */
  readonly order: Int32Array;
  readonly reservations: Float64Array;
  /** What placing counts as its load. */
  readonly loads: Float64Array;
  /** See wantOf; infinity where that isn't known. */
  readonly wants: Float64Array;
  /** Demand within the limit as known (latched, else measured) and as latched; NaN where there is none. */
  readonly known: Float64Array;
  readonly latched: Float64Array;
  readonly shares: Float64Array;
  /** 1: its data is discarded once its home is lost. */
  readonly discards: Uint8Array;
  /** 1: its policy prefers uplinks; 2: it wants to be apart from somebody; 3: both. */
  readonly wishes: Uint8Array;
  /** Places that a vNIC's policy prefers: one list a wish, the first wish first; absent for none. */
  readonly preferred: ReadonlyMap<number, Preferred>;
  /** 1: it has moved more than once lately, and may have to wait before it moves again. */
  readonly restless: Uint8Array;
  /** 1: its guest still runs on another host. */
  readonly incoming: Uint8Array;
  /** See fateOf, and how long after the loss, milliseconds. */
  readonly fates: Uint8Array;
  readonly graces: Float64Array;
  readonly claims: readonly Claim[];
  /** The rate that fitClaims starts from, what it makes of it where all fits, and that with the whole reservation. */
  readonly floors: Float64Array;
  readonly leasts: Float64Array;
  readonly fulls: Float64Array;
  /** What each is sure of where all fits, bits per second, without HTB's rounding: its reservation, at least its floor. */
  readonly sures: Float64Array;
  /** Numbers of the names that somebody wants to be apart from. */
  readonly numbers: ReadonlyMap<string, number>;
  /** Names that a vNIC wants to be apart from, by number; absent for none. */
  readonly apart: ReadonlyMap<number, readonly number[]>;
  /** The number of a domain's name where somebody wants to be apart from it, else -1. */
  readonly names: Int32Array;
  readonly nameCount: number;
  /** Index of each domain's first vNIC, in the order in which domains fall: lowest priority first, then by arrival. */
  readonly falling: Int32Array;
  /** By index of a domain's first vNIC: that behind its last. */
  readonly ends: Int32Array;
}

/** The places that each of a policy's wishes names, in the team's order. */
export type Preferred = readonly (readonly number[])[];

/** Lists the team's vNICs. */
export function listMembers(world: World, team: string): Member[] {
  const members: Member[] = [];
  for (const domain of world.domains) {
    for (const vnic of domain.vnics) if (vnic.team === team) members.push({ domain, vnic });
  }
  return members;
}

/** Reads members into columns. */
export function readRoster(
  config: TeamConfig,
  uplinks: readonly UplinkState[],
  members: readonly Member[],
): Roster {
  const size = members.length;
  const column = () => new Float64Array(size);
  const ranks = new Uint8Array(size);
  const roster = {
    members,
    presence: readPresence(uplinks, members),
    ranks,
    reservations: column(),
    loads: column(),
    wants: column(),
    known: column(),
    latched: column(),
    shares: column(),
    discards: new Uint8Array(size),
    wishes: new Uint8Array(size),
    preferred: readPreferred(uplinks, members),
    restless: new Uint8Array(size),
    incoming: new Uint8Array(size),
    fates: new Uint8Array(size),
    graces: column(),
    claims: new Array<Claim>(size),
    floors: column(),
    leasts: column(),
    fulls: column(),
    sures: column(),
    ...readNames(members),
  };
  for (let index = 0; index < size; index += 1) {
    const member = members[index] as Member;
    const { policy } = member.vnic;
    const { reservationBitsPerSecond: reservation, limitBitsPerSecond: limit } = policy.bandwidth;
    const rank = priorityRank(policy.priority);
    const known = knownDemand(member);
    const latched = latchedDemand(member);
    const most = limit ?? Number.POSITIVE_INFINITY;
    const floor = Math.min(config.floorBitsPerSecond, limit ?? config.floorBitsPerSecond);
    const from = Math.max(LEAST_RATE, floor);
    const least = Math.max(
      LEAST_RATE,
      Math.floor((LEAST_RATE + (from - LEAST_RATE)) / LEAST_RATE) * LEAST_RATE,
    );
    const more = Math.max(0, reservation - least);
    ranks[index] = rank;
    roster.reservations[index] = reservation;
    roster.loads[index] = loadOf(member.vnic);
    roster.wants[index] = wantOf(member);
    roster.known[index] = known === null ? Number.NaN : Math.min(known, most);
    roster.latched[index] = latched === null ? Number.NaN : Math.min(latched, most);
    roster.shares[index] = policy.bandwidth.shares;
    roster.discards[index] = discardsAtLoss(member) ? 1 : 0;
    roster.restless[index] = member.vnic.recentMoves.length > 1 ? 1 : 0;
    roster.incoming[index] = member.domain.phase === "incoming" ? 1 : 0;
    roster.wishes[index] =
      (policy.placement.prefer.length > 0 ? 1 : 0) + (policy.placement.apart.length > 0 ? 2 : 0);
    roster.fates[index] = fateOf(member);
    roster.graces[index] = policy.failover.graceMs;
    roster.claims[index] = {
      floorBitsPerSecond: floor,
      reservationBitsPerSecond: reservation,
      prio: rank + 1,
    };
    roster.floors[index] = from;
    roster.leasts[index] = least;
    roster.fulls[index] = least + Math.floor(more / LEAST_RATE) * LEAST_RATE;
    roster.sures[index] = Math.max(0, floor, reservation);
  }
  return { ...roster, order: orderByRank(ranks), ...orderFalling(members, ranks) };
}

function readPresence(uplinks: readonly UplinkState[], members: readonly Member[]): Presence {
  const places = new Map(uplinks.map((uplink, place) => [uplink.name, place]));
  const placeOf = (name: string | null) => (name === null ? -1 : (places.get(name) ?? -1));
  const size = members.length;
  const presence = {
    homes: new Int16Array(size).fill(-1),
    senders: new Int16Array(size).fill(-1),
    minors: new Int32Array(size).fill(-1),
    handles: new Float64Array(size).fill(-1),
  };
  for (let index = 0; index < size; index += 1) {
    const kernel = members[index]?.vnic.kernel ?? null;
    if (kernel === null) continue;
    presence.homes[index] = placeOf(kernel.home);
    presence.senders[index] = placeOf(kernel.via ?? kernel.home);
    presence.minors[index] = kernel.minor;
    presence.handles[index] = kernel.handle;
  }
  return presence;
}

function readPreferred(
  uplinks: readonly UplinkState[],
  members: readonly Member[],
): ReadonlyMap<number, Preferred> {
  const preferred = new Map<number, Preferred>();
  for (const [index, { vnic }] of members.entries()) {
    const { prefer } = vnic.policy.placement;
    if (prefer.length === 0) continue;
    const placesOf = (wish: string) =>
      [...uplinks.keys()].filter(
        (place) => uplinks[place]?.name === wish || uplinks[place]?.label === wish,
      );
    preferred.set(index, prefer.map(placesOf));
  }
  return preferred;
}

function readNames(members: readonly Member[]) {
  const numbers = new Map<string, number>();
  const apart = new Map<number, number[]>();
  for (const [index, { vnic }] of members.entries()) {
    const wishes = vnic.policy.placement.apart;
    if (wishes.length === 0) continue;
    const ids = wishes.map((name) => {
      const id = numbers.get(name) ?? numbers.size;
      numbers.set(name, id);
      return id;
    });
    apart.set(index, ids);
  }
  const names = new Int32Array(members.length).fill(-1);
  if (numbers.size > 0) {
    for (const [index, { domain }] of members.entries())
      names[index] = numbers.get(domain.name) ?? -1;
  }
  return { numbers, apart, names, nameCount: numbers.size };
}

/** So that vNICs of which nothing is known spread instead of all going to the first uplink. */
const UNKNOWN_LOAD_BITS_PER_SECOND = 1;

/** What placing counts as a vNIC's load until it is measured: its reservation. */
function loadOf(vnic: VnicState): number {
  const { limitBitsPerSecond, reservationBitsPerSecond } = vnic.policy.bandwidth;
  const demand =
    vnic.latchedDemandBitsPerSecond ??
    vnic.demandBitsPerSecond ??
    Math.max(UNKNOWN_LOAD_BITS_PER_SECOND, reservationBitsPerSecond);
  // Whole bits: sums of them are the same in whatever order they are added.
  return Math.round(limitBitsPerSecond === null ? demand : Math.min(demand, limitBitsPerSecond));
}

const RANKS = [0, 1, 2, 3] as const;

/** Indexes by rank, then by arrival. */
export function orderByRank(ranks: Uint8Array): Int32Array {
  const order = new Int32Array(ranks.length);
  let next = 0;
  for (const rank of RANKS) {
    for (let index = 0; index < ranks.length; index += 1) {
      if (ranks[index] === rank) order[next++] = index;
    }
  }
  return order;
}

/** A domain has the highest priority of its vNICs. */
export function orderFalling(members: readonly Member[], ranks: Uint8Array) {
  const size = members.length;
  const ends = new Int32Array(size);
  const highest = new Uint8Array(size);
  let count = 0;
  for (let first = 0; first < size; count += 1) {
    const domain = members[first]?.domain;
    let end = first + 1;
    let rank = ranks[first] as number;
    for (; end < size && members[end]?.domain === domain; end += 1)
      rank = Math.min(rank, ranks[end] as number);
    ends[first] = end;
    highest[first] = rank;
    first = end;
  }
  const falling = new Int32Array(count);
  let next = 0;
  for (const rank of RANKS.toReversed()) {
    for (let first = 0; first < size; first = ends[first] as number)
      if (highest[first] === rank) falling[next++] = first;
  }
  return { falling, ends };
}
