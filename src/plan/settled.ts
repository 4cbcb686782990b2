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
  const owners = new Int32Array(minors.reduce((last, minor) => Math.max(last, minor), 0) + 1);
  owners.fill(-1);
  for (const [index, minor] of minors.entries()) if (minor > 0) owners[minor] = index;
  return {
    ...asked,
    presence,
    settlement: settlePlacement(asked.roster, presence, uplinks, result.load),
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
        const owner = owners[minor] ?? -1;
        if (owner < 0 || managed[presence.senders[index] as number] !== true) return -1;
        return (asked.roster.ranks[owner] as number) + 1;
      },
      others: [],
    },
  };
}

/** What the kernel's filters say once the plan is applied. While its guest still runs elsewhere a vNIC has none. */
function settlePresence({ asked, placement, objects }: TeamResult): Presence {
  const { members } = asked.roster;
  const presence: Presence = {
    homes: asked.presence.homes.slice(),
    senders: asked.presence.senders.slice(),
    minors: asked.presence.minors.slice(),
    handles: asked.presence.handles.slice(),
  };
  for (let index = 0; index < members.length; index += 1) {
    const minor = objects.minors[index] as number;
    if (minor === 0) continue;
    const incoming = members[index]?.domain.phase === "incoming";
    const home = placement.homes[index] as number;
    const via = placement.vias[index] as number;
    presence.homes[index] = incoming ? -1 : home;
    presence.senders[index] = incoming ? -1 : via >= 0 ? via : home;
    presence.minors[index] = incoming ? -1 : minor;
    presence.handles[index] = incoming ? -1 : (objects.handles[index] as number);
  }
  return presence;
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
