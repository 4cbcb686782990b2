/** Where each vNIC belongs (home) and where its frames go now (via). */
import { heldUntilMs } from "./moves.ts";
import type { Presence, Roster } from "./roster.ts";
import type { Usability } from "./usable.ts";

export interface PlacementContext {
  readonly uplinks: readonly Usability[];
  /** The active port of an active-backup bond, else null. */
  readonly activePort: string | null;
  /** What the host's own class reserves on each uplink. */
  readonly hostBitsPerSecond: number;
  readonly nowMs: number;
}

/** One entry a vNIC, same order as the roster; uplinks by their place in the team, -1 for none. */
export interface Placement {
  readonly homes: Int16Array;
  readonly vias: Int16Array;
  /** A place in REASONS; DISPLACED added where another uplink carries it than its home. */
  readonly reasons: Uint8Array;
  /** World times from which on those may move again that stay where they are, having moved often enough. */
  readonly heldUntilMs: readonly number[];
  /** Why those moved that evened out the load with this placement, by index; absent where none did. */
  readonly stories?: ReadonlyMap<number, string>;
}

/** The criteria come first, in their order: the first that tells two uplinks apart decides, and is the reason given. */
const REASONS = [
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
const FITS = 0;
const THERE_ALREADY = 3;
const OFF_ACTIVE = 4;
const LEAST_UTILISED = 5;
const FIRST = 6;
const ONLY = 7;
export const STAYS = 8;
const NONE = 9;
const HELD = 10;
/** See followHash. */
export const HASHED = 11;
const DISPLACED = 16;

/** The reason of one that another uplink carries than its home. */
export function wasDisplaced(reason: number): number {
  return reason + DISPLACED;
}

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
}

/**
 * Places all members: in order of priority, then of arrival (the order given). While the team is whole a home
 * follows policy; while it is degraded a home stays, and only what lost its uplink is carried by another, after
 * all that stays. What was decided earlier in this order never depends on what comes later, except for the load;
 * so once its result is applied, placing again changes nothing.
 */
export function placeMembers(
  roster: Roster,
  presence: Presence,
  context: PlacementContext,
): Placement {
  const size = roster.members.length;
  const slots = makeSlots(roster, context);
  const { loads, entries, reserved } = slots;
  const { homes, senders } = presence;
  const usable = entries.map((entry) => entry.usable);
  const whole = entries.every((entry) => entry.usable || !entry.managed);
  for (let index = 0; index < size; index += 1) {
    const at = senders[index] as number;
    if (at >= 0 && usable[at]) loads[at] = (loads[at] as number) + (roster.loads[index] as number);
  }
  const heldUntil: number[] = [];
  // Leaves a member that has moved often enough where its frames go now.
  const stays = (index: number, home: number, at: number): boolean => {
    const vnic = roster.restless[index] === 1 ? roster.members[index]?.vnic : undefined;
    const until = vnic === undefined ? null : heldUntilMs(vnic, context.nowMs);
    if (until === null || at < 0 || !usable[at]) return false;
    occupy(roster, slots, index, at);
    placement.homes[index] = home;
    placement.vias[index] = at;
    placement.reasons[index] = HELD;
    heldUntil.push(until);
    return true;
  };
  const placement: Placement = {
    homes: new Int16Array(size).fill(-1),
    vias: new Int16Array(size).fill(-1),
    reasons: new Uint8Array(size),
    heldUntilMs: heldUntil,
  };
  const first = entries.findIndex((entry) => entry.managed);
  const displaced: number[] = [];
  const named = roster.nameCount > 0;
  for (let turn = 0; turn < size; turn += 1) {
    const index = roster.order[turn] as number;
    const at = senders[index] as number;
    const home = homes[index] as number;
    const load = roster.loads[index] as number;
    if (at >= 0 && usable[at]) loads[at] = (loads[at] as number) - load;
    const isManaged = home >= 0 && entries[home]?.managed === true;
    const isLost = isManaged && !usable[home];
    if (!isLost && stays(index, isManaged ? home : at, at)) continue;
    if (whole || !isManaged) {
      const chosen = staysThere(roster, slots, index, home)
        ? home
        : choose(roster, slots, index, home);
      placement.homes[index] = chosen >= 0 ? chosen : home >= 0 ? home : first;
      placement.vias[index] = chosen;
      placement.reasons[index] = slots.reason;
      if (chosen >= 0) occupy(roster, slots, index, chosen);
    } else if (usable[home]) {
      placement.homes[index] = home;
      placement.vias[index] = home;
      placement.reasons[index] = STAYS;
      if (named && isNamed(roster, index)) occupy(roster, slots, index, home);
      else {
        reserved[home] = (reserved[home] as number) + (roster.reservations[index] as number);
        loads[home] = (loads[home] as number) + load;
      }
    } else displaced.push(index);
  }
  // Finds another uplink for a member whose home is lost, and keeps the home for its return.
  for (const index of displaced) {
    if (stays(index, homes[index] as number, senders[index] as number)) continue;
    const chosen = choose(roster, slots, index, senders[index] as number);
    placement.homes[index] = homes[index] as number;
    placement.vias[index] = chosen;
    placement.reasons[index] = wasDisplaced(slots.reason);
    if (chosen >= 0) occupy(roster, slots, index, chosen);
  }
  return placement;
}

