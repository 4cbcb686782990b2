/** What each vNIC gets on the uplink that carries it, as HTB shares it. */
import type { TeamState } from "../model/world.ts";
import { flaggedIn } from "./flagged.ts";
import { fitResidents, type Silence } from "./grants.ts";
import { hostDemands, hostLines } from "./host.ts";
import type { Load, UplinkLoad } from "./load.ts";
import { hostPrio } from "./priority.ts";
import { type Sharer, shareUplink, sum } from "./share.ts";

/** Sums of doubles may end a hair below the whole number that they mean. */
const ROUNDING = 1e-3;

/** Whole bits per second of what a share came to. */
export function wholeBits(bitsPerSecond: number): number {
  return Math.floor(bitsPerSecond + ROUNDING);
}

/**
 * Shares each usable uplink among the host and its residents. Reckoned without the bytes that HTB rounds by and
 * gives each class at least: they are no promise, and would only blur the figures.
 * @param silence who sends nothing
 * @returns bits per second by index in the roster
 */
export function expectRates(team: TeamState, load: Load, silence: Silence): Float64Array {
  const { wants, members } = load.roster;
  const expected = new Float64Array(members.length);
  const enough = findEnough(team, load, silence, silence === null ? [] : flaggedIn(silence));
  for (const uplink of load.uplinks) {
    if (!uplink.entry.usable) continue;
    const { indexes } = uplink.residents;
    if (enough[uplink.place] === true) {
      for (let position = 0; position < indexes.length; position += 1) {
        const index = indexes[position] as number;
        expected[index] =
          silence !== null && silence[index] === 1 ? 0 : wholeBits(wants[index] as number);
      }
      continue;
    }
    const sharers = listSharers(team, load, uplink, silence);
    const hosts = sharers.length - indexes.length;
    const got = shareUplink(uplink.entry.capacityBitsPerSecond, sharers);
    for (let position = 0; position < indexes.length; position += 1)
      expected[indexes[position] as number] = wholeBits(got[position + hosts] ?? 0);
  }
  return expected;
}

/** What each of the host's classes gets of a usable uplink, in the order of hostLines, whole bits per second. */
export function expectHost(
  team: TeamState,
  load: Load,
  uplink: UplinkLoad,
  silence: Silence,
): number[] {
  const sharers = listSharers(team, load, uplink, silence);
  const hosts = sharers.length - uplink.residents.size;
  return shareUplink(uplink.entry.capacityBitsPerSecond, sharers).slice(0, hosts).map(wholeBits);
}

/**
 * Whether everybody on each usable uplink gets all that it wants, whoever comes first; by place.
 * @param silent indexes of who sends nothing
 */
export function findEnough(
  team: TeamState,
  load: Load,
  silence: Silence,
  silent: readonly number[],
): boolean[] {
  const { carriers, roster } = load;
  const { wants } = roster;
  const silenced = new Float64Array(load.uplinks.length);
  for (const index of silent) {
    const place = carriers[index] as number;
    silenced[place] = (silenced[place] as number) + (wants[index] as number);
  }
  return load.uplinks.map(({ entry, place, residents }) => {
    if (!entry.usable) return false;
    const all = residents.sums.wants;
    let wanted = all - (silenced[place] as number);
    if (!Number.isFinite(all)) {
      // Who is silent may be who wants no end of it.
      wanted = 0;
      for (const index of residents.indexes)
        if (silence?.[index] !== 1) wanted += wants[index] as number;
    }
    const capacity = entry.capacityBitsPerSecond;
    // What is shared is reckoned in doubles, and so is this: near the limit it is shared for certain.
    return sum(hostWants(team, capacity)) + wanted + 1 < capacity;
  });
}

/** What each of the host's classes wants of an uplink, in the order of hostLines. */
function hostWants(team: TeamState, capacity: number): number[] {
  const demands = hostDemands(team);
  return hostLines(team.config).map(({ share }, line) =>
    Math.min(demands[line] ?? 0, share.limitBitsPerSecond ?? capacity, capacity),
  );
}

/** Who shares an uplink: the host's classes in the order of hostLines, then its residents in theirs. */
export function listSharers(
  team: TeamState,
  load: Load,
  uplink: UplinkLoad,
  silence: Silence,
): Sharer[] {
  const { roster } = load;
  const capacity = uplink.entry.capacityBitsPerSecond;
  const { hostRates, rates } = fitResidents(load, uplink, silence, 0);
  const sharers = hostSharers(team, capacity, hostRates);
  for (const [position, index] of uplink.residents.indexes.entries()) {
    const isSilent = silence !== null && silence[index] === 1;
    sharers.push({
      rateBitsPerSecond: rates[position] ?? 0,
      wantBitsPerSecond: isSilent ? 0 : Math.min(roster.wants[index] ?? 0, capacity),
      prio: (roster.ranks[index] ?? 0) + 1,
      shares: roster.shares[index] ?? 1,
    });
  }
  return sharers;
}

/** The host's classes among those who share an uplink. @param rates in the order of hostLines */
export function hostSharers(
  team: TeamState,
  capacityBitsPerSecond: number,
  rates: readonly number[],
): Sharer[] {
  const wants = hostWants(team, capacityBitsPerSecond);
  return hostLines(team.config).map(
    ({ share }, line): Sharer => ({
      rateBitsPerSecond: rates[line] ?? 0,
      wantBitsPerSecond: wants[line] ?? 0,
      prio: hostPrio(share.priority),
      shares: share.shares,
    }),
  );
}
