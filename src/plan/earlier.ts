/** What of an earlier plan of a team is the same in the next one: columns, lists and sums that both then share. */

import type { PlacementContext } from "./choice.ts";
import { type Load, loadUplinks, reloadUplinks } from "./load.ts";
import type { Placement } from "./placement.ts";
import type { TeamCase, TeamResult } from "./team.ts";
import type { Usability } from "./usable.ts";

/** An earlier plan of the team, and the place of each vNIC in its roster; -1 for what is new or has changed. */
export interface Earlier {
  readonly result: TeamResult;
  readonly origins: Int32Array;
}

/**
 * The earlier placement, where placing anew would come to the same: all that it went by is the same, and loads, which
 * are not, decided nothing; else null.
 */
export function placeAgain(
  { roster, presence }: TeamCase,
  { uplinks, activePort, hostBitsPerSecond }: PlacementContext,
  earlier: Earlier,
): Placement | null {
  const { asked, placement, context } = earlier.result;
  if (placement.weighed || placement.stories !== undefined) return null;
  const old = asked.roster;
  const sameUplinks =
    activePort === context.activePort &&
    hostBitsPerSecond === context.hostBitsPerSecond &&
    uplinks.length === context.uplinks.length &&
    uplinks.every((entry, at) => sameUplink(entry, context.uplinks[at]));
  const sameAll =
    sameUplinks &&
    roster.members.length === old.members.length &&
    roster.reservations === old.reservations &&
    roster.wishes === old.wishes &&
    roster.preferred === old.preferred &&
    roster.names === old.names &&
    roster.apart === old.apart &&
    roster.order === old.order &&
    roster.restless === old.restless &&
    presence.homes === asked.presence.homes &&
    presence.senders === asked.presence.senders;
  return sameAll && !roster.restless.includes(1) ? placement : null;
}

/** Whether the vNICs' class numbers are those of an earlier plan: all that they are chosen by is the same. */
export function sameNumbers({ world, roster, presence, numbering }: TeamCase, earlier: Earlier) {
  const { asked } = earlier.result;
  return (
    world.kernel === asked.world.kernel &&
    numbering.others === asked.numbering.others &&
    roster.ranks === asked.roster.ranks &&
    presence.minors === asked.presence.minors &&
    presence.senders === asked.presence.senders &&
    !presence.senders.includes(-1)
  );
}

function sameUplink(one: Usability, other: Usability | undefined): boolean {
  return (
    one.uplink.name === other?.uplink.name &&
    one.managed === other.managed &&
    one.usable === other.usable &&
    one.capacityBitsPerSecond === other.capacityBitsPerSecond
  );
}

/** The same placement, with the columns of an earlier one where they are equal. */
export function shareColumns(placement: Placement, earlier: Placement): Placement {
  if (placement === earlier) return placement;
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
  // Who is named by others is numbered over all: with other numbers more than those that changed is different.
  const sameNames = roster.numbers === result.asked.roster.numbers;
  if (!sameUsable || !sameNames || !samePlaces(placement, result.placement))
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
