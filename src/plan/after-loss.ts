/**
 * Placement after the loss of one uplink, as a change of the placement before it: who keeps his uplink is not asked, and
 * sums tell what he takes. Of ten thousand vNICs on eight uplinks an eighth is looked at for each loss.
 */
import { choose, isNamed, makeSlots, occupy, type PlacementContext, STAYS } from "./choice.ts";
import { crowdOf, join, type Load, mostBeside, NOBODY } from "./load.ts";
import { type Placement, wasDisplaced } from "./placement.ts";
import type { Presence, Roster } from "./roster.ts";
import type { Usability } from "./usable.ts";

/** A placement in which everybody is at home, summed up. */
export interface Settlement {
  readonly placement: Placement;
  readonly load: Load;
  /** Of all that are at home on each uplink, without the host. */
  readonly reserved: Float64Array;
  readonly loads: Float64Array;
  /** Indexes by home, in the order of placing. */
  readonly residents: readonly Int32Array[];
  /** Who is named by others or names others, in the order of placing. */
  readonly named: readonly number[];
}

/**
 * Sums up a placement once it is in the kernel.
 * @param presence what the kernel says then
 * @returns null where a loss may move others than those it displaces: somebody isn't at home, or may have to wait
 */
export function settlePlacement(
  roster: Roster,
  presence: Presence,
  uplinks: readonly Usability[],
  load: Load,
): Settlement | null {
  const { placement } = load;
  const { homes, vias } = placement;
  const { reservations, loads: ownLoads, order, restless } = roster;
  const residents = load.uplinks.map(({ senders }) => new Int32Array(senders.size));
  const counts = new Int32Array(uplinks.length);
  const reserved = new Float64Array(uplinks.length);
  const loads = new Float64Array(uplinks.length);
  const named: number[] = [];
  const isAnyNamed = roster.nameCount > 0;
  for (let turn = 0; turn < order.length; turn += 1) {
    const index = order[turn] as number;
    const home = homes[index] as number;
    const there = residents[home];
    if (
      there === undefined ||
      vias[index] !== home ||
      presence.homes[index] !== home ||
      presence.senders[index] !== home ||
      restless[index] === 1
    )
      return null;
    const count = counts[home] as number;
    there[count] = index;
    counts[home] = count + 1;
    reserved[home] = (reserved[home] as number) + (reservations[index] as number);
    loads[home] = (loads[home] as number) + (ownLoads[index] as number);
    if (isAnyNamed && isNamed(roster, index)) named.push(index);
  }
  return { placement, load, reserved, loads, residents, named };
}

/**
 * What placeMembers answers after the loss.
 * @param context with the uplinks as they are judged then
 * @returns null where more has changed than that one uplink is gone
 */
export function placeAfterLoss(
  roster: Roster,
  settlement: Settlement,
  context: PlacementContext,
): { readonly placement: Placement; readonly load: Load } | null {
  const { uplinks } = context;
  const gone = uplinks.flatMap((entry, place) => (entry.managed && !entry.usable ? [place] : []));
  const [lost = -1] = gone;
  if (gone.length !== 1 || !uplinks.some((entry) => entry.usable)) return null;
  const { homes, vias } = settlement.placement;
  // Nobody was at home on a port that isn't ours.
  if (uplinks.some((entry, at) => !entry.managed && settlement.residents[at]?.length !== 0))
    return null;
  const slots = makeSlots(roster, context);
  for (const at of slots.usable) {
    slots.reserved[at] = (slots.reserved[at] as number) + (settlement.reserved[at] as number);
    slots.loads[at] = settlement.loads[at] as number;
  }
  for (const index of settlement.named)
    if (homes[index] !== lost) occupy(roster, slots, index, homes[index] as number, false);
  const placement = {
    homes,
    vias: vias.slice(),
    reasons: new Uint8Array(homes.length).fill(STAYS),
    heldUntilMs: [],
  };
  const displaced = settlement.residents[lost] ?? NOBODY.indexes;
  for (let position = 0; position < displaced.length; position += 1) {
    const index = displaced[position] as number;
    const chosen = choose(roster, slots, index, lost);
    placement.vias[index] = chosen;
    placement.reasons[index] = wasDisplaced(slots.reason);
    if (chosen >= 0) occupy(roster, slots, index, chosen);
  }
  return { placement, load: loadAfterLoss(roster, settlement, uplinks, placement, lost) };
}

/** What loadUplinks answers for that placement. */
function loadAfterLoss(
  roster: Roster,
  settlement: Settlement,
  uplinks: readonly Usability[],
  placement: Placement,
  lost: number,
): Load {
  // In the order of the roster, not of placing.
  const displaced = settlement.load.uplinks[lost]?.senders.indexes ?? NOBODY.indexes;
  const counts = new Int32Array(uplinks.length);
  for (let position = 0; position < displaced.length; position += 1) {
    const via = placement.vias[displaced[position] as number] as number;
    counts[via] = (counts[via] as number) + 1;
  }
  const arrivals = Array.from(counts, (count) => new Int32Array(count));
  counts.fill(0);
  for (let position = 0; position < displaced.length; position += 1) {
    const index = displaced[position] as number;
    const via = placement.vias[index] as number;
    const at = counts[via] as number;
    (arrivals[via] as Int32Array)[at] = index;
    counts[via] = at + 1;
  }
  const before = settlement.load.uplinks.map(({ senders }) => senders);
  const senders = arrivals.map((list, at) =>
    at === lost ? NOBODY : join(before[at] ?? NOBODY, crowdOf(roster, list)),
  );
  const sizes = senders.map(({ size }) => size);
  return {
    config: settlement.load.config,
    roster,
    placement,
    carriers: placement.vias,
    uplinks: uplinks.map((entry, place) => ({
      entry,
      place,
      // What comes back to it by itself.
      residents: (place === lost ? before[place] : senders[place]) ?? NOBODY,
      senders: senders[place] ?? NOBODY,
      mostDisplaced: mostBeside(sizes, place),
    })),
  };
}
