/**
 * Some vNICs of a roster, summed up, and lined up for placing: rows of numbers one behind the other, since who comes
 * next is otherwise somewhere else in each of ten columns.
 */
import { isNamed } from "./choice.ts";
import type { Roster } from "./roster.ts";

/** Never changed. */
export interface Crowd {
  readonly size: number;
  /** In ascending order; made when first asked for. */
  readonly indexes: Int32Array;
  readonly sums: Sums;
  /** Null of crowds that a loss brings together: nobody places those. */
  readonly queue: Queue | null;
}

/** Sums over some vNICs, bits per second, as if each of them sent. */
export interface Sums {
  readonly floors: number;
  readonly leasts: number;
  readonly fulls: number;
  /** Of reservations above the least rates. */
  readonly needs: number;
  readonly wants: number;
  /** Of what they are sure of, and of the part of it that they want. */
  readonly sures: number;
  readonly covered: number;
  readonly reservations: number;
  /** What placing counts. */
  readonly loads: number;
  /** By rank: what they want above what they are sure of, and the shares of those who want more. */
  readonly lacks: readonly number[];
  readonly shares: readonly number[];
}

/** A crowd in the order of placing: by rank, then by arrival. */
export interface Queue {
  readonly indexes: Int32Array;
  /** ROW numbers for each of them. */
  readonly rows: Float64Array;
  /** Those of them that others name, or that name others. */
  readonly named: readonly number[];
}

/** Numbers of a row, and the place of each in it; the sums' come first, in the order of the totals. */
export const ROW = 10;
const FLOOR = 0;
const LEAST = 1;
const FULL = 2;
const WANT = 3;
const SURE = 4;
export const RESERVATION = 5;
export const LOAD = 6;
const SHARES = 7;
export const RANK = 8;
/** 1: no wish of its own or of others has to do with where it goes. */
export const EASY = 9;

/** Numbers of a total: sums of FLOOR to LOAD, then what else Sums has. */
export const TOTAL = 17;
const NEEDS = 7;
const COVERED = 8;
const LACKS = 9;
const SHARES_BY_RANK = 13;

/** Adds a row to a total. Both are given with where they begin. */
export function addRow(totals: Float64Array, total: number, rows: Float64Array, row: number): void {
  for (let at = 0; at <= LOAD; at += 1)
    totals[total + at] = (totals[total + at] as number) + (rows[row + at] as number);
  const want = rows[row + WANT] as number;
  const sure = rows[row + SURE] as number;
  const need = (rows[row + RESERVATION] as number) - (rows[row + LEAST] as number);
  if (need > 0) totals[total + NEEDS] = (totals[total + NEEDS] as number) + need;
  totals[total + COVERED] = (totals[total + COVERED] as number) + Math.min(want, sure);
  if (want <= sure) return;
  const lack = total + LACKS + (rows[row + RANK] as number);
  totals[lack] = (totals[lack] as number) + want - sure;
  const share = total + SHARES_BY_RANK + (rows[row + RANK] as number);
  totals[share] = (totals[share] as number) + (rows[row + SHARES] as number);
}

/** A total as sums. @param other sums to add to it */
function sumsOf(totals: Float64Array, total: number, other: Sums): Sums {
  const of = (at: number) => totals[total + at] as number;
  return {
    floors: other.floors + of(FLOOR),
    leasts: other.leasts + of(LEAST),
    fulls: other.fulls + of(FULL),
    needs: other.needs + of(NEEDS),
    wants: other.wants + of(WANT),
    sures: other.sures + of(SURE),
    covered: other.covered + of(COVERED),
    reservations: other.reservations + of(RESERVATION),
    loads: other.loads + of(LOAD),
    lacks: other.lacks.map((lack, rank) => lack + of(LACKS + rank)),
    shares: other.shares.map((share, rank) => share + of(SHARES_BY_RANK + rank)),
  };
}

const NOTHING: Sums = {
  ...{ floors: 0, leasts: 0, fulls: 0, needs: 0, wants: 0, sures: 0, covered: 0 },
  ...{ reservations: 0, loads: 0, lacks: [0, 0, 0, 0], shares: [0, 0, 0, 0] },
};

