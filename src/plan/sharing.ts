/**
 * One uplink's sharing while its vNICs fall silent one after the other. Each that goes leaves more to the others, so
 * within a prio the level up to which wants are filled only rises: it is followed, not reckoned anew. n departures cost
 * n steps.
 */
import { PRIORITIES } from "../model/policy.ts";
import type { TeamState } from "../model/world.ts";
import { hostSharers, listSharers, wholeBits } from "./expect.ts";
import { type Filling, makeFilling } from "./filling.ts";
import { floorOn, hostClaims } from "./grants.ts";
import type { Load, UplinkLoad } from "./load.ts";
import { CONTROL_PRIO, htbPrio } from "./priority.ts";
import { fitClaims, fitsWhole, type Sharer, shareUplink, sum } from "./share.ts";

/** Those on one uplink, of one prio, that want more than they are sure of: vNICs, and classes of the host's. */
interface Level {
  /** Of those not silent: what they need above what they are sure of, and of that what is filled already, bits per second. */
  neededBitsPerSecond: number;
  filledBitsPerSecond: number;
  /** Of those neither silent nor filled. */
  shares: number;
  /** The part of the filling's order that has its vNICs, and others'; those before `next` are filled. */
  next: number;
  readonly end: number;
  /** The host's, who needs least for its shares first; those before `nextHost` are filled. */
  readonly hosts: readonly Sharer[];
  nextHost: number;
  /** What one of its shares gets above what is sure, bits per second; NaN once it is out of date. */
  perShare: number;
}

/** Room that must be left before sums of doubles are trusted to mean that all is enough. */
const MARGIN_BITS_PER_SECOND = 1;

/** What the sharings of one load have in common. */
export interface Shared {
  readonly team: TeamState;
  readonly load: Load;
  /** Who sends nothing; changed as vNICs fall silent, and each sharing is told. */
  readonly silence: Uint8Array;
  readonly filling: Filling;
  /** Indexes of those silent from the start. */
  readonly silent: readonly number[];
}

export class Sharing {
  readonly #shared: Shared;
  readonly #uplink: UplinkLoad;
  readonly #capacity: number;
  readonly #filling: Filling;
  readonly #hosts: readonly Sharer[];
  /** By prio. Null where reservations don't fit: then each departure changes the others' rates, and all is shared anew. */
  readonly #levels: readonly Level[] | null;
  #rates = 0;
  /** Of sharing anew, by index in the roster; null: out of date. */
  #got: ReadonlyMap<number, number> | null = null;

  constructor(shared: Shared, uplink: UplinkLoad) {
    const { team, load } = shared;
    const { roster } = load;
    this.#shared = shared;
    this.#uplink = uplink;
    const capacity = uplink.entry.capacityBitsPerSecond;
    this.#capacity = capacity;
    const floor = floorOn(load, uplink);
    const common = floor >= load.config.floorBitsPerSecond && shared.filling.mostWanted <= capacity;
    this.#filling = common
      ? shared.filling
      : makeFilling(roster, uplink.residents.indexes, floor, capacity);
    const claims = hostClaims(load, floor);
    const rates = fitClaims(capacity, claims, floor, 0);
    this.#hosts = hostSharers(team, capacity, rates);
    const held = common ? sumCommon(shared, uplink) : this.#sumOwn();
    this.#rates = sum(this.#hosts.map(sureOf)) + held.covered;
    const whole = fitsWhole(capacity, claims, floor, held.reserved);
    this.#levels = whole ? this.#layOut(held) : null;
  }

