/** A team's vNICs by the uplinks that carry them; computed once a placement, asked often. */
import type { TeamConfig } from "../model/config.ts";
import { type Crowd, crowdOf, NOBODY } from "./crowd.ts";
import type { Placement } from "./placement.ts";
import type { Roster } from "./roster.ts";
import type { Usability } from "./usable.ts";

export interface Load {
  readonly config: TeamConfig;
  readonly roster: Roster;
  readonly placement: Placement;
  /** The place of the uplink that carries each vNIC; where none does, of its home. */
  readonly carriers: Int16Array;
  /** One a uplink of the team, same order. */
  readonly uplinks: readonly UplinkLoad[];
}

export interface UplinkLoad {
  readonly entry: Usability;
  /** Its place in the team. */
  readonly place: number;
  /**
   * The vNICs that it carries; of an unusable uplink those whose home it is, since that is what comes back to it if
   * nobody is there to tell otherwise. Where none is usable, the first that returns has everybody.
   */
  readonly residents: Crowd;
  /** The vNICs that its loss would displace. */
  readonly senders: Crowd;
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
  const senders = sortByUplink(carriers, uplinks.length).map((list) => crowdOf(roster, list));
  const sizes = senders.map(({ size }) => size);
  const isolated = !uplinks.some((entry) => entry.usable);
  const all = isolated ? crowdOf(roster, Int32Array.from(homes.keys())) : null;
  return {
    config,
    roster,
    placement,
    carriers,
    uplinks: uplinks.map((entry, place): UplinkLoad => {
      const there = senders[place] ?? NOBODY;
      const homely = () => crowdOf(roster, indexesOf(homes, place));
      return {
        entry,
        place,
        residents: all ?? (entry.usable ? there : homely()),
        senders: there,
        mostDisplaced: isolated ? 0 : mostBeside(sizes, place),
      };
    }),
  };
}

/**
 * The same for a placement whose columns are those of an earlier one, with the same uplinks usable: only what those
 * want that have changed is summed up anew.
 * @param changed indexes of those
 */
export function reloadUplinks(
  earlier: Load,
  config: TeamConfig,
  uplinks: readonly Usability[],
  roster: Roster,
  placement: Placement,
  changed: readonly number[],
): Load {
  const { carriers } = earlier;
  const touched = new Set(changed.map((index) => carriers[index] as number));
  return {
    config,
    roster,
    placement,
    carriers,
    uplinks: earlier.uplinks.map((old, place): UplinkLoad => {
      const senders = touched.has(place) ? crowdOf(roster, old.senders.indexes) : old.senders;
      const residents =
        old.residents === old.senders ? senders : crowdOf(roster, old.residents.indexes);
      const entry = uplinks[place] ?? old.entry;
      return { entry, place, residents, senders, mostDisplaced: old.mostDisplaced };
    }),
  };
}

/** The most of some numbers, one of them left out; at least 0. */
export function mostBeside(counts: readonly number[], place: number): number {
  let most = 0;
  for (const [other, count] of counts.entries()) if (other !== place && count > most) most = count;
  return most;
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