export const NOBODY: Crowd = {
  size: 0,
  indexes: new Int32Array(0),
  sums: NOTHING,
  queue: { indexes: new Int32Array(0), rows: new Float64Array(0), named: [] },
};

/** @param indexes in ascending order */
export function crowdOf(roster: Roster, indexes: Int32Array): Crowd {
  let asked: Roster | null = roster;
  let sums: Sums = NOTHING;
  let queue: Queue | null = null;
  const lineUp = (): void => {
    if (asked === null) return;
    queue = queueOf(asked, indexes);
    const totals = new Float64Array(TOTAL);
    for (let row = 0; row < queue.rows.length; row += ROW) addRow(totals, 0, queue.rows, row);
    sums = sumsOf(totals, 0, NOTHING);
    // Crowds outlive their plan, and are not to keep its roster.
    asked = null;
  };
  return {
    size: indexes.length,
    indexes,
    get sums() {
      lineUp();
      return sums;
    },
    get queue() {
      lineUp();
      return queue;
    },
  };
}

function queueOf(roster: Roster, indexes: Int32Array): Queue {
  const ordered = orderedByRank(roster.ranks, indexes);
  const rows = new Float64Array(ordered.length * ROW);
  const named: number[] = [];
  for (let position = 0, row = 0; position < ordered.length; position += 1, row += ROW) {
    const index = ordered[position] as number;
    rows[row + FLOOR] = roster.floors[index] as number;
    rows[row + LEAST] = roster.leasts[index] as number;
    rows[row + FULL] = roster.fulls[index] as number;
    rows[row + WANT] = roster.wants[index] as number;
    rows[row + SURE] = roster.sures[index] as number;
    rows[row + RESERVATION] = roster.reservations[index] as number;
    rows[row + LOAD] = roster.loads[index] as number;
    rows[row + SHARES] = roster.shares[index] as number;
    rows[row + RANK] = roster.ranks[index] as number;
    const hasWish = (roster.wishes[index] as number) !== 0 || (roster.names[index] as number) >= 0;
    rows[row + EASY] = hasWish ? 0 : 1;
    if (hasWish && isNamed(roster, index)) named.push(index);
  }
  return { indexes: ordered, rows, named };
}

function orderedByRank(ranks: Uint8Array, indexes: Int32Array): Int32Array {
  const next = [0, 0, 0, 0];
  for (let position = 0; position < indexes.length; position += 1) {
    const rank = ranks[indexes[position] as number] as number;
    for (let behind = rank + 1; behind < next.length; behind += 1)
      next[behind] = (next[behind] as number) + 1;
  }
  const ordered = new Int32Array(indexes.length);
  for (let position = 0; position < indexes.length; position += 1) {
    const index = indexes[position] as number;
    const rank = ranks[index] as number;
    const at = next[rank] as number;
    ordered[at] = index;
    next[rank] = at + 1;
  }
  return ordered;
}

/**
 * A crowd and those that join it.
 * @param list makes their indexes, in ascending order, when first asked for
 * @param totals their total, which begins at `total`
 */
export function joined(
  crowd: Crowd,
  joining: {
    readonly size: number;
    readonly list: () => Int32Array;
    readonly totals: Float64Array;
    readonly total: number;
  },
): Crowd {
  if (joining.size === 0) return crowd;
  const { list, totals, total } = joining;
  let indexes: Int32Array | null = null;
  let sums: Sums | null = null;
  return {
    size: crowd.size + joining.size,
    get indexes() {
      indexes ??= merge(crowd.indexes, list());
      return indexes;
    },
    get sums() {
      sums ??= sumsOf(totals, total, crowd.sums);
      return sums;
    },
    queue: null,
  };
}

function merge(one: Int32Array, other: Int32Array): Int32Array {
  const merged = new Int32Array(one.length + other.length);
  let at = 0;
  let from = 0;
  for (let position = 0; position < merged.length; position += 1) {
    const next = at < one.length ? (one[at] as number) : Number.POSITIVE_INFINITY;
    const more = from < other.length ? (other[from] as number) : Number.POSITIVE_INFINITY;
    if (next < more) at += 1;
    else from += 1;
    merged[position] = Math.min(next, more);
  }
  return merged;
}
