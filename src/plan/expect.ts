/** What each vNIC gets on the uplink that carries it, as HTB shares it. */
import type { TeamState } from "../model/world.ts";
import { fitResidents, type Silence } from "./grants.ts";
import { hostDemands, hostLines } from "./host.ts";
import { type Load, sumUp, type UplinkLoad } from "./load.ts";
import { hostPrio } from "./priority.ts";
import { type Sharer, shareUplink, sum } from "./share.ts";

/** Sums of doubles may end a hair below the whole number that they mean. */
const ROUNDING = 1e-3;

/** Whole bits per second of what a share came to. */
export function wholeBits(bitsPerSecond: number): number {
  return Math.floor(bitsPerSecond + ROUNDING);
}

/**
 * Shares one usable uplink among the host and its residents. Reckoned without the bytes that HTB rounds by and
 * gives each class at least: they are no promise, and would only blur the figures.
 * @param silence who sends nothing
 * @param expected bits per second by index in the roster; the residents' entries are written
 */
export function expectRates(
  team: TeamState,
  load: Load,
  uplink: UplinkLoad,
  silence: Silence,
  expected: Float64Array,
): void {
  const { residents } = uplink;
  const { wants } = load.roster;
  if (hasEnough(team, load, uplink, silence)) {
    for (let position = 0; position < residents.length; position += 1) {
      const index = residents[position] as number;
      expected[index] =
        silence !== null && silence[index] === 1 ? 0 : wholeBits(wants[index] as number);
    }
    return;
  }
  const sharers = listSharers(team, load, uplink, silence);
  const hosts = sharers.length - residents.length;
  const got = shareUplink(uplink.entry.capacityBitsPerSecond, sharers);
  for (let position = 0; position < residents.length; position += 1) {
    expected[residents[position] as number] = wholeBits(got[position + hosts] ?? 0);
  }
}

/** What each of the host's classes gets of a usable uplink, in the order of hostLines, whole bits per second. */
export function expectHost(
  team: TeamState,
  load: Load,
  uplink: UplinkLoad,
  silence: Silence,
): number[] {
  const sharers = listSharers(team, load, uplink, silence);
  const hosts = sharers.length - uplink.residents.length;
  return shareUplink(uplink.entry.capacityBitsPerSecond, sharers).slice(0, hosts).map(wholeBits);
}

/** Whether everybody on an uplink gets all that it wants, whoever comes first. */
export function hasEnough(
  team: TeamState,
  load: Load,
  uplink: UplinkLoad,
  silence: Silence,
): boolean {
  const { residents } = uplink;
  const { wants } = load.roster;
  const capacity = uplink.entry.capacityBitsPerSecond;
  let wanted = sum(hostWants(team, capacity));
  const all = sumUp(load.roster, residents).wants;
  if (silence === null) wanted += all;
  else if (Number.isFinite(all)) {
    wanted += all;
    for (let position = 0; position < residents.length; position += 1) {
      const index = residents[position] as number;
      if (silence[index] === 1) wanted -= wants[index] as number;
    }
  } else {
    for (let position = 0; position < residents.length; position += 1) {
      const index = residents[position] as number;
      if (silence[index] === 0) wanted += wants[index] as number;
    }
  }
  // What is shared is reckoned in doubles, and so is this: near the limit it is shared for certain.
  return wanted + 1 < capacity;
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
  const wants = hostWants(team, capacity);
  const sharers = hostLines(team.config).map(
    ({ share }, line): Sharer => ({
      rateBitsPerSecond: hostRates[line] ?? 0,
      wantBitsPerSecond: wants[line] ?? 0,
      prio: hostPrio(share.priority),
      shares: share.shares,
    }),
  );
  for (let position = 0; position < uplink.residents.length; position += 1) {
    const index = uplink.residents[position] as number;
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
