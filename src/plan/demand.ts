/** What a vNIC wants to send, and by what of that it is judged. */
import type { Member } from "./roster.ts";

/** What a vNIC wants within its limit; infinity where that is not known: then all that it may have. */
export function wantOf(member: Member): number {
  const { domain, vnic } = member;
  // What a person paused sends nothing until a person resumes it.
  if (domain.phase === "paused" && domain.pausedByUs === null) return 0;
  const demand = knownDemand(member) ?? Number.POSITIVE_INFINITY;
  return Math.min(demand, vnic.policy.bandwidth.limitBitsPerSecond ?? demand);
}

/** Its demand: as it was before a loss, else as measured; null where it isn't known. */
export function knownDemand(member: Member): number | null {
  return (
    latchedDemand(member) ??
    (member.domain.pausedByUs === null ? member.vnic.demandBitsPerSecond : null)
  );
}

/** As it was before the loss. While we keep a domain paused, what was written down then; its own is nothing now. */
export function latchedDemand({ domain, vnic }: Member): number | null {
  return domain.pausedByUs === null
    ? vnic.latchedDemandBitsPerSecond
    : (domain.pausedByUs.demandBitsPerSecond[vnic.mac] ?? null);
}

/** Whether a vNIC's data is discarded once its home is lost. */
export function discardsAtLoss({ domain, vnic }: Member): boolean {
  return vnic.policy.failover.action === "discard" && !domain.held && domain.exempt === null;
}
