/** Which uplink one vNIC gets, while vNICs are placed one after the other, and by which criterion. */
import type { Roster } from "./roster.ts";
import type { Usability } from "./usable.ts";

export interface PlacementContext {
  readonly uplinks: readonly Usability[];
  /** The active port of an active-backup bond, else null. */
  readonly activePort: string | null;
  /** What the host's own class reserves on each uplink. */
  readonly hostBitsPerSecond: number;
  readonly nowMs: number;
}

/** The criteria come first, in their order: the first that tells two uplinks apart decides, and is the reason given. */
export const REASONS = [
  "its reservation fits there",
  "preferred by its policy",
  "kept apart from the domains that its policy names",
  "it is there already",
  "off the bond's active port, so that a loss is repaired within the driver",
  "least utilised",
  "first in the configured order",
  "the only usable uplink",
  "stays at home while the team is degraded",
  "no uplink is usable",
  "it moved twice within 3 minutes without need",
  "bonding's own hash of its VLAN and MAC leads there",
] as const;
const CRITERIA = 6;
/** The last rank, high, for which the active port is the last resort. */
const LAST_OFF_ACTIVE = 1;
export const FITS = 0;
const PREFERRED = 1;
const APART = 2;
export const THERE_ALREADY = 3;
const OFF_ACTIVE = 4;
const LEAST_UTILISED = 5;
const FIRST = 6;
const ONLY = 7;
export const STAYS = 8;
export const NONE = 9;
export const HELD = 10;
/** See followHash. */
export const HASHED = 11;
export const DISPLACED = 16;

/** What is on the uplinks while placing. */
export interface Slots {
  readonly entries: readonly Usability[];
  readonly usable: readonly number[];
  /** Of what has been put there so far, the host included. */
  readonly reserved: Float64Array;
  /** Of what has been put there so far and of those that are there and still wait for their turn. */
  readonly loads: Float64Array;
  readonly capacities: Float64Array;
  /** By number of name, then by uplink: domains put there so far, and names that they want to be apart from. */
  readonly domains: Uint8Array;
  readonly avoided: Uint8Array;
  readonly active: number;
  /** Of the choice under way: the uplinks that are left. */
  readonly left: Int32Array;
  /** The reason of the last choice. */
  reason: number;
  /** Loads have been compared: with others the choices might have been others. */
  weighed: boolean;
}

export function makeSlots(roster: Roster, context: PlacementContext): Slots {
  const { uplinks } = context;
  const count = uplinks.length;
  return {
    entries: uplinks,
    usable: uplinks.flatMap((entry, place) => (entry.usable ? [place] : [])),
    reserved: new Float64Array(count).fill(context.hostBitsPerSecond),
    loads: new Float64Array(count),
    capacities: Float64Array.from(uplinks, (entry) => entry.capacityBitsPerSecond),
    domains: new Uint8Array(count * roster.nameCount),
    avoided: new Uint8Array(count * roster.nameCount),
    active: uplinks.findIndex((entry) => entry.uplink.name === context.activePort),
    left: new Int32Array(count),
    reason: NONE,
    weighed: false,
  };
}

/** Whether a vNIC's domain, or what its policy wants to be apart from, makes a difference to others. */
export function isNamed(roster: Roster, index: number): boolean {
  return (roster.names[index] as number) >= 0 || (roster.wishes[index] as number) >= 2;
}

/** The choice of most, made quickly: it fits where it is, and no wish comes before that. */
export function staysThere(roster: Roster, slots: Slots, index: number, present: number): boolean {
  const { entries, usable, reserved, capacities } = slots;
  if (present < 0 || entries[present]?.usable !== true || usable.length <= 1) return false;
  if ((roster.wishes[index] as number) !== 0 || (roster.names[index] as number) >= 0) return false;
  const reservation = roster.reservations[index] as number;
  const fits = (at: number) => (reserved[at] as number) + reservation <= (capacities[at] as number);
  if (!fits(present)) return false;
  slots.reason = FITS;
  for (let position = 0; position < usable.length; position += 1) {
    const at = usable[position] as number;
    if (at === present || !fits(at)) continue;
    slots.reason = THERE_ALREADY;
    break;
  }
  return true;
}

/** Puts a vNIC on an uplink. @param counts whether it adds to what is reserved and loaded there, or did before */
export function occupy(
  roster: Roster,
  slots: Slots,
  index: number,
  at: number,
  counts = true,
): void {
  const { reserved, loads, entries, domains, avoided } = slots;
  if (counts) {
    reserved[at] = (reserved[at] as number) + (roster.reservations[index] as number);
    loads[at] = (loads[at] as number) + (roster.loads[index] as number);
  }
  if (roster.nameCount === 0 || !isNamed(roster, index)) return;
  const name = roster.names[index] as number;
  if (name >= 0) domains[name * entries.length + at] = 1;
  for (const wish of roster.apart.get(index) ?? []) avoided[wish * entries.length + at] = 1;
}

/**
 * Chooses among the usable uplinks, and leaves the reason in `slots.reason`.
 * @param present where it is, or -1
 * @returns the uplink's place, or -1 where none is usable
 */
