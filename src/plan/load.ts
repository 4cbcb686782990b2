/** A team's vNICs by the uplinks that carry them; computed once a placement, asked often. */
import type { TeamConfig } from "../model/config.ts";
import type { Placement } from "./placement.ts";
import type { Roster } from "./roster.ts";
import type { Usability } from "./usable.ts";

export interface Load {
  readonly config: TeamConfig;
  readonly roster: Roster;
  readonly placement: Placement;
  /** One a uplink of the team, same order. */
  readonly uplinks: readonly UplinkLoad[];
}

export interface UplinkLoad {
  readonly entry: Usability;
  /**
   * Indexes of the vNICs that it carries; of an unusable uplink those whose home it is, since that is what comes
   * back to it if nobody is there to tell otherwise. Where none is usable, the first that returns has everybody.
   */
  readonly residents: Int32Array;
  /** Indexes of the vNICs that its loss would displace. */
  readonly senders: Int32Array;
  /** The most vNICs that the loss of one of the others would bring here. */
  readonly mostDisplaced: number;
}

/** Sorts placed vNICs by uplink. */
export function loadUplinks(
  config: TeamConfig,
  uplinks: readonly Usability[],
  roster: Roster,
  placement: Placement,
): Load {
  const { homes, vias } = placement;
  const carriers = vias.slice();
  for (let index = 0; index < carriers.length; index += 1)
    if ((carriers[index] as number) < 0) carriers[index] = homes[index] as number;
  const senders = sortByUplink(carriers, uplinks.length);
  const counts = senders.map((list) => list.length);
  const isolated = !uplinks.some((entry) => entry.usable);
  const all = isolated ? Int32Array.from(homes.keys()) : null;
  return {
    config,
    roster,
    placement,
    uplinks: uplinks.map((entry, place) => ({
      entry,
      residents:
        all ?? (entry.usable ? senders[place] : indexesOf(homes, place)) ?? new Int32Array(0),
      senders: senders[place] ?? new Int32Array(0),
      mostDisplaced: isolated
        ? 0
        : Math.max(0, ...counts.filter((_count, other) => other !== place)),
    })),
  };
}

/** Sums over some vNICs, bits per second, as if each of them sent. */
export interface Sums {
  readonly floors: number;
  readonly leasts: number;
  readonly fulls: number;
  /** Of reservations above the least rates. */
  readonly needs: number;
  readonly wants: number;
}

/** By list of indexes: each is of one roster, and never changed. */
const SUMS = new WeakMap<Int32Array, Sums>();

/** Sums up the vNICs of a list; those of a list that was asked for before, or joined from such, cost nothing. */
export function sumUp(roster: Roster, indexes: Int32Array): Sums {
  const known = SUMS.get(indexes);
  if (known !== undefined) return known;
  let [floors, leasts, fulls, needs, wants] = [0, 0, 0, 0, 0];
  for (let position = 0; position < indexes.length; position += 1) {
    const index = indexes[position] as number;
    const least = roster.leasts[index] as number;
    floors += roster.floors[index] as number;
    leasts += least;
    fulls += roster.fulls[index] as number;
    needs += Math.max(0, (roster.reservations[index] as number) - least);
    wants += roster.wants[index] as number;
  }
  const sums = { floors, leasts, fulls, needs, wants };
  SUMS.set(indexes, sums);
  return sums;
}

/** Joins two lists of different vNICs, both in ascending order. */
export function join(roster: Roster, one: Int32Array, other: Int32Array): Int32Array {
  if (other.length === 0) return one;
  const joined = new Int32Array(one.length + other.length);
  let [at, from] = [0, 0];
  for (let position = 0; position < joined.length; position += 1) {
    const next = at < one.length ? (one[at] as number) : Number.POSITIVE_INFINITY;
    const more = from < other.length ? (other[from] as number) : Number.POSITIVE_INFINITY;
    if (next < more) at += 1;
    else from += 1;
    joined[position] = Math.min(next, more);
  }
  const [a, b] = [sumUp(roster, one), sumUp(roster, other)];
  SUMS.set(joined, {
    floors: a.floors + b.floors,
    leasts: a.leasts + b.leasts,
    fulls: a.fulls + b.fulls,
    needs: a.needs + b.needs,
    wants: a.wants + b.wants,
  });
  return joined;
}

function indexesOf(places: Int16Array, wanted: number): Int32Array {
  const indexes = new Int32Array(places.length);
  let count = 0;
  for (let index = 0; index < places.length; index += 1)
    if (places[index] === wanted) indexes[count++] = index;
  return indexes.slice(0, count);
}

/** Indexes by the uplink that they name, each list in order; those that name none are left out. */
function sortByUplink(places: Int16Array, uplinks: number): Int32Array[] {
  const starts = new Int32Array(uplinks + 1);
  for (let index = 0; index < places.length; index += 1) {
    const place = places[index] as number;
    if (place >= 0) starts[place + 1] = (starts[place + 1] as number) + 1;
  }
  for (let place = 0; place < uplinks; place += 1)
    starts[place + 1] = (starts[place + 1] as number) + (starts[place] as number);
  const sorted = new Int32Array(starts[uplinks] as number);
  const next = starts.slice();
  for (let index = 0; index < places.length; index += 1) {
    const place = places[index] as number;
    if (place < 0) continue;
    sorted[next[place] as number] = index;
    next[place] = (next[place] as number) + 1;
  }
  return Array.from({ length: uplinks }, (_, place) =>
    sorted.subarray(starts[place], starts[place + 1]),
  );
}
