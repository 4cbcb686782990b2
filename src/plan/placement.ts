/** Where each vNIC belongs (home) and where its frames go now (via). */
import {
  choose,
  DISPLACED,
  HELD,
  isNamed,
  makeSlots,
  NONE,
  occupy,
  type PlacementContext,
  REASONS,
  STAYS,
  staysThere,
} from "./choice.ts";
import { heldUntilMs } from "./moves.ts";
import type { Presence, Roster } from "./roster.ts";
import type { Usability } from "./usable.ts";

/** One entry a vNIC, same order as the roster; uplinks by their place in the team, -1 for none. */
export interface Placement {
  readonly homes: Int16Array;
  readonly vias: Int16Array;
  /** A place in REASONS; DISPLACED added where another uplink carries it than its home. */
  readonly reasons: Uint8Array;
  /** World times from which on those may move again that stay where they are, having moved often enough. */
  readonly heldUntilMs: readonly number[];
  /** Whether it would have been another with other loads, for all that is known. */
  readonly weighed: boolean;
  /** Why those moved that evened out the load with this placement, by index; absent where none did. */
  readonly stories?: ReadonlyMap<number, string>;
}

/** The reason of one that another uplink carries than its home. */
export function wasDisplaced(reason: number): number {
  return reason + DISPLACED;
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
  const placement = {
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
  return { ...placement, weighed: slots.weighed };
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
