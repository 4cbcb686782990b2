/**
 * In which order vNICs are filled up to what they want where all reservations fit: by priority, within one by what each
 * lacks for its weight. Nobody's place in it depends on who else is there, so it is sorted once a roster, not once an
 * uplink and loss.
 */
import type { Load } from "./load.ts";
import type { Roster } from "./roster.ts";

export interface Filling {
  /** What each is sure of, by index in the roster, bits per second: its reservation, at least its floor. */
  readonly sure: Float64Array;
  /** What each wants above that, bits per second. */
  readonly needs: Float64Array;
  /** Indexes of those who want more, by rank, then by need for a share, then by arrival. */
  readonly order: Int32Array;
  /** The most that one wants, bits per second; infinity where that isn't known of somebody. */
  readonly mostWanted: number;
}

/** Of rosters: they are never changed. */
const FILLINGS = new WeakMap<Roster, Filling>();

/** The order on uplinks that are wider than the most wanted, where no floor is cut. */
export function fillingOf(roster: Roster): Filling {
  let filling = FILLINGS.get(roster);
  if (filling === undefined) {
    const everybody = Int32Array.from(roster.members.keys());
    filling = makeFilling(roster, everybody, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
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
  const { claims, wants, ranks, shares } = roster;
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
  const sorted = order
    .slice(0, count)
    .sort(
      (a, b) =>
        (ranks[a] as number) - (ranks[b] as number) ||
        (levels[a] as number) - (levels[b] as number) ||
        a - b,
    );
  return { sure, needs, order: sorted, mostWanted };
}

/** The order on each uplink, by place; nobody is on several. */
export function orderByUplink({ carriers, uplinks }: Load, { order }: Filling): Int32Array[] {
  const counts = new Int32Array(uplinks.length);
  for (let turn = 0; turn < order.length; turn += 1) {
    const place = carriers[order[turn] as number] as number;
    if (place >= 0) counts[place] = (counts[place] as number) + 1;
  }
  const lists = Array.from(counts, (count) => new Int32Array(count));
  counts.fill(0);
  for (let turn = 0; turn < order.length; turn += 1) {
    const index = order[turn] as number;
    const place = carriers[index] as number;
    if (place < 0) continue;
    const at = counts[place] as number;
    (lists[place] as Int32Array)[at] = index;
    counts[place] = at + 1;
  }
  return lists;
}
