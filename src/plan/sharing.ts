/**
 * One uplink's sharing while its vNICs fall silent one after the other. Each that goes leaves more to the others, so
 * within a prio the level up to which wants are filled only rises: it is followed, not reckoned anew. After sorting,
 * n departures cost n steps.
 */
import type { TeamState } from "../model/world.ts";
import { listSharers, wholeBits } from "./expect.ts";
import { floorOn, hostClaims, type Silence } from "./grants.ts";
import type { Load, UplinkLoad } from "./load.ts";
import { fitsWhole, type Sharer, shareUplink } from "./share.ts";

/** The sharers of one prio that want more than their rate. */
interface Level {
  /** Positions among the sharers, by the level that fills them. */
  readonly order: readonly number[];
  /** How many of the order are filled. */
  filled: number;
  /** What those filled, and all, need above their rates. */
  filledBitsPerSecond: number;
  neededBitsPerSecond: number;
  /** Of those not filled. */
  shares: number;
}

export class Sharing {
  readonly #ask: (silence: Silence) => readonly Sharer[];
  readonly #capacity: number;
  readonly #positions: ReadonlyMap<number, number>;
  #sharers: readonly Sharer[];
  /** Null where reservations don't fit: then each departure changes the others' rates, and all is shared anew. */
  readonly #levels: readonly Level[] | null;
  readonly #needs: Float64Array;
  /** Where each stands in its prio's order. */
  readonly #places: Int32Array;
  readonly #gone = new Set<number>();
  #rates = 0;
  /** Of sharing anew; null: out of date. */
  #got: readonly number[] | null = null;

  /** @param silence who is silent from the beginning; as it changes, `silence` is told */
  constructor(team: TeamState, load: Load, uplink: UplinkLoad, silence: Silence) {
    this.#capacity = uplink.entry.capacityBitsPerSecond;
    this.#ask = (now) => listSharers(team, load, uplink, now);
    this.#sharers = this.#ask(silence);
    const hosts = this.#sharers.length - uplink.residents.size;
    this.#positions = new Map(
      Array.from(uplink.residents.indexes, (index, at) => [index, at + hosts]),
    );
    this.#needs = Float64Array.from(this.#sharers, needOf);
    this.#places = new Int32Array(this.#sharers.length);
    for (const { rateBitsPerSecond, wantBitsPerSecond } of this.#sharers)
      this.#rates += Math.min(rateBitsPerSecond, wantBitsPerSecond);
    const floor = floorOn(load, uplink);
    const claims = hostClaims(load, floor);
    for (const index of uplink.residents.indexes) {
      const claim = load.roster.claims[index];
      if (claim === undefined) continue;
      claims.push(silence?.[index] === 1 ? { ...claim, reservationBitsPerSecond: 0 } : claim);
    }
    this.#levels = fitsWhole(this.#capacity, claims, floor) ? this.#sort() : null;
  }

  /** A vNIC sends nothing any more; `silence` has it marked already. */
  silence(index: number): void {
    const position = this.#positions.get(index);
    if (position === undefined || this.#gone.has(position)) return;
    this.#got = null;
    this.#gone.add(position);
    if (this.#levels === null) return;
    const { rateBitsPerSecond, wantBitsPerSecond, prio, shares } = this.#sharers[
      position
    ] as Sharer;
    this.#rates -= Math.min(rateBitsPerSecond, wantBitsPerSecond);
    const level = this.#levels[prio];
    const need = this.#needs[position] ?? 0;
    if (level === undefined || need <= 0) return;
    level.neededBitsPerSecond -= need;
    if ((this.#places[position] ?? 0) < level.filled) level.filledBitsPerSecond -= need;
    else level.shares -= shares;
  }

  /** @returns what a vNIC gets, whole bits per second */
  expect(index: number, silence: Silence): number {
    const position = this.#positions.get(index);
    if (position === undefined) return 0;
    if (this.#levels === null) {
      if (this.#got === null) {
        this.#sharers = this.#ask(silence);
        this.#got = shareUplink(this.#capacity, this.#sharers);
      }
      return wholeBits(this.#got[position] ?? 0);
    }
    const { rateBitsPerSecond, wantBitsPerSecond, prio, shares } = this.#sharers[
      position
    ] as Sharer;
    const need = this.#needs[position] ?? 0;
    const rate = Math.min(rateBitsPerSecond, wantBitsPerSecond);
    return wholeBits(rate + Math.min(need, this.#perShare(prio) * shares));
  }

  #sort(): Level[] {
    const orders: number[][] = [];
    for (const [position, { prio }] of this.#sharers.entries()) {
      if ((this.#needs[position] ?? 0) <= 0) continue;
      const order = orders[prio];
      if (order === undefined) orders[prio] = [position];
      else order.push(position);
    }
    return Array.from(orders, (order = []) => {
      order.sort((a, b) => this.#fillsAt(a) - this.#fillsAt(b));
      let neededBitsPerSecond = 0;
      let shares = 0;
      for (const [place, position] of order.entries()) {
        this.#places[position] = place;
        neededBitsPerSecond += this.#needs[position] ?? 0;
        shares += this.#sharers[position]?.shares ?? 0;
      }
      return { order, filled: 0, filledBitsPerSecond: 0, neededBitsPerSecond, shares };
    });
  }

  #fillsAt(position: number): number {
    return (this.#needs[position] ?? 0) / (this.#sharers[position]?.shares ?? 1);
  }

  /** What one share of a prio gets above rates, bits per second. */
  #perShare(prio: number): number {
    let left = this.#capacity - this.#rates;
    for (const above of this.#levels?.slice(0, prio) ?? []) left -= above.neededBitsPerSecond;
    const level = this.#levels?.[prio];
    if (level === undefined || left <= 0) return 0;
    if (left >= level.neededBitsPerSecond) return Number.POSITIVE_INFINITY;
    for (; level.filled < level.order.length; level.filled += 1) {
      const position = level.order[level.filled] ?? 0;
      if (this.#gone.has(position)) continue;
      const perShare = (left - level.filledBitsPerSecond) / level.shares;
      if (this.#fillsAt(position) > perShare) return perShare;
      level.filledBitsPerSecond += this.#needs[position] ?? 0;
      level.shares -= this.#sharers[position]?.shares ?? 0;
    }
    return Number.POSITIVE_INFINITY;
  }
}

function needOf({ rateBitsPerSecond, wantBitsPerSecond }: Sharer): number {
  return Math.max(0, wantBitsPerSecond - rateBitsPerSecond);
}
