/** A team once its plan is in force, and after a loss then: columns that differ only by what the kernel will say. */
import type { TeamState, World } from "../model/world.ts";
import type { Judged } from "./actions.ts";
import { settlePlacement } from "./after-loss.ts";
import { changesUplinks } from "./rebalance.ts";
import type { Presence, Roster } from "./roster.ts";
import { planTeam, shortOf, type TeamCase, type TeamResult } from "./team.ts";

/**
 * The demand within its limit by which each vNIC is judged. Only what was measured before the loss counts. In a
 * what-if there is no other time: the given demand counts, and without one the reservation.
 */
export function judge(world: World, roster: Roster, latched: Judged): Judged {
  if (world.hypothetical !== true) return latched;
  return roster.known.map((known, index) => {
    if (!Number.isNaN(known)) return known;
    const { bandwidth } = roster.members[index]?.vnic.policy ?? {};
    const reservation = bandwidth?.reservationBitsPerSecond ?? 0;
    return Math.min(reservation, bandwidth?.limitBitsPerSecond ?? reservation);
  });
}

/** A team once its plan is applied; the same as applied makes of it. */
export function settleCase(result: TeamResult): TeamCase {
  const { asked, uplinks, grants } = result;
  const presence = settlePresence(result);
  const { minors, queueIds, moveActiveTo } = result.objects;
  const managed = uplinks.map((entry) => grants.some((grant) => grant.entry === entry));
  const { bond } = asked.team;
  let owners: Int32Array | null = null;
  return {
    ...asked,
    presence,
    settlement: settlePlacement(asked.roster, presence, result.load),
    team: {
      ...asked.team,
      lastMoveAtMs: changesUplinks(asked.presence, result.placement)
        ? asked.world.nowMs
        : asked.team.lastMoveAtMs,
      bond: bond === null || moveActiveTo === null ? bond : { ...bond, activePort: moveActiveTo },
      uplinks: asked.team.uplinks.map((uplink, place) =>
        managed[place] === true ? { ...uplink, queueId: queueIds.get(uplink.name) ?? 0 } : uplink,
      ),
    },
    numbering: {
      prioOf: (index, minor) => {
        owners ??= ownersOf(minors);
        const owner = owners[minor] ?? -1;
        if (owner < 0 || managed[presence.senders[index] as number] !== true) return -1;
        return (asked.roster.ranks[owner] as number) + 1;
      },
      others: [],
    },
  };
}

/** The index of the vNIC that has each minor; -1 for none. */
function ownersOf(minors: Int32Array): Int32Array {
  const owners = new Int32Array(minors.reduce((last, minor) => Math.max(last, minor), 0) + 1);
  owners.fill(-1);
  for (const [index, minor] of minors.entries()) if (minor > 0) owners[minor] = index;
  return owners;
}

/** What the kernel's filters say once the plan is applied. While its guest still runs elsewhere a vNIC has none. */
function settlePresence({ asked, placement, load, objects }: TeamResult): Presence {
  const { incoming } = asked.roster;
  const { minors, handles } = objects;
  const presence: Presence = {
    homes: placement.homes,
    senders: load.carriers,
    minors,
    handles,
  };
  // As nearly always: everybody has a number, and is here. The columns are the plan's own, and nobody changes them.
  if (!minors.includes(0) && !incoming.includes(1)) return presence;
  const settled: Presence = {
    homes: presence.homes.slice(),
    senders: presence.senders.slice(),
    minors: minors.slice(),
    handles: handles.slice(),
  };
  for (let index = 0; index < minors.length; index += 1) {
    // Without a number it stays as it is.
    const without = minors[index] === 0;
    if (!without && incoming[index] === 0) continue;
    settled.homes[index] = without ? (asked.presence.homes[index] as number) : -1;
    settled.senders[index] = without ? (asked.presence.senders[index] as number) : -1;
    settled.minors[index] = without ? (asked.presence.minors[index] as number) : -1;
    settled.handles[index] = without ? (asked.presence.handles[index] as number) : -1;
  }
  return settled;
}

/** The same with one uplink's carrier lost, demands latched as they are; see withLoss. */
export function withoutUplink(asked: TeamCase, uplink: string): TeamCase {
  const { world, roster } = asked;
  const team = loseUplinks(asked.team, [uplink], world.nowMs);
  return { ...asked, team, judged: judge(world, roster, roster.known) };
}

export function loseUplinks(team: TeamState, lost: readonly string[], nowMs: number): TeamState {
  const gone = { carrier: false, bondUp: false, lostAtMs: nowMs, returnedAtMs: null };
  return {
    ...team,
    uplinks: team.uplinks.map((uplink) =>
      lost.includes(uplink.name) ? { ...uplink, ...gone } : uplink,
    ),
  };
}

/** Whether one plan leaves a reservation unmet that the other meets, as things are or with any one uplink lost. */
export function breaksMore(result: TeamResult, other: TeamResult): boolean {
  const before = brokenBy(other);
  return [...brokenBy(result)].some((index) => !before.has(index));
}

/** Indexes of the vNICs whose reservation isn't met now, or would not be with one uplink lost. */
function brokenBy(result: TeamResult): Set<number> {
  const broken = new Set(shortOf(result));
  const asked = settleCase(result);
  for (const { uplink, usable } of result.uplinks) {
    const lost = usable ? planTeam(withoutUplink(asked, uplink.name)) : null;
    if (lost !== null && "asked" in lost) for (const index of shortOf(lost)) broken.add(index);
  }
  return broken;
}
