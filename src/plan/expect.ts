/** What each vNIC gets on the uplink that carries it, as HTB shares it. */
import type { TeamState } from "../model/world.ts";
import { fitResidents, type Silence } from "./grants.ts";
import { type Load, sumUp, type UplinkLoad } from "./load.ts";
import { hostPrio } from "./priority.ts";
import { type Sharer, shareUplink } from "./share.ts";

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
  const got = shareUplink(uplink.entry.capacityBitsPerSecond, sharers);
  for (let position = 0; position < residents.length; position += 1) {
    expected[residents[position] as number] = wholeBits(got[position + 1] ?? 0);
  }
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
  let wanted = hostWant(team, load, capacity);
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

function hostWant(team: TeamState, { config: { host } }: Load, capacity: number): number {
  return Math.min(
    team.hostDemandBitsPerSecond ?? host.reservationBitsPerSecond,
    host.limitBitsPerSecond ?? capacity,
    capacity,
  );
}

/** Who shares an uplink: the host, then its residents in their order. */
export function listSharers(
  team: TeamState,
  load: Load,
  uplink: UplinkLoad,
  silence: Silence,
): Sharer[] {
  const { config, roster } = load;
  const capacity = uplink.entry.capacityBitsPerSecond;
  const { hostBitsPerSecond, rates } = fitResidents(load, uplink, silence, 0);
  const sharers: Sharer[] = [
    {
      rateBitsPerSecond: hostBitsPerSecond,
      wantBitsPerSecond: hostWant(team, load, capacity),
      prio: hostPrio(config.host.priority),
      shares: config.host.shares,
    },
  ];
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
