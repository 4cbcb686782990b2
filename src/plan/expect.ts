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
      wantBitsPerSecond: silent.has(index) ? 0 : Math.min(wantOf(member), capacity),
      prio: htbPrio(member.vnic.policy.priority),
      shares: member.vnic.policy.bandwidth.shares,
    });
  }
  const got = shareUplink(capacity, sharers);
  for (const [position, index] of uplink.residents.entries()) {
    expected[index] = Math.floor((got[position + 1] ?? 0) + ROUNDING);
  }
}

/** What a vNIC wants within its limit; infinity where that is not known: then all that it may have. */
export function wantOf(member: Member): number {
  const { domain, vnic } = member;
  // What a person paused sends nothing until a person resumes it.
  if (domain.phase === "paused" && domain.pausedByUs === null) return 0;
  const demand = knownDemand(member) ?? Number.POSITIVE_INFINITY;
  return Math.min(demand, vnic.policy.bandwidth.limitBitsPerSecond ?? demand);
}

/** Its demand: as it was before a loss, else as measured; null where it isn't known. */
function knownDemand(member: Member): number | null {
  return latchedDemand(member) ?? (isPausedByUs(member) ? null : member.vnic.demandBitsPerSecond);
}

/** As it was before the loss. While we keep a domain paused, what was written down then; its own is nothing now. */
function latchedDemand({ domain, vnic }: Member): number | null {
  return domain.pausedByUs === null
    ? vnic.latchedDemandBitsPerSecond
    : (domain.pausedByUs.demandBitsPerSecond[vnic.mac] ?? null);
}

function isPausedByUs({ domain }: Member): boolean {
  return domain.pausedByUs !== null;
}

/**
 * The demand within its limit by which actions are judged. Only what was measured before the loss counts; null
 * where nothing was. In a what-if there is no other time: the given demand counts, and without one the reservation.
 */
export function judgedDemand(member: Member, hypothetical: boolean): number | null {
  const { reservationBitsPerSecond, limitBitsPerSecond } = member.vnic.policy.bandwidth;
  const demand = hypothetical
    ? (knownDemand(member) ?? reservationBitsPerSecond)
    : latchedDemand(member);
  return demand === null ? null : Math.min(demand, limitBitsPerSecond ?? demand);
}
