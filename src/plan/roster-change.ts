/**
 * A roster made from an earlier one: what is the same is copied, the rest is read. If one domain among ten thousand
 * changed, came or went, one is read.
 */
import type { DomainState, TeamState, VnicState, World } from "../model/world.ts";
import { followFilling } from "./filling.ts";
import {
  type Member,
  orderByRank,
  orderFalling,
  type Preferred,
  type Roster,
  readRoster,
} from "./roster.ts";
import type { Claim } from "./share.ts";

/** A roster, and the place of each of its vNICs in the earlier one; -1 for what is new or has changed. */
export interface ChangedRoster {
  readonly roster: Roster;
  readonly origins: Int32Array;
}

/** Reads a team's roster, or makes it from the one of an earlier plan. */
export function changeRoster(
  world: World,
  team: TeamState,
  earlier: { readonly world: World; readonly team: TeamState; readonly roster: Roster } | null,
): ChangedRoster {
  const { config, uplinks } = team;
  const members = listAgain(world, config.name, earlier);
  if (earlier === null || !sameFrame(team, earlier.team)) {
    const roster = readRoster(config, uplinks, members);
    return { roster, origins: new Int32Array(members.length).fill(-1) };
  }
  const { roster: old } = earlier;
  const origins = findOrigins(members, old.members);
  const fresh: number[] = [];
  for (let index = 0; index < origins.length; index += 1)
    if ((origins[index] as number) < 0) fresh.push(index);
  // Columns say the same; who reads more of a vNIC reads it as it is now.
  if (fresh.length === 0 && members.length === old.members.length)
    return { roster: { ...old, members }, origins };
  const roster = splice(team, members, old, origins, fresh);
  if (members.length === old.members.length) followFilling(roster, old, fresh);
  return { roster, origins };
}

/** By list of members: the place of each domain's first, and of the next one's behind the last. */
const STARTS = new WeakMap<readonly Member[], Int32Array>();

/** The team's vNICs; those of a domain that is the same object as in an earlier world are taken from there. */
function listAgain(
  world: World,
  team: string,
  earlier: { readonly world: World; readonly team: TeamState; readonly roster: Roster } | null,
): Member[] {
  const { domains } = world;
  const before = earlier?.team.config.name === team ? earlier : null;
  const old = before?.roster.members ?? [];
  const known = STARTS.get(old);
  const oldDomains = before?.world.domains ?? [];
  const patched = known === undefined ? null : patch(domains, team, { old, known, oldDomains });
  if (patched !== null) return patched;
  const starts = new Int32Array(domains.length + 1);
  const members: Member[] = [];
  for (let index = 0; index < domains.length; index += 1) {
    const domain = domains[index] as DomainState;
    if (known !== undefined && domain === oldDomains[index]) {
      const end = known[index + 1] as number;
      for (let at = known[index] as number; at < end; at += 1) members.push(old[at] as Member);
    } else {
      for (const vnic of domain.vnics) if (vnic.team === team) members.push({ domain, vnic });
    }
    starts[index + 1] = members.length;
  }
  STARTS.set(members, starts);
  return members;
}

/** The same where each domain stands at its place and has as many of the team's vNICs as before; else null. */
function patch(
  domains: readonly DomainState[],
  team: string,
  {
    old,
    known,
    oldDomains,
  }: {
    readonly old: readonly Member[];
    readonly known: Int32Array;
    readonly oldDomains: readonly DomainState[];
  },
): Member[] | null {
  if (domains.length !== oldDomains.length) return null;
  const members = old.slice();
  for (let index = 0; index < domains.length; index += 1) {
    const domain = domains[index] as DomainState;
    if (domain === oldDomains[index]) continue;
    let at = known[index] as number;
    const end = known[index + 1] as number;
    for (const vnic of domain.vnics) {
      if (vnic.team !== team) continue;
      if (at === end) return null;
      members[at] = { domain, vnic };
      at += 1;
    }
    if (at !== end) return null;
  }
  STARTS.set(members, known);
  return members;
}

