/**
 * Evening out: the fewest shifts of loads between uplinks after which each is used about as much as the whole. Pure
 * arithmetic, which knows neither vNICs nor bonds; where there are few, the answer is the best there is.
 */

/** A load that may be shifted. */
export interface Shiftable {
  /** The caller's number for it. */
  readonly id: number;
  readonly at: number;
  readonly loadBitsPerSecond: number;
  readonly reservedBitsPerSecond: number;
  /** Places that it may go to, a bit each. */
  readonly targets: number;
  /** At most one of these is shifted at a time: what one keeps away from may be another. */
  readonly exclusive: boolean;
}

/** What is where, one entry a place. */
export interface Spread {
  readonly capacities: Float64Array;
  readonly loads: Float64Array;
  readonly reserved: Float64Array;
}

export interface Shift {
  readonly id: number;
  readonly to: number;
}

/** Shifts at a time: what they do is measured before more are made. */
const MOST_SHIFTS = 64;
/** Up to so many are looked for by trying all combinations. */
const MOST_COMBINED = 4;
/** Combinations that are tried: some 20 ms. */
const MOST_TRIALS = 200_000;
/** Where all can't be evened out, shifts must take that much of what is beyond the tolerance, as a part of capacity, and leave the worst no worse. */
const LEAST_GAIN = 0.02;
/** Sums of doubles. */
const NOTHING = 1e-9;

/** The utilisation of all places together. */
export function evenUtilisation({ capacities, loads }: Spread): number {
  let capacity = 0;
  let load = 0;
  for (let place = 0; place < capacities.length; place += 1) {
    capacity += capacities[place] as number;
    load += loads[place] as number;
  }
  return capacity === 0 ? 0 : load / capacity;
}

/** How far the place furthest from the even utilisation is from it. */
export function unevenness(spread: Spread): number {
  const even = evenUtilisation(spread);
  let most = 0;
  for (const [place, capacity] of spread.capacities.entries())
    most = Math.max(most, Math.abs((spread.loads[place] as number) / capacity - even));
  return most;
}

/**
 * Finds the fewest shifts after which no place's utilisation is further than `tolerance` from the even one; among as
 * many, those that leave the least differences. Where that can't be had, as much as is worth shifting for.
 * @param items in the order in which equals are preferred
 */
export function findShifts(
  spread: Spread,
  items: readonly Shiftable[],
  tolerance: number,
): readonly Shift[] {
  if (unevenness(spread) <= tolerance + NOTHING || items.length === 0) return [];
  const quick = shiftGreedily(new Scale(spread, tolerance), items);
  const most = quick.even ? Math.min(quick.shifts.length, MOST_COMBINED) : MOST_COMBINED;
  const best = new Combinations(new Scale(spread, tolerance), items).find(most);
  if (best !== null) return best;
  return quick.even || quick.worthwhile ? quick.shifts : [];
}

/** Loads on their places while shifts are tried. */
class Scale {
  readonly capacities: Float64Array;
  readonly loads: Float64Array;
  readonly reserved: Float64Array;
  readonly tolerance: number;
  readonly #even: number;

  constructor(spread: Spread, tolerance: number) {
    this.capacities = spread.capacities;
    this.loads = spread.loads.slice();
    this.reserved = spread.reserved.slice();
    this.tolerance = tolerance;
    this.#even = evenUtilisation(spread);
  }

