/** What of an earlier plan of a team is the same in the next one: columns, lists and sums that both then share. */
import { type Load, loadUplinks, reloadUplinks } from "./load.ts";
import type { Placement } from "./placement.ts";
import type { TeamCase, TeamResult } from "./team.ts";
import type { Usability } from "./usable.ts";

/** An earlier plan of the team, and the place of each vNIC in its roster; -1 for what is new or has changed. */
export interface Earlier {
  readonly result: TeamResult;
  readonly origins: Int32Array;
}

/** The same placement, with the columns of an earlier one where they are equal. */
export function shareColumns(placement: Placement, earlier: Placement): Placement {
  return {
    ...placement,
    homes: shareColumn(placement.homes, earlier.homes),
    vias: shareColumn(placement.vias, earlier.vias),
    reasons: shareColumn(placement.reasons, earlier.reasons),
  };
}

function shareColumn<T extends Int16Array | Uint8Array>(column: T, earlier: T): T {
  if (column.length !== earlier.length) return column;
  for (let index = 0; index < column.length; index += 1)
    if (column[index] !== earlier[index]) return column;
  return earlier;
}

/** Sorts placed vNICs by uplink, or takes what an earlier plan has sorted the same way. */
export function loadAgain(
  { team, roster }: TeamCase,
  uplinks: readonly Usability[],
  placement: Placement,
  earlier: Earlier | null,
): Load {
  const { config } = team;
  if (earlier === null) return loadUplinks(config, uplinks, roster, placement);
  const { origins, result } = earlier;
  const sameUsable =
    uplinks.length === result.uplinks.length &&
    uplinks.every((entry, at) => entry.usable === result.uplinks[at]?.usable);
  if (!sameUsable || !samePlaces(placement, result.placement))
    return loadUplinks(config, uplinks, roster, placement);
  const changed: number[] = [];
  for (let index = 0; index < origins.length; index += 1)
    if (origins[index] !== index) changed.push(index);
  return reloadUplinks(result.load, config, uplinks, roster, placement, changed);
}

/** Whether the columns of two placements are the same, as shareColumns leaves them. */
function samePlaces(one: Placement, other: Placement): boolean {
  return one.homes === other.homes && one.vias === other.vias;
}

/** Whether, where all fits, each class has the rate that it had in an earlier plan. */
export function sameGround({ placement, roster, uplinks }: Load, { result }: Earlier): boolean {
  const old = result.asked.roster;
  return (
    result.silence === null &&
    samePlaces(placement, result.placement) &&
    roster.fulls === old.fulls &&
    roster.leasts === old.leasts &&
    roster.discards === old.discards &&
    [...uplinks, ...result.load.uplinks].every(({ entry }) => entry.usable)
  );
}
