/**
 * Placement after the loss of one uplink, as a change of the placement before it: who keeps his uplink is not asked, and
 * sums tell what he takes. Of ten thousand vNICs on eight uplinks an eighth is looked at for each loss.
 */
import { choose, chooseEasily, makeSlots, occupy, type PlacementContext, STAYS } from "./choice.ts";
import {
  addRow,
  EASY,
  joined,
  LOAD,
  NOBODY,
  type Queue,
  RANK,
  RESERVATION,
  ROW,
  TOTAL,
} from "./crowd.ts";
import { type Load, mostBeside } from "./load.ts";
import { type Placement, wasDisplaced } from "./placement.ts";
import type { Presence, Roster } from "./roster.ts";
import type { Usability } from "./usable.ts";

/** A placement in which everybody is at home. */
export interface Settlement {
  readonly placement: Placement;
  readonly load: Load;
  /** Who is at home on each uplink. */
  readonly queues: readonly Queue[];
}

/**
 * Looks at a placement once it is in the kernel.
 * @param presence what the kernel says then
 * @returns null where a loss may move others than those it displaces: somebody isn't at home, or may have to wait
 */
export function settlePlacement(roster: Roster, presence: Presence, load: Load): Settlement | null {
  const { placement } = load;
  const { homes, vias } = placement;
  const atHome =
    !homes.includes(-1) &&
    !roster.restless.includes(1) &&
    isSame(vias, homes) &&
    isSame(presence.homes, homes) &&
    isSame(presence.senders, homes);
  if (!atHome) return null;
  const queues: Queue[] = [];
  for (const { senders } of load.uplinks) {
    if (senders.queue === null) return null;
    queues.push(senders.queue);
  }
  return { placement, load, queues };
}

function isSame(one: Int16Array, other: Int16Array): boolean {
  if (one === other) return true;
  for (let index = 0; index < one.length; index += 1) if (one[index] !== other[index]) return false;
  return one.length === other.length;
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
  const { queues, load } = settlement;
  // Nobody was at home on a port that isn't ours.
  if (uplinks.some((entry, at) => !entry.managed && queues[at]?.indexes.length !== 0)) return null;
  const slots = makeSlots(roster, context);
  for (const at of slots.usable) {
    const { sums } = load.uplinks[at]?.senders ?? NOBODY;
    slots.reserved[at] = (slots.reserved[at] as number) + sums.reservations;
    slots.loads[at] = sums.loads;
  }
  for (const [at, { named }] of queues.entries())
    if (at !== lost) for (const index of named) occupy(roster, slots, index, at, false);
  const placement = {
    homes,
    vias: vias.slice(),
    reasons: new Uint8Array(homes.length).fill(STAYS),
    heldUntilMs: [],
    weighed: true,
  };
  const { indexes, rows } = queues[lost] ?? NO_QUEUE;
  const counts = new Int32Array(uplinks.length);
  const totals = new Float64Array(uplinks.length * TOTAL);
  for (let position = 0, row = 0; position < indexes.length; position += 1, row += ROW) {
    const index = indexes[position] as number;
    const isEasy = rows[row + EASY] === 1;
    const reservation = rows[row + RESERVATION] as number;
    const chosen = isEasy
      ? chooseEasily(slots, reservation, rows[row + RANK] as number)
      : choose(roster, slots, index, lost);
    placement.vias[index] = chosen;
    placement.reasons[index] = wasDisplaced(slots.reason);
    if (isEasy) {
      slots.reserved[chosen] = (slots.reserved[chosen] as number) + reservation;
      slots.loads[chosen] = (slots.loads[chosen] as number) + (rows[row + LOAD] as number);
    } else occupy(roster, slots, index, chosen);
    counts[chosen] = (counts[chosen] as number) + 1;
    addRow(totals, chosen * TOTAL, rows, row);
  }
  return {
    placement,
    load: loadAfterLoss(roster, settlement, uplinks, { placement, lost, counts, totals }),
  };
}

const NO_QUEUE = { indexes: new Int32Array(0), rows: new Float64Array(0) };

/** Who went where. */
interface Displacement {
  readonly placement: Placement;
  readonly lost: number;
  /** How many came to each uplink. */
  readonly counts: Int32Array;
  /** Their totals, one an uplink behind the other. */
  readonly totals: Float64Array;
}

/** What loadUplinks answers for that placement. */
function loadAfterLoss(
  roster: Roster,
  { load }: Settlement,
  uplinks: readonly Usability[],
  { placement, lost, counts, totals }: Displacement,
): Load {
  const before = load.uplinks.map(({ senders }) => senders);
  // In the order of the roster, not of placing.
  const displaced = before[lost]?.indexes ?? NOBODY.indexes;
  const senders = before.map((crowd, at) =>
    at === lost
      ? NOBODY
      : joined(crowd, {
          size: counts[at] as number,
          list: () => displaced.filter((index) => placement.vias[index] === at),
          totals,
          total: at * TOTAL,
        }),
  );
  const sizes = senders.map(({ size }) => size);
  return {
    config: load.config,
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
