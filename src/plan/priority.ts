/** HTB prios and weights of priorities and shares. */
import { PRIORITIES, type Priority } from "../model/policy.ts";

/** The control class comes before every guest. */
export const CONTROL_PRIO = 0;

/** 0 for critical to 3 for low: order of service, reverse order of degradation. */
export function priorityRank(priority: Priority): number {
  return PRIORITIES.indexOf(priority);
}

/** HTB prio 1 (critical) to 4 (low). */
export function htbPrio(priority: Priority): number {
  return priorityRank(priority) + 1;
}

/**
 * HTB prio of the host's own traffic. Critical host traffic is served before critical guests: whoever has to log
 * in and mend things must get through.
 */
export function hostPrio(priority: Priority): number {
  return priority === "critical" ? CONTROL_PRIO : htbPrio(priority);
}

/** Bytes a class may send in its turn for 100 shares: one 64 KB GSO packet. */
const QUANTUM_BYTES_PER_SHARE = 640;
/** Below about ten frames a turn is one packet whatever the weight. */
const MIN_QUANTUM_BYTES = 16_000;

/** DRR weight of a class; ratios are honoured from 25 to 1000 shares, fewer than 25 weigh like 25. */
export function quantumBytes(shares: number): number {
  return Math.max(MIN_QUANTUM_BYTES, Math.round(shares * QUANTUM_BYTES_PER_SHARE));
}

/**
 * Burst of a class: what it sends in 2 ms, so that timers' slack costs no rate, and at least a GSO packet,
 * the coarseness that the kernel has anyway.
 */
export function burstBytes(bitsPerSecond: number): number {
  return Math.max(65_536, Math.round((bitsPerSecond / 8) * 0.002));
}

/**
 * Burst of an inbound limit: what passes in 50 ms, since what it drops TCP learns only a round trip later, and at least two
 * of the largest frames that GRO makes.
 */
export function inboundBurstBytes(bitsPerSecond: number): number {
  return Math.max(131_072, Math.round((bitsPerSecond / 8) * 0.05));
}