/** Says why a vNIC is where it is; the same list for the same reasons. */
export function explainPlacement(
  uplinks: readonly Usability[],
): (home: number, via: number, reason: number) => readonly string[] {
  const told = new Map<number, readonly string[]>();
  return (home, via, reason) => {
    const key = ((home + 1) * 512 + via + 1) * 32 + reason;
    let lines = told.get(key);
    if (lines === undefined) {
      lines = tell(uplinks[home], uplinks[via]?.uplink.name, reason);
      told.set(key, lines);
    }
    return lines;
  };
}

function tell(home: Usability | undefined, via: string | undefined, reason: number): string[] {
  const why = REASONS[reason % DISPLACED] ?? "";
  if (reason === NONE) return [why];
  if (reason === HELD) return [`stays on ${via}: ${why}`];
  const name = home?.uplink.name;
  if (reason < DISPLACED) return [`home ${name}: ${why}`];
  const lost = `home ${name}: ${home?.reason}`;
  return [lost, via === undefined ? why : `carried by ${via}: ${why}`];
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
  };
}

/** Whether a vNIC's domain, or what its policy wants to be apart from, makes a difference to others. */
export function isNamed(roster: Roster, index: number): boolean {
  return (roster.names[index] as number) >= 0 || (roster.wishes[index] as number) >= 2;
}

/** The choice of most, made quickly: it fits where it is, and no wish comes before that. */
function staysThere(roster: Roster, slots: Slots, index: number, present: number): boolean {
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
  if (isEasy(roster, slots, index, present)) {
    const avoided = (roster.ranks[index] as number) <= LAST_OFF_ACTIVE ? slots.active : -1;
    return chooseEmptiest(slots, reservation, avoided);
  }
  let count = 0;
  for (const at of usable) {
    if ((reserved[at] as number) + reservation <= (capacities[at] as number)) left[count++] = at;
  }
  slots.reason = FIRST;
  if (count === 0) for (const at of usable) left[count++] = at;
  else if (count < usable.length) slots.reason = FITS;
  for (let criterion = 1; criterion < CRITERIA && count > 1; criterion += 1) {
    if (criterion === THERE_ALREADY) {
      const there = left.subarray(0, count).indexOf(present);
      if (present < 0 || there < 0) continue;
      slots.reason = THERE_ALREADY;
      return present;
    }
    if (!tells(roster, slots, index, criterion)) continue;
    const kept = keepBest(roster, slots, index, criterion, count);
    if (kept < count) slots.reason = criterion;
    count = kept;
  }
  return left[0] as number;
}

/** Whether only the active port and the load tell uplinks apart for this vNIC: most of those that a loss displaces. */
function isEasy(roster: Roster, slots: Slots, index: number, present: number): boolean {
  return (
    (present < 0 || slots.entries[present]?.usable !== true) &&
    (roster.wishes[index] as number) === 0 &&
    (roster.names[index] as number) < 0
  );
}

/** The same choice in one pass. @param avoided the active port where it is the last resort, else -1 */
function chooseEmptiest(slots: Slots, reservation: number, avoided: number): number {
  const { usable, reserved, capacities, loads } = slots;
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
    case 1:
      return ((roster.wishes[index] as number) & 1) !== 0;
    case 2:
      return isNamed(roster, index);
    case OFF_ACTIVE:
      return slots.active >= 0 && (roster.ranks[index] as number) <= LAST_OFF_ACTIVE;
    default:
      return true;
  }
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
    case 1: {
      const wishes = roster.members[index]?.vnic.policy.placement.prefer ?? [];
      const { name, label } = entries[at]?.uplink ?? { name: "", label: null };
      const rank = wishes.findIndex((wish) => wish === name || wish === label);
      return rank < 0 ? wishes.length : rank;
    }
    case 2: {
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
