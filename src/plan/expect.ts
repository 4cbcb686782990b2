/** What each vNIC gets on the uplink that carries it, as HTB shares it. */
import type { TeamState } from "../model/world.ts";
import { fitResidents, type Load, type UplinkLoad } from "./grants.ts";
import type { Member } from "./placement.ts";
import { hostPrio, htbPrio } from "./priority.ts";
import { type Sharer, shareUplink } from "./share.ts";

/** Sums of doubles may end a hair below the whole number that they mean. */
const ROUNDING = 1e-3;

/**
 * Shares one usable uplink among the host and its residents. Reckoned without the bytes that HTB rounds by and
 * gives each class at least: they are no promise, and would only blur the figures.
 * @param silent indexes of vNICs that send nothing
 * @param expected bits per second by placed index; the residents' entries are written
 */
export function expectRates(
  team: TeamState,
  load: Load,
  uplink: UplinkLoad,
  silent: ReadonlySet<number>,
  expected: Float64Array,
): void {
  const capacity = uplink.entry.capacityBitsPerSecond;
  const { host } = load.config;
  const { hostBitsPerSecond, rates } = fitResidents(load, uplink, silent, 0);
  const sharers: Sharer[] = [
    {
      rateBitsPerSecond: hostBitsPerSecond,
      wantBitsPerSecond: Math.min(
        team.hostDemandBitsPerSecond ?? host.reservationBitsPerSecond,
        host.limitBitsPerSecond ?? capacity,
        capacity,
      ),
      prio: hostPrio(host.priority),
      shares: host.shares,
    },
  ];
  for (const [position, index] of uplink.residents.entries()) {
    const member = load.placed[index] as Member;
    sharers.push({
      rateBitsPerSecond: rates[position] ?? 0,
      wantBitsPerSecond: silent.has(index) ? 0 : Math.min(load.wants[index] ?? 0, capacity),
      prio: htbPrio(member.vnic.policy.priority),
      shares: member.vnic.policy.bandwidth.shares,
    });
  }
  const got = shareUplink(capacity, sharers);
  for (const [position, index] of uplink.residents.entries()) {
    expected[index] = Math.floor((got[position + 1] ?? 0) + ROUNDING);
  }
}