/** Of as many vNICs as before each is looked for at its place, else what begins and what ends alike is found. */
function findOrigins(members: readonly Member[], old: readonly Member[]): Int32Array {
  const size = members.length;
  const shift = old.length - size;
  const origins = new Int32Array(size).fill(-1);
  const most = Math.min(size, old.length);
  let head = 0;
  for (; head < most; head += 1) {
    if (sameMember(members[head], old[head])) origins[head] = head;
    else if (shift !== 0) break;
  }
  if (shift === 0) return origins;
  for (let index = size - 1; index >= head && index + shift >= head; index -= 1) {
    if (!sameMember(members[index], old[index + shift])) break;
    origins[index] = index + shift;
  }
  return origins;
}

/** Whether columns read for one team mean the same for the other. */
function sameFrame(team: TeamState, other: TeamState): boolean {
  return (
    team.config.floorBitsPerSecond === other.config.floorBitsPerSecond &&
    team.uplinks.length === other.uplinks.length &&
    team.uplinks.every(({ name, label }, place) => {
      const match = other.uplinks[place];
      return name === match?.name && label === match.label;
    })
  );
}

/** Whether nothing that the planner reads of a vNIC and its domain differs. */
function sameMember(one: Member | undefined, other: Member | undefined): boolean {
  if (one === undefined || other === undefined) return false;
  if (one === other) return true;
  return (
    (one.domain === other.domain || sameDomain(one.domain, other.domain)) &&
    (one.vnic === other.vnic || sameVnic(one.vnic, other.vnic))
  );
}

function sameDomain(a: DomainState, b: DomainState): boolean {
  return (
    a.name === b.name &&
    a.phase === b.phase &&
    a.pausedByUs === b.pausedByUs &&
    a.held === b.held &&
    a.exempt === b.exempt &&
    a.owner === b.owner &&
    a.migration === b.migration &&
    a.refusals === b.refusals
  );
}

function sameVnic(a: VnicState, b: VnicState): boolean {
  return (
    a.mac === b.mac &&
    a.tap === b.tap &&
    a.isMacvtap === b.isMacvtap &&
    a.policy === b.policy &&
    a.demandBitsPerSecond === b.demandBitsPerSecond &&
    a.latchedDemandBitsPerSecond === b.latchedDemandBitsPerSecond &&
    (a.recentMoves === b.recentMoves || a.recentMoves.length + b.recentMoves.length === 0) &&
    (a.kernel === b.kernel ||
      (a.kernel?.minor === b.kernel?.minor &&
        a.kernel?.handle === b.kernel?.handle &&
        a.kernel?.home === b.kernel?.home &&
        a.kernel?.via === b.kernel?.via))
  );
}

