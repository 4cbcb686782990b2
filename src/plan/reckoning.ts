/**
 * What a placement leaves of reservations: the same placement and the same fitting as the plan's, for questions about
 * worlds that aren't. What is silent at the moment counts with its whole reservation. Pure.
 */
import type { Mac } from "../model/mac.ts";
import type { TeamState, World } from "../model/world.ts";
import { fitResidents } from "./grants.ts";
import { followHash } from "./hash.ts";
import { hostReservation } from "./host.ts";
import { loadUplinks } from "./load.ts";
import { placeMembers } from "./placement.ts";
import { listMembers, type Member, readRoster } from "./roster.ts";
import { sum } from "./share.ts";
import { wiringOf } from "./steering.ts";
import { activePortOf } from "./team.ts";
import { judgeUplinks } from "./usable.ts";

/** A vNIC and where it was put. */
interface Placed extends Member {
  readonly home: string | null;
  readonly via: string | null;
}

/** What a placement leaves of reservations. */
export interface Reckoning {
  readonly placed: readonly Placed[];
  /** What each vNIC's class would be guaranteed; none for those that no uplink carries. */
  readonly rates: ReadonlyMap<Mac, number>;
  readonly rooms: readonly {
    readonly uplink: string;
    readonly capacityBitsPerSecond: number;
    /** By the host and all vNICs there, whether it can be kept or not. */
    readonly reservedBitsPerSecond: number;
  }[];
}

/** Places members anew and fits their reservations. */
export function reckon(world: World, team: TeamState, members: readonly Member[]): Reckoning {
  const uplinks = judgeUplinks(team, world.nowMs);
  const hostBitsPerSecond = hostReservation(team.config);
  const activePort = activePortOf(team, uplinks);
  const roster = readRoster(team.config, team.uplinks, members);
  const context = { uplinks, activePort, hostBitsPerSecond, nowMs: world.nowMs };
  const placement =
    wiringOf(team).steering === "hash"
      ? followHash(team, uplinks, roster)
      : placeMembers(roster, roster.presence, context);
  const load = loadUplinks(team.config, uplinks, roster, placement);
  const rates = new Map<Mac, number>();
  const usable = load.uplinks.filter((uplink) => uplink.entry.usable);
  const rooms = usable.map((uplink) => {
    const fitted = fitResidents(load, uplink, null, 0);
    const residents = Array.from(uplink.residents.indexes, (index) => members[index] as Member);
    for (const [position, { vnic }] of residents.entries())
      rates.set(vnic.mac, fitted.rates[position] ?? 0);
    const reserved = residents.map(({ vnic }) => vnic.policy.bandwidth.reservationBitsPerSecond);
    return {
      uplink: uplink.entry.uplink.name,
      capacityBitsPerSecond: uplink.entry.capacityBitsPerSecond,
      reservedBitsPerSecond: hostBitsPerSecond + sum(reserved),
    };
  });
  const nameOf = (place: number | undefined) => uplinks[place ?? -1]?.uplink.name ?? null;
  const placed = members.map((member, index) => ({
    ...member,
    home: nameOf(placement.homes[index]),
    via: nameOf(placement.vias[index]),
  }));
  return { placed, rates, rooms };
}

/** The vNICs of a team. */
export function membersOf(world: World, team: TeamState): Member[] {
  return listMembers(world, team.config.name);
}

/** The same members once their placement is in the kernel. */
export function settled(placed: readonly Placed[]): Member[] {
  return placed.map(({ domain, vnic, home, via }) => ({
    domain,
    vnic: { ...vnic, kernel: home === null ? null : { minor: 0, handle: 0, home, via } },
  }));
}
