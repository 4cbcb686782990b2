/**
 * One uplink's sharing while its vNICs fall silent one after the other. Each that goes leaves more to the others, so
 * within a prio the level up to which wants are filled only rises: it is followed, not reckoned anew. n departures cost
 * n steps.
 */
import type { TeamState } from "../model/world.ts";
import { hostSharers, listSharers, wholeBits } from "./expect.ts";
import { type Filling, fillingOf, makeFilling, orderByUplink } from "./filling.ts";
import { floorOn, hostClaims } from "./grants.ts";
import type { Load, UplinkLoad } from "./load.ts";
import { fitClaims, fitsWhole, type Sharer, shareUplink, sum } from "./share.ts";

/** The sharers of one prio that want more than they are sure of. */
interface Level {
  /** By the level that fills them: vNICs by index in the roster, the host's classes behind the last of them. */
  readonly order: Int32Array;
  /** How many of the order are filled. */
  filled: number;
  /** What those filled, and all, need above what they are sure of. */
  filledBitsPerSecond: number;
  neededBitsPerSecond: number;
  /** Of those not filled. */
  shares: number;
}

/** What the sharings of one load have in common. */
export interface Shared {
  readonly team: TeamState;
  readonly load: Load;
  /** Who sends nothing; changed as vNICs fall silent, and each sharing is told. */
  readonly silence: Uint8Array;
  readonly filling: Filling;
  /** By place of the uplink. */
  readonly orders: readonly Int32Array[];
  /** By index in the roster: its place in the order of its prio. */
  readonly places: Int32Array;
}

/** Sorts who shares what. */
export function shareOut(team: TeamState, load: Load, silence: Uint8Array): Shared {
  const filling = fillingOf(load.roster);
  const orders = orderByUplink(load, filling);
  return { team, load, silence, filling, orders, places: new Int32Array(silence.length) };
}

export class Sharing {
  readonly #shared: Shared;
  readonly #uplink: UplinkLoad;
  readonly #capacity: number;
  readonly #filling: Filling;
  readonly #hosts: readonly Sharer[];
  /** Null where reservations don't fit: then each departure changes the others' rates, and all is shared anew. */
  readonly #levels: readonly (Level | undefined)[] | null;
  #rates = 0;
  /** Of sharing anew, by index in the roster; null: out of date. */
  #got: ReadonlyMap<number, number> | null = null;

  constructor(shared: Shared, uplink: UplinkLoad) {
    const { team, load, silence } = shared;
    const { roster } = load;
    this.#shared = shared;
    this.#uplink = uplink;
    const capacity = uplink.entry.capacityBitsPerSecond;
    this.#capacity = capacity;
    const floor = floorOn(load, uplink);
    const common = floor >= load.config.floorBitsPerSecond && shared.filling.mostWanted <= capacity;
    const residents = uplink.residents.indexes;
    this.#filling = common ? shared.filling : makeFilling(roster, residents, floor, capacity);
    const claims = hostClaims(load, floor);
    const rates = fitClaims(capacity, claims, floor, 0);
    this.#hosts = hostSharers(team, capacity, rates);
    this.#rates = sum(this.#hosts.map(sureOf));
    const { sure } = this.#filling;
    const { wants } = roster;
    let reserved = 0;
    for (let position = 0; position < residents.length; position += 1) {
      const index = residents[position] as number;
      const least = sure[index] as number;
      const isSilent = silence[index] === 1;
      if (!isSilent) this.#rates += Math.min(wants[index] as number, least);
      if (common && !isSilent) reserved += least;
      else {
        const { floorBitsPerSecond = 0, reservationBitsPerSecond = 0 } = roster.claims[index] ?? {};
        reserved += Math.max(floorBitsPerSecond, 0, isSilent ? 0 : reservationBitsPerSecond);
      }
    }
    const whole = fitsWhole(capacity, claims, floor, reserved);
    const order = common ? shared.orders[uplink.place] : this.#filling.order;
    this.#levels = whole ? this.#sort(order ?? new Int32Array(0)) : null;
  }