function splice(
  team: TeamState,
  members: readonly Member[],
  old: Roster,
  origins: Int32Array,
  fresh: readonly number[],
): Roster {
  const { config, uplinks } = team;
  const read = fresh.map((index) => members[index] as Member);
  const sameSize = members.length === old.members.length;
  // Names are numbered over all vNICs: if who wishes what changed or moved, all are read anew.
  const wishesOf = (member: Member | undefined) => member?.vnic.policy.placement.apart ?? [];
  const sameWishes = (index: number): boolean => {
    const [before, now] = [wishesOf(old.members[index]), wishesOf(members[index])];
    return before === now || before.length + now.length === 0;
  };
  const numberedAlike = sameSize
    ? fresh.every(sameWishes)
    : old.nameCount === 0 && read.every((member) => wishesOf(member).length === 0);
  if (!numberedAlike) return readRoster(config, uplinks, members);
  const part = readRoster(config, uplinks, read);
  const join = <T extends Column>(column: T, changes: T): T => {
    if (sameSize) {
      // Who merely wants something else leaves most columns as they are: they are shared.
      if (fresh.every((index, position) => Object.is(column[index], changes[position])))
        return column;
    }
    const Kind = column.constructor as new (size: number) => T;
    const joined = sameSize ? (column.slice() as T) : new Kind(members.length);
    if (!sameSize) {
      for (let index = 0; index < joined.length; index += 1)
        joined[index] = column[origins[index] as number] ?? 0;
    }
    fresh.forEach((index, position) => {
      joined[index] = changes[position] as number;
    });
    return joined;
  };
  const claims = joinClaims(old.claims, part.claims, origins, fresh);
  const ranks = join(old.ranks, part.ranks);
  // Who merely wants something else stands and falls as before.
  const sameOrder =
    sameSize &&
    fresh.every(
      (index) =>
        ranks[index] === old.ranks[index] &&
        members[index]?.domain.name === old.members[index]?.domain.name,
    );
  const names = Int32Array.from(read, ({ domain }) => old.numbers.get(domain.name) ?? -1);
  return {
    members,
    presence: {
      homes: join(old.presence.homes, part.presence.homes),
      senders: join(old.presence.senders, part.presence.senders),
      minors: join(old.presence.minors, part.presence.minors),
      handles: join(old.presence.handles, part.presence.handles),
    },
    ranks,
    order: sameOrder ? old.order : orderByRank(ranks),
    reservations: join(old.reservations, part.reservations),
    loads: join(old.loads, part.loads),
    wants: join(old.wants, part.wants),
    known: join(old.known, part.known),
    latched: join(old.latched, part.latched),
    shares: join(old.shares, part.shares),
    discards: join(old.discards, part.discards),
    restless: join(old.restless, part.restless),
    incoming: join(old.incoming, part.incoming),
    wishes: join(old.wishes, part.wishes),
    fates: join(old.fates, part.fates),
    graces: join(old.graces, part.graces),
    preferred: joinPreferred(old.preferred, part.preferred, origins, fresh),
    claims,
    floors: join(old.floors, part.floors),
    leasts: join(old.leasts, part.leasts),
    fulls: join(old.fulls, part.fulls),
    sures: join(old.sures, part.sures),
    numbers: old.numbers,
    apart: old.apart,
    names: join(old.names, names),
    nameCount: old.nameCount,
    ...(sameOrder ? { falling: old.falling, ends: old.ends } : orderFalling(members, ranks)),
  };
}

function joinPreferred(
  old: Roster["preferred"],
  part: Roster["preferred"],
  origins: Int32Array,
  fresh: readonly number[],
): Roster["preferred"] {
  const isOld = part.size === 0 && fresh.every((index) => !old.has(index));
  if (isOld && [...old.keys()].every((index) => origins[index] === index)) return old;
  const joined = new Map<number, Preferred>();
  for (let index = 0; index < origins.length; index += 1) {
    const preferred = old.get(origins[index] as number);
    if (preferred !== undefined) joined.set(index, preferred);
  }
  for (const [position, preferred] of part) joined.set(fresh[position] as number, preferred);
  return joined;
}

function joinClaims(
  old: readonly Claim[],
  part: readonly Claim[],
  origins: Int32Array,
  fresh: readonly number[],
): readonly Claim[] {
  const sameSize = old.length === origins.length;
  if (sameSize && fresh.every((index, position) => sameClaim(old[index], part[position])))
    return old;
  const claims = sameSize ? old.slice() : Array.from(origins, (at) => old[at] as Claim);
  fresh.forEach((index, position) => {
    claims[index] = part[position] as Claim;
  });
  return claims;
}

function sameClaim(one: Claim | undefined, other: Claim | undefined): boolean {
  return (
    one?.floorBitsPerSecond === other?.floorBitsPerSecond &&
    one?.reservationBitsPerSecond === other?.reservationBitsPerSecond &&
    one?.prio === other?.prio
  );
}

type Column = Float64Array | Int32Array | Int16Array | Uint8Array;
