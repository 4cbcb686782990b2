/**
 * How HTB shares one uplink, as a pure function: classes first get up to their rate, what is left goes strictly
 * by prio, within one prio by weighted max-min. Source: sch_htb.c, htb_dequeue and htb_lookup_leaf.
 */

export interface Sharer {
  /** HTB rate of its class. */
  readonly rateBitsPerSecond: number;
  /** The least of demand, limit and capacity. */
  readonly wantBitsPerSecond: number;
  /** 0 is served first. */
  readonly prio: number;
  /** Weight within one prio. */
  readonly shares: number;
}

/**
 * @returns what each sharer gets, same order, bits per second; the sum is at most the capacity as long as the
 * rates' sum is
 */
export function shareUplink(capacityBitsPerSecond: number, sharers: readonly Sharer[]): number[] {
  const got = sharers.map((sharer) => Math.min(sharer.rateBitsPerSecond, sharer.wantBitsPerSecond));
  let left = capacityBitsPerSecond - sum(got);
  const byPrio = new Map<number, number[]>();
  sharers.forEach((sharer, index) => {
    if ((got[index] ?? 0) >= sharer.wantBitsPerSecond) return;
    const group = byPrio.get(sharer.prio);
    if (group === undefined) byPrio.set(sharer.prio, [index]);
    else group.push(index);
  });
  for (const prio of [...byPrio.keys()].sort((a, b) => a - b)) {
    if (left <= 0) break;
    left = fill(byPrio.get(prio) ?? [], sharers, got, left);
  }
  return got;
}

/**
 * Weighted max-min of `left` over the indexes, in one pass: whoever needs least for its weight is filled first.
 * @returns what remains
 */
function fill(
  indexes: readonly number[],
  sharers: readonly Sharer[],
  got: number[],
  left: number,
): number {
  const entries = indexes.map((index) => {
    const sharer = sharers[index];
    const needed = (sharer?.wantBitsPerSecond ?? 0) - (got[index] ?? 0);
    const shares = sharer?.shares ?? 1;
    return { index, needed, shares, level: needed / shares };
  });
  entries.sort((a, b) => a.level - b.level);
  let weight = sum(entries.map((entry) => entry.shares));
  let remaining = left;
  for (const { index, needed, shares } of entries) {
    const part = Math.min(needed, (remaining * shares) / weight);
    got[index] = (got[index] ?? 0) + part;
    remaining -= part;
    weight -= shares;
  }
  return remaining;
}

/** One claim on rates that can't all be met. */
export interface Claim {
  /** Kept before every reservation. */
  readonly floorBitsPerSecond: number;
  readonly reservationBitsPerSecond: number;
  /** 0 is kept longest. */
  readonly prio: number;
}

/**
 * Fits claims into a capacity: floors first (all scaled down where they don't fit), then reservations, lowest
 * priority cut first, within one priority in proportion.
 * @param floorCapBitsPerSecond no floor counts for more than this
 * @param step HTB's step and least rate; 0 for what the rates mean, without HTB's rounding
 * @returns the rate of each claim, same order, multiples of the step and at least one; their sum exceeds the
 * capacity only where a step each already does
 */
export function fitClaims(
  capacityBitsPerSecond: number,
  claims: readonly Claim[],
  floorCapBitsPerSecond = Number.POSITIVE_INFINITY,
  step: typeof LEAST_RATE | 0 = LEAST_RATE,
): number[] {
  const capacity = Math.max(0, capacityBitsPerSecond);
  const rates = claims.map((claim) =>
    Math.max(step, Math.min(claim.floorBitsPerSecond, floorCapBitsPerSecond)),
  );
  // Scaled is what goes beyond the byte that each class takes in any case.
  const least = step * rates.length;
  const beyond = sum(rates) - least;
  const scale = beyond > capacity - least ? Math.max(0, capacity - least) / beyond : 1;
  const needed: number[] = [];
  let left = capacity;
  for (const [index, { prio, reservationBitsPerSecond }] of claims.entries()) {
    const rate = Math.max(step, roundDown(step + ((rates[index] ?? 0) - step) * scale, step));
    rates[index] = rate;
    left -= rate;
    needed[prio] = (needed[prio] ?? 0) + Math.max(0, reservationBitsPerSecond - rate);
  }
  // The part of each priority's needs that is met: 1 down to the one that is cut, 0 below it.
  const part = needed.map((need) => {
    const met = need === 0 ? 1 : Math.min(1, Math.max(0, left) / need);
    left -= need;
    return met;
  });
  for (const [index, { prio, reservationBitsPerSecond }] of claims.entries()) {
    const rate = rates[index] ?? 0;
    const more = Math.max(0, reservationBitsPerSecond - rate) * (part[prio] ?? 0);
    rates[index] = rate + roundDown(more, step);
  }
  return rates;
}

/**
 * Whether all floors and reservations fit, without HTB's rounding. Then no rate depends on another's, also after some
 * of the claims are given up.
 * @param moreBitsPerSecond of further claims, summed up: of each the larger of floor and reservation
 */
export function fitsWhole(
  capacityBitsPerSecond: number,
  claims: readonly Claim[],
  floorCapBitsPerSecond: number,
  moreBitsPerSecond: number,
): boolean {
  let total = moreBitsPerSecond;
  for (const { floorBitsPerSecond, reservationBitsPerSecond } of claims)
    total += Math.max(floorBitsPerSecond, 0, reservationBitsPerSecond);
  return total < capacityBitsPerSecond && floorCapBitsPerSecond < capacityBitsPerSecond;
}

function roundDown(bitsPerSecond: number, step: number): number {
  return step === 0 ? bitsPerSecond : Math.floor(bitsPerSecond / step) * step;
}

/** HTB's least rate and step, bits per second: a byte. */
export const LEAST_RATE = 8;

/** Short by so little is not short: rates are whole bytes, and each class takes its byte. */
const TOLERANCE_BITS_PER_SECOND = 1000;
const TOLERANCE_PART = 1e-6;

/** Whether somebody who wants that much gets too little. */
export function isShort(wantBitsPerSecond: number, getsBitsPerSecond: number): boolean {
  const missing = wantBitsPerSecond - getsBitsPerSecond;
  return missing > Math.max(TOLERANCE_BITS_PER_SECOND, wantBitsPerSecond * TOLERANCE_PART);
}

export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