  /** A vNIC sends nothing any more; `silence` has it marked already. */
  silence(index: number): void {
    this.#got = null;
    const { load, places } = this.#shared;
    if (this.#levels === null || load.carriers[index] !== this.#uplink.place) return;
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
    if ((places[index] as number) < level.filled) level.filledBitsPerSecond -= need;
    else level.shares -= roster.shares[index] as number;
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
    const part = this.#perShare((roster.ranks[index] as number) + 1);
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

  /** @param order of all prios, one after the other */
  #sort(order: Int32Array): (Level | undefined)[] {
    const { load, silence, places } = this.#shared;
    const { ranks } = load.roster;
    const levels: (Level | undefined)[] = [];
    for (let first = 0; first < order.length; ) {
      const rank = ranks[order[first] as number] as number;
      let end = first;
      while (end < order.length && ranks[order[end] as number] === rank) end += 1;
      levels[rank + 1] = levelOf(order.subarray(first, end));
      first = end;
    }
    for (const [line, host] of this.#hosts.entries()) {
      if (needOf(host) <= 0) continue;
      const level = levels[host.prio]?.order ?? new Int32Array(0);
      levels[host.prio] = levelOf(this.#insert(level, silence.length + line));
    }
    for (const level of levels) {
      if (level === undefined) continue;
      for (let place = 0; place < level.order.length; place += 1) {
        const id = level.order[place] as number;
        if (id < silence.length) places[id] = place;
        if (silence[id] === 1) continue;
        level.neededBitsPerSecond += this.#needOf(id);
        level.shares += this.#sharesOf(id);
      }
    }
    return levels;
  }

  /** Puts a class of the host's in its place. */
  #insert(order: Int32Array, id: number): Int32Array {
    const fillsAt = this.#fillsAt(id);
    const place = order.findIndex((other) => this.#fillsAt(other) >= fillsAt);
    const inserted = [...order];
    inserted.splice(place < 0 ? order.length : place, 0, id);
    return Int32Array.from(inserted);
  }

  #needOf(id: number): number {
    const vnics = this.#shared.silence.length;
    if (id < vnics) return this.#filling.needs[id] as number;
    return needOf(this.#hosts[id - vnics] as Sharer);
  }

  #sharesOf(id: number): number {
    const vnics = this.#shared.silence.length;
    if (id < vnics) return this.#shared.load.roster.shares[id] as number;
    return (this.#hosts[id - vnics] as Sharer).shares;
  }

  #fillsAt(id: number): number {
    return this.#needOf(id) / this.#sharesOf(id);
  }

  /** What one share of a prio gets above what is sure, bits per second. */
  #perShare(prio: number): number {
    const levels = this.#levels ?? [];
    let left = this.#capacity - this.#rates;
    for (let above = 0; above < prio; above += 1) left -= levels[above]?.neededBitsPerSecond ?? 0;
    const level = levels[prio];
    if (level === undefined || left <= 0) return 0;
    if (left >= level.neededBitsPerSecond) return Number.POSITIVE_INFINITY;
    const { silence } = this.#shared;
    for (; level.filled < level.order.length; level.filled += 1) {
      const id = level.order[level.filled] as number;
      if (silence[id] === 1) continue;
      const perShare = (left - level.filledBitsPerSecond) / level.shares;
      if (this.#fillsAt(id) > perShare) return perShare;
      level.filledBitsPerSecond += this.#needOf(id);
      level.shares -= this.#sharesOf(id);
    }
    return Number.POSITIVE_INFINITY;
  }
}

function levelOf(order: Int32Array): Level {
  return { order, filled: 0, filledBitsPerSecond: 0, neededBitsPerSecond: 0, shares: 0 };
}

function sureOf({ rateBitsPerSecond, wantBitsPerSecond }: Sharer): number {
  return Math.min(rateBitsPerSecond, wantBitsPerSecond);
}

function needOf({ rateBitsPerSecond, wantBitsPerSecond }: Sharer): number {
  return Math.max(0, wantBitsPerSecond - rateBitsPerSecond);
}