  /** As sumCommon, where floors are lower or somebody wants more than there is. */
  #sumOwn(): Held {
    const { load, silence } = this.#shared;
    const { claims, wants, ranks, shares: weights } = load.roster;
    const { sure, needs } = this.#filling;
    let reserved = 0;
    let covered = 0;
    const lacks = PRIORITIES.map(() => 0);
    const shares = PRIORITIES.map(() => 0);
    for (const index of this.#uplink.residents.indexes) {
      const isSilent = silence[index] === 1;
      const { floorBitsPerSecond = 0, reservationBitsPerSecond = 0 } = claims[index] ?? {};
      reserved += Math.max(floorBitsPerSecond, 0, isSilent ? 0 : reservationBitsPerSecond);
      if (isSilent) continue;
      covered += Math.min(wants[index] as number, sure[index] as number);
      const need = needs[index] as number;
      if (need <= 0) continue;
      const rank = ranks[index] as number;
      lacks[rank] = (lacks[rank] as number) + need;
      shares[rank] = (shares[rank] as number) + (weights[index] as number);
    }
    return { reserved, covered, lacks, shares };
  }

  #layOut({ lacks, shares }: Held): Level[] {
    const { starts } = this.#filling;
    return [CONTROL_PRIO, ...PRIORITIES.map(htbPrio)].map((prio, at): Level => {
      const rank = at - 1;
      const hosts = this.#hosts.filter((host) => host.prio === prio && needOf(host) > 0);
      return {
        neededBitsPerSecond: (lacks[rank] ?? 0) + sum(hosts.map(needOf)),
        filledBitsPerSecond: 0,
        shares: (shares[rank] ?? 0) + sum(hosts.map((host) => host.shares)),
        next: starts[rank] ?? 0,
        end: starts[at] as number,
        hosts: hosts.sort((a, b) => fillsAt(a) - fillsAt(b)),
        nextHost: 0,
        perShare: Number.NaN,
      };
    });
  }

  /** A vNIC sends nothing any more; `silence` has it marked already. */
  silence(index: number): void {
    this.#got = null;
    const { load } = this.#shared;
    if (this.#levels === null || load.carriers[index] !== this.#uplink.place) return;
    for (let prio = 0; prio < this.#levels.length; prio += 1)
      (this.#levels[prio] as Level).perShare = Number.NaN;
    const { roster } = load;
    const need = this.#filling.needs[index] as number;
    this.#rates -= Math.min(
      this.#filling.sure[index] as number,
      roster.wants[index] as number,
      this.#capacity,
    );
    const level = this.#levels[(roster.ranks[index] as number) + 1];
    if (level === undefined || need <= 0) return;
    level.neededBitsPerSecond -= need;
    if ((this.#filling.places[index] as number) < level.next) level.filledBitsPerSecond -= need;
    else level.shares -= roster.shares[index] as number;
  }

  /** Whether each that isn't silent gets all that it wants. Once so, it stays so: who falls silent leaves more to the others. */
  get suffices(): boolean {
    // Elsewhere one may want more than there is.
    if (this.#levels === null || this.#filling !== this.#shared.filling) return false;
    let left = this.#capacity - this.#rates;
    for (const level of this.#levels) left -= level.neededBitsPerSecond;
    return left >= MARGIN_BITS_PER_SECOND;
  }

  /** @returns what a vNIC gets that isn't silent, whole bits per second */
  expect(index: number): number {
    const { roster, carriers } = this.#shared.load;
    if (carriers[index] !== this.#uplink.place) return 0;
    if (this.#levels === null) return wholeBits(this.#shareAnew().get(index) ?? 0);
    const need = this.#filling.needs[index] as number;
    const sure = this.#filling.sure[index] as number;
    const want = Math.min(roster.wants[index] as number, this.#capacity);
    if (need <= 0) return wholeBits(Math.min(sure, want));
    const prio = (roster.ranks[index] as number) + 1;
    const level = this.#levels[prio] as Level;
    if (Number.isNaN(level.perShare)) level.perShare = this.#perShare(prio);
    const part = level.perShare;
    return wholeBits(sure + Math.min(need, part * (roster.shares[index] as number)));
  }

  #shareAnew(): ReadonlyMap<number, number> {
    if (this.#got === null) {
      const { team, load, silence } = this.#shared;
      const got = shareUplink(this.#capacity, listSharers(team, load, this.#uplink, silence));
      const first = got.length - this.#uplink.residents.size;
      const { indexes } = this.#uplink.residents;
      this.#got = new Map(Array.from(indexes, (index, at) => [index, got[first + at] ?? 0]));
    }
    return this.#got;
  }

  /** What one share of a prio gets above what is sure, bits per second. */
  #perShare(prio: number): number {
    const levels = this.#levels ?? [];
    let left = this.#capacity - this.#rates;
    for (let above = 0; above < prio; above += 1) left -= levels[above]?.neededBitsPerSecond ?? 0;
    const level = levels[prio];
    if (level === undefined || left <= 0) return 0;
    if (left >= level.neededBitsPerSecond) return Number.POSITIVE_INFINITY;
    const { needs, levels: fillLevels, order } = this.#filling;
    const { shares } = this.#shared.load.roster;
    for (;;) {
      this.#skip(level);
      const index = level.next < level.end ? (order[level.next] as number) : -1;
      const host = level.hosts[level.nextHost];
      if (index < 0 && host === undefined) return Number.POSITIVE_INFINITY;
      const own = index < 0 ? Number.POSITIVE_INFINITY : (fillLevels[index] as number);
      const hosts = host === undefined ? Number.POSITIVE_INFINITY : fillsAt(host);
      const perShare = (left - level.filledBitsPerSecond) / level.shares;
      if (Math.min(own, hosts) > perShare) return perShare;
      if (host !== undefined && hosts <= own) {
        level.filledBitsPerSecond += needOf(host);
        level.shares -= host.shares;
        level.nextHost += 1;
      } else {
        level.filledBitsPerSecond += needs[index] as number;
        level.shares -= shares[index] as number;
        level.next += 1;
      }
    }
  }

  /** Goes on to the next vNIC of a level that is on this uplink and not silent. */
  #skip(level: Level): void {
    const { silence, load } = this.#shared;
    const { order } = this.#filling;
    const { place } = this.#uplink;
    for (; level.next < level.end; level.next += 1) {
      const index = order[level.next] as number;
      if (load.carriers[index] === place && silence[index] !== 1) return;
    }
  }
}

/** What is held for those on one uplink, bits per second. */
interface Held {
  /** Floors and reservations; of those who are silent the floors alone. */
  readonly reserved: number;
  /** What those who aren't silent are sure of, as far as they want it. */
  readonly covered: number;
  /** By rank: what they want above that, and the shares of those who want more. */
  readonly lacks: readonly number[];
  readonly shares: readonly number[];
}

function sumCommon({ load, filling, silent }: Shared, { place, residents }: UplinkLoad): Held {
  const { roster, carriers } = load;
  const { sums } = residents;
  let { sures: reserved, covered } = sums;
  const lacks = [...sums.lacks];
  const shares = [...sums.shares];
  for (const index of silent) {
    if (carriers[index] !== place) continue;
    const sure = roster.sures[index] as number;
    reserved -= sure - Math.max(0, roster.claims[index]?.floorBitsPerSecond ?? 0);
    covered -= Math.min(roster.wants[index] as number, sure);
    const need = filling.needs[index] as number;
    if (need <= 0) continue;
    const rank = roster.ranks[index] as number;
    lacks[rank] = (lacks[rank] as number) - need;
    shares[rank] = (shares[rank] as number) - (roster.shares[index] as number);
  }
  return { reserved, covered, lacks, shares };
}

function sureOf({ rateBitsPerSecond, wantBitsPerSecond }: Sharer): number {
  return Math.min(rateBitsPerSecond, wantBitsPerSecond);
}

function needOf({ rateBitsPerSecond, wantBitsPerSecond }: Sharer): number {
  return Math.max(0, wantBitsPerSecond - rateBitsPerSecond);
}

function fillsAt(host: Sharer): number {
  return needOf(host) / host.shares;
}
