/** Whether the reservations of a domain that is about to start fit: now and, where asked, with any one uplink lost. Pure. */
import type { Mac } from "../model/mac.ts";
import { formatRate } from "../model/units.ts";
import type { TeamState, World } from "../model/world.ts";
import { withLoss } from "./loss.ts";
import { membersOf, type Reckoning, reckon, settled } from "./reckoning.ts";
import type { Member } from "./roster.ts";
import { isShort } from "./share.ts";
import { refuse } from "./steering.ts";
import { judgeUplinks } from "./usable.ts";

/** A reservation that would be cut if the domain started. */
export interface Shortfall {
  /** The domain that would lack something: the one that starts, or another that has what it needs until then. */
  readonly domain: string;
  readonly mac: Mac;
  readonly reservationBitsPerSecond: number;
  readonly getsBitsPerSecond: number;
  /** The uplink without which it doesn't fit; null: it doesn't as things are. */
  readonly without: string | null;
  /** What each usable uplink would have left for it. */
  readonly left: readonly {
    readonly uplink: string;
    readonly leftBitsPerSecond: number;
    readonly capacityBitsPerSecond: number;
  }[];
}

/**
 * Judges a domain of the world that hasn't started yet. A team that can't be managed, or that has no usable uplink at
 * the moment, doesn't count against it: a host that boots starts its domains before its links are up.
 * @param name of the domain; the others, those that start at the same time included, keep what they have
 * @param survive 1: it has to fit with any one uplink of the whole team lost, too; one that is lost now is that one
 * @returns empty where it may start; what the domain itself lacks comes first
 */
export function judgeAdmission(world: World, name: string, survive: 0 | 1): readonly Shortfall[] {
  return world.teams.flatMap((team) => {
    const reserves = world.domains.some(
      (domain) =>
        domain.name === name &&
        domain.vnics.some(
          (vnic) =>
            vnic.team === team.config.name && vnic.policy.bandwidth.reservationBitsPerSecond > 0,
        ),
    );
    if (!reserves || refuse(team, false) !== null) return [];
    const members = membersOf(world, team);
    const parties: Parties = {
      name,
      all: members,
      others: members.filter(({ domain }) => domain.name !== name),
    };
    const found = shortfalls(parties, null, (present) => reckon(world, team, present));
    if (survive === 1) found.push(...lossShortfalls(world, mended(team), parties));
    return [
      ...found.filter(({ domain }) => domain === name),
      ...found.filter(({ domain }) => domain !== name),
    ];
  });
}

/** Says it to whoever starts the domain, with the numbers. */
export function describeShortfall(shortfall: Shortfall, starting: string): string {
  const { domain, mac, reservationBitsPerSecond, getsBitsPerSecond, without, left } = shortfall;
  const when = without === null ? "" : `with ${without} lost `;
  const reservation = formatRate(reservationBitsPerSecond);
  if (domain !== starting) {
    const keeps = formatRate(getsBitsPerSecond);
    return `${when}domain ${domain} (${mac}) would keep ${keeps} of its reservation of ${reservation}`;
  }
  const rooms = left.map(
    ({ uplink, leftBitsPerSecond, capacityBitsPerSecond }) =>
      `${uplink} has ${formatRate(leftBitsPerSecond)} left of ${formatRate(capacityBitsPerSecond)}`,
  );
  const room = rooms.length === 0 ? "no uplink is usable" : rooms.join(", ");
  return `${when}${mac}'s reservation of ${reservation} does not fit: ${room}`;
}

/** The vNICs of a team with and without the domain that starts. */
interface Parties {
  /** The domain that starts. */
  readonly name: string;
  readonly all: readonly Member[];
  readonly others: readonly Member[];
}

/** @param whole the team with nothing lost */
function lossShortfalls(world: World, whole: TeamState, parties: Parties): Shortfall[] {
  const usable = judgeUplinks(whole, world.nowMs).filter((entry) => entry.usable);
  // Where everybody is before the loss; the same whichever uplink is lost.
  const placements = new Map<readonly Member[], readonly Member[]>();
  const settle = (members: readonly Member[]) => {
    const known = placements.get(members) ?? settled(reckon(world, whole, members).placed);
    placements.set(members, known);
    return known;
  };
  return usable.flatMap(({ uplink }) => {
    const { name } = whole.config;
    const [degraded] = withLoss({ ...world, teams: [whole], domains: [] }, name, [
      uplink.name,
    ]).teams;
    return shortfalls(parties, uplink.name, (members) =>
      reckon(world, degraded ?? whole, settle(members)),
    );
  });
}

function shortfalls(
  { name, all, others }: Parties,
  without: string | null,
  ask: (members: readonly Member[]) => Reckoning,
): Shortfall[] {
  const after = ask(all);
  if (after.rooms.length === 0 && without === null) return [];
  let before: Reckoning | null = null;
  return after.placed.flatMap(({ domain, vnic, via }) => {
    const { reservationBitsPerSecond } = vnic.policy.bandwidth;
    const gets = after.rates.get(vnic.mac) ?? 0;
    if (!isShort(reservationBitsPerSecond, gets)) return [];
    if (domain.name !== name) {
      // Who lacked as much before isn't hurt by this start.
      before ??= ask(others);
      if (!isShort(before.rates.get(vnic.mac) ?? 0, gets)) return [];
    }
    const left = after.rooms.map(({ uplink, capacityBitsPerSecond, reservedBitsPerSecond }) => ({
      uplink,
      capacityBitsPerSecond,
      leftBitsPerSecond: Math.max(
        0,
        capacityBitsPerSecond -
          reservedBitsPerSecond +
          (via === uplink ? reservationBitsPerSecond : 0),
      ),
    }));
    return [
      {
        domain: domain.name,
        mac: vnic.mac,
        reservationBitsPerSecond,
        getsBitsPerSecond: gets,
        without,
        left,
      },
    ];
  });
}

/** The team with nothing lost, drained or waiting; what is no port of the bond stays out. */
function mended(team: TeamState): TeamState {
  return {
    ...team,
    uplinks: team.uplinks
      .filter((uplink) => uplink.inBond && (uplink.speedBitsPerSecond ?? 0) > 0)
      .map((uplink) => ({
        ...uplink,
        adminUp: true,
        carrier: true,
        bondUp: true,
        healthy: true,
        drainedAtMs: null,
        lostAtMs: null,
        returnedAtMs: null,
      })),
  };
}