export function choose(roster: Roster, slots: Slots, index: number, present: number): number {
  const { usable, left, reserved, capacities } = slots;
  if (usable.length <= 1) {
    slots.reason = usable.length === 0 ? NONE : ONLY;
    return usable[0] ?? -1;
  }
  const reservation = roster.reservations[index] as number;
  if (isEasy(roster, slots, index, present))
    return chooseEasily(slots, reservation, roster.ranks[index] as number);
  let count = 0;
  for (let position = 0; position < usable.length; position += 1) {
    const at = usable[position] as number;
    if ((reserved[at] as number) + reservation <= (capacities[at] as number)) left[count++] = at;
  }
  slots.reason = FIRST;
  if (count === 0) {
    left.set(usable);
    count = usable.length;
  } else if (count < usable.length) slots.reason = FITS;
  for (let criterion = 1; criterion < CRITERIA && count > 1; criterion += 1) {
    if (criterion === THERE_ALREADY) {
      if (present < 0 || !isAmong(left, count, present)) continue;
      slots.reason = THERE_ALREADY;
      return present;
    }
    if (!tells(roster, slots, index, criterion)) continue;
    if (criterion === LEAST_UTILISED) slots.weighed = true;
    const kept =
      criterion === PREFERRED
        ? keepPreferred(roster, slots, index, count)
        : keepBest(roster, slots, index, criterion, count);
    if (kept < count) slots.reason = criterion;
    count = kept;
  }
  return left[0] as number;
}

function isAmong(left: Int32Array, count: number, at: number): boolean {
  for (let position = 0; position < count; position += 1) if (left[position] === at) return true;
  return false;
}

/** Whether only the active port and the load tell uplinks apart for this vNIC: most of those that a loss displaces. */
function isEasy(roster: Roster, slots: Slots, index: number, present: number): boolean {
  return (
    (present < 0 || slots.entries[present]?.usable !== true) &&
    (roster.wishes[index] as number) === 0 &&
    (roster.names[index] as number) < 0
  );
}

/**
 * The same choice for one that only the active port and the load tell uplinks apart for, with its columns' numbers at hand.
 * @param rank 0 for critical to 3 for low
 */
export function chooseEasily(slots: Slots, reservation: number, rank: number): number {
  const { usable } = slots;
  if (usable.length > 1)
    return chooseEmptiest(slots, reservation, rank <= LAST_OFF_ACTIVE ? slots.active : -1);
  slots.reason = usable.length === 0 ? NONE : ONLY;
  return usable[0] ?? -1;
}

/** In one pass. @param avoided the active port where it is the last resort, else -1 */
function chooseEmptiest(slots: Slots, reservation: number, avoided: number): number {
  const { usable, reserved, capacities, loads } = slots;
  slots.weighed = true;
  const count = usable.length;
  let fitting = 0;
  let asked = 0;
  let best = 0;
  let worst = 0;
  let chosen = -1;
  let avoidedFits = false;
  for (let position = 0; position < count; position += 1) {
    const at = usable[position] as number;
    const capacity = capacities[at] as number;
    if ((reserved[at] as number) + reservation > capacity) continue;
    fitting += 1;
    if (at === avoided) {
      avoidedFits = true;
      continue;
    }
    const score = (loads[at] as number) / capacity;
    asked += 1;
    if (asked === 1) {
      best = score;
      worst = score;
      chosen = at;
    } else if (score < best) {
      best = score;
      chosen = at;
    } else if (score > worst) worst = score;
  }
  // It fits nowhere: then anywhere.
  if (fitting === 0) return chooseEmptiest(slots, Number.NEGATIVE_INFINITY, avoided);
  slots.reason = fitting < count ? FITS : FIRST;
  if (asked === 0) return avoided;
  if (avoidedFits) slots.reason = OFF_ACTIVE;
  if (worst > best) slots.reason = LEAST_UTILISED;
  return chosen;
}

/** Whether a criterion can tell uplinks apart for this vNIC at all. */
function tells(roster: Roster, slots: Slots, index: number, criterion: number): boolean {
  switch (criterion) {
    case PREFERRED:
      return ((roster.wishes[index] as number) & 1) !== 0;
    case APART:
      return isNamed(roster, index);
    case OFF_ACTIVE:
      return slots.active >= 0 && (roster.ranks[index] as number) <= LAST_OFF_ACTIVE;
    default:
      return true;
  }
}

/**
 * Keeps those of the first `count` that its policy's first wish names, or the next one's that names any; all where none does.
 * @returns how many are kept
 */
function keepPreferred(roster: Roster, { left }: Slots, index: number, count: number): number {
  for (const places of roster.preferred.get(index) ?? []) {
    let kept = 0;
    for (let position = 0; position < count; position += 1) {
      const at = left[position] as number;
      if (places.includes(at)) left[kept++] = at;
    }
    if (kept > 0) return kept;
  }
  return count;
}

/** Keeps those of the first `count` that score least, in their order. @returns how many are kept */
function keepBest(
  roster: Roster,
  slots: Slots,
  index: number,
  criterion: number,
  count: number,
): number {
  const { left } = slots;
  let best = Number.POSITIVE_INFINITY;
  let kept = 0;
  for (let position = 0; position < count; position += 1) {
    const at = left[position] as number;
    const score = scoreOf(roster, slots, index, criterion, at);
    if (score > best) continue;
    if (score < best) kept = 0;
    best = score;
    left[kept++] = at;
  }
  return kept;
}

function scoreOf(
  roster: Roster,
  slots: Slots,
  index: number,
  criterion: number,
  at: number,
): number {
  const { entries } = slots;
  switch (criterion) {
    case APART: {
      let score = 0;
      const name = roster.names[index] as number;
      if (name >= 0) score += slots.avoided[name * entries.length + at] as number;
      for (const wish of roster.apart.get(index) ?? [])
        score += slots.domains[wish * entries.length + at] as number;
      return score;
    }
    case OFF_ACTIVE:
      return at === slots.active ? 1 : 0;
    default:
      return (slots.loads[at] as number) / (slots.capacities[at] as number);
  }
}
