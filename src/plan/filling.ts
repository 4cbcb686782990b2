/**
 * In which order vNICs are filled up to what they want where all reservations fit: by priority, within one by what each
 * lacks for its weight. Nobody's place in it depends on who else is there, so it is sorted once a roster, not once an
 * uplink and loss.
 */
import { PRIORITIES } from "../model/policy.ts";
import type { Roster } from "./roster.ts";

export interface Filling {
  /** What each is sure of, by index in the roster, bits per second: its reservation, at least its floor. */
  readonly sure: Float64Array;
  /** What each wants above that, bits per second. */
  readonly needs: Float64Array;
  /** That for each of its shares: who has least is filled first. */
  readonly levels: Float64Array;
  /** Indexes of those who want more, by rank, then by need for a share, then by arrival. */
  readonly order: Int32Array;
  /** The place of each in that order; of who is not in it nothing is said. */
  readonly places: Int32Array;
  /** Where each rank begins in it, and where the last one ends. */
  readonly starts: readonly number[];
  /** The most that one wants, bits per second; infinity where that isn't known of somebody. */
  readonly mostWanted: number;
}

/** Of rosters: they are never changed. */
const FILLINGS = new WeakMap<Roster, Filling>();

/** What a roster's filling can be made from; forgotten once it is. */
const FORMER = new WeakMap<Roster, Former>();

interface Former {
  readonly filling: Filling;
  /** Indexes of the vNICs that have changed since. */
  readonly changed: readonly number[];
}

/** More changed ones are sorted anew. */
const MOST_PATCHED = 64;

/** Tells that a roster has the vNICs of an earlier one at the same places, of which some have changed. */
export function followFilling(roster: Roster, earlier: Roster, changed: readonly number[]): void {
  const filling = FILLINGS.get(earlier);
  if (filling !== undefined && changed.length <= MOST_PATCHED)
    FORMER.set(roster, { filling, changed });
}

/** The order on uplinks that are wider than the most wanted, where no floor is cut. */
export function fillingOf(roster: Roster): Filling {
  let filling = FILLINGS.get(roster);
  if (filling === undefined) {
    const former = FORMER.get(roster);
    const all = Number.POSITIVE_INFINITY;
    filling =
      former === undefined
        ? makeFilling(roster, Int32Array.from(roster.members.keys()), all, all)
        : patchFilling(roster, former);
    FORMER.delete(roster);
    FILLINGS.set(roster, filling);
  }
  return filling;
}

/**
 * The order of some vNICs on one uplink.
 * @param floorCapBitsPerSecond no floor counts for more there
 * @param capacityBitsPerSecond nobody wants more than there is
 */
export function makeFilling(
  roster: Roster,
  indexes: Int32Array,
  floorCapBitsPerSecond: number,
  capacityBitsPerSecond: number,
): Filling {
  const { claims, wants, shares } = roster;
  const sure = new Float64Array(claims.length);
  const needs = new Float64Array(claims.length);
  const levels = new Float64Array(claims.length);
  const order = new Int32Array(indexes.length);
  let count = 0;
  let mostWanted = 0;
  for (let position = 0; position < indexes.length; position += 1) {
    const index = indexes[position] as number;
    const { floorBitsPerSecond = 0, reservationBitsPerSecond = 0 } = claims[index] ?? {};
    const least = Math.max(
      0,
      Math.min(floorBitsPerSecond, floorCapBitsPerSecond),
      reservationBitsPerSecond,
    );
    const want = Math.min(wants[index] as number, capacityBitsPerSecond);
    const need = Math.max(0, want - least);
    sure[index] = least;
    needs[index] = need;
    levels[index] = need / (shares[index] as number);
    if (want > mostWanted) mostWanted = want;
    if (need > 0) order[count++] = index;
  }
  const sorted = order.slice(0, count).sort(comparerOf(roster, levels));
  return { sure, needs, levels, ...orderOf(roster, sorted), mostWanted };
}

/** What makeFilling makes of all vNICs, from what it was before some of them changed. */
function patchFilling(roster: Roster, { filling, changed }: Former): Filling {
  const { wants, shares } = roster;
  const { sures: sure } = roster;
  const needs = filling.needs.slice();
  const levels = filling.levels.slice();
  for (const index of changed) {
    const need = Math.max(0, (wants[index] as number) - (sure[index] as number));
    needs[index] = need;
    levels[index] = need / (shares[index] as number);
  }
  const compare = comparerOf(roster, levels);
  const moved = new Set(changed);
  const waiting = [...moved].filter((index) => (needs[index] as number) > 0).sort(compare);
  const order = new Int32Array(filling.order.length + waiting.length);
  let count = 0;
  let next = 0;
  for (let turn = 0; turn < filling.order.length; turn += 1) {
    const index = filling.order[turn] as number;
    if (moved.has(index)) continue;
    while (next < waiting.length && compare(waiting[next] as number, index) < 0)
      order[count++] = waiting[next++] as number;
    order[count++] = index;
  }
  while (next < waiting.length) order[count++] = waiting[next++] as number;
  let mostWanted = 0;
  for (let index = 0; index < wants.length; index += 1)
    if ((wants[index] as number) > mostWanted) mostWanted = wants[index] as number;
  return { sure, needs, levels, ...orderOf(roster, order.slice(0, count)), mostWanted };
}

/** By rank, then by need for a share, then by arrival. */
function comparerOf({ ranks }: Roster, levels: Float64Array) {
  return (a: number, b: number): number =>
    (ranks[a] as number) - (ranks[b] as number) ||
    (levels[a] as number) - (levels[b] as number) ||
    a - b;
}

function orderOf({ ranks }: Roster, order: Int32Array) {
  const places = new Int32Array(ranks.length);
  const counts = PRIORITIES.map(() => 0);
  for (let place = 0; place < order.length; place += 1) {
    const index = order[place] as number;
    places[index] = place;
    const rank = ranks[index] as number;
    counts[rank] = (counts[rank] as number) + 1;
  }
  const starts = [0];
  for (const count of counts) starts.push((starts.at(-1) as number) + count);
  return { order, places, starts };
}