  /** How far beyond the tolerance a place is with that load. */
  excess(place: number, load: number): number {
    const off = Math.abs(load / (this.capacities[place] as number) - this.#even);
    return Math.max(0, off - this.tolerance - NOTHING);
  }

  /** What a place adds to the differences with that load. */
  roughness(place: number, load: number): number {
    const capacity = this.capacities[place] as number;
    return (load / capacity - this.#even) ** 2 * capacity;
  }

  /** Load to take off (above zero) or to add, before the place is within the tolerance. */
  surplus(place: number): number {
    const capacity = this.capacities[place] as number;
    const off = (this.loads[place] as number) / capacity - this.#even;
    const beyond = Math.max(0, Math.abs(off) - this.tolerance - NOTHING);
    return Math.sign(off) * beyond * capacity;
  }

  fits(item: Shiftable, to: number): boolean {
    if (item.at === to || ((item.targets >> to) & 1) === 0) return false;
    const reserved = (this.reserved[to] as number) + item.reservedBitsPerSecond;
    return reserved <= (this.capacities[to] as number);
  }

  shift(item: Shiftable, from: number, to: number): void {
    const { loads, reserved } = this;
    loads[from] = (loads[from] as number) - item.loadBitsPerSecond;
    loads[to] = (loads[to] as number) + item.loadBitsPerSecond;
    reserved[from] = (reserved[from] as number) - item.reservedBitsPerSecond;
    reserved[to] = (reserved[to] as number) + item.reservedBitsPerSecond;
  }

  /** How far beyond the tolerance the worst place is. */
  worst(): number {
    return this.loads.reduce((most, load, place) => Math.max(most, this.excess(place, load)), 0);
  }

  total(measure: (place: number, load: number) => number): number {
    let sum = 0;
    for (const [place, load] of this.loads.entries()) sum += measure(place, load);
    return sum;
  }
}

/** One shift at a time, each the one that helps most. */
function shiftGreedily(
  scale: Scale,
  items: readonly Shiftable[],
): { readonly shifts: readonly Shift[]; readonly even: boolean; readonly worthwhile: boolean } {
  const { loads } = scale;
  const excess = (place: number, load: number) => scale.excess(place, load);
  const roughness = (place: number, load: number) => scale.roughness(place, load);
  const first = scale.total(excess);
  const worst = scale.worst();
  let left = first;
  const shifts: Shift[] = [];
  const done = new Set<number>();
  let exclusive = false;
  while (left > 0 && shifts.length < MOST_SHIFTS) {
    let best: { item: Shiftable; to: number } | null = null;
    let bestGain = NOTHING;
    let bestSmoothing = 0;
    for (const item of items) {
      if (done.has(item.id) || (item.exclusive && exclusive)) continue;
      const { at, loadBitsPerSecond: load } = item;
      const [here, less] = [loads[at] as number, (loads[at] as number) - load];
      const excessHere = excess(at, here) - excess(at, less);
      for (let to = 0; to < loads.length; to += 1) {
        if (!scale.fits(item, to)) continue;
        const [there, more] = [loads[to] as number, (loads[to] as number) + load];
        const gain = excessHere + excess(to, there) - excess(to, more);
        if (gain < bestGain - NOTHING) continue;
        const smoothing =
          roughness(at, here) - roughness(at, less) + roughness(to, there) - roughness(to, more);
        if (gain < bestGain + NOTHING && smoothing <= bestSmoothing) continue;
        best = { item, to };
        bestGain = gain;
        bestSmoothing = smoothing;
      }
    }
    if (best === null) break;
    const { item, to } = best;
    scale.shift(item, item.at, to);
    shifts.push({ id: item.id, to });
    done.add(item.id);
    exclusive ||= item.exclusive;
    left = scale.total(excess);
  }
  const helps = first - left >= LEAST_GAIN && scale.worst() <= worst + NOTHING;
  const worthwhile = shifts.length === MOST_SHIFTS || helps;
  return { shifts, even: left <= 0, worthwhile };
}

/** All combinations of a number of shifts, as far as the trials reach. */
class Combinations {
  readonly #scale: Scale;
  readonly #items: readonly Shiftable[];
  readonly #largest: number;
  readonly #chosen: Shift[] = [];
  #trials = MOST_TRIALS;
  #best: readonly Shift[] | null = null;
  #bestRoughness = Number.POSITIVE_INFINITY;

  constructor(scale: Scale, items: readonly Shiftable[]) {
    this.#scale = scale;
    // Large ones first: what is found early cuts most of the rest off.
    this.#items = items.toSorted((a, b) => b.loadBitsPerSecond - a.loadBitsPerSecond);
    this.#largest = this.#items[0]?.loadBitsPerSecond ?? 0;
  }

  /** The fewest that do, up to `most`; null where there are none or the trials ran out before any was found. */
  find(most: number): readonly Shift[] | null {
    for (let count = 1; count <= most; count += 1) {
      this.#try(0, count, false);
      if (this.#best !== null || this.#trials <= 0) break;
    }
    return this.#best;
  }

  #try(from: number, left: number, exclusive: boolean): void {
    const scale = this.#scale;
    if (left === 0) {
      if (scale.total((place, load) => scale.excess(place, load)) > 0) return;
      const roughness = scale.total((place, load) => scale.roughness(place, load));
      if (roughness >= this.#bestRoughness) return;
      this.#best = [...this.#chosen];
      this.#bestRoughness = roughness;
      return;
    }
    if (!this.#isWithinReach(left)) return;
    for (let index = from; index < this.#items.length; index += 1) {
      const item = this.#items[index] as Shiftable;
      if (item.exclusive && exclusive) continue;
      for (let to = 0; to < scale.loads.length; to += 1) {
        if (!scale.fits(item, to)) continue;
        this.#trials -= 1;
        if (this.#trials < 0) return;
        scale.shift(item, item.at, to);
        this.#chosen.push({ id: item.id, to });
        this.#try(index + 1, left - 1, exclusive || item.exclusive);
        this.#chosen.pop();
        scale.shift(item, to, item.at);
      }
    }
  }

  /** Each shift takes from one place and gives to one: no more than the largest load. */
  #isWithinReach(shifts: number): boolean {
    let over = 0;
    let under = 0;
    for (const place of this.#scale.loads.keys()) {
      const surplus = this.#scale.surplus(place);
      const needed = Math.ceil(Math.abs(surplus) / Math.max(this.#largest, NOTHING) - NOTHING);
      if (surplus > 0) over += needed;
      else under += needed;
    }
    return over <= shifts && under <= shifts;
  }
}
