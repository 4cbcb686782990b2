/** What each vNIC sends and wants to send, from class counters. Pure: memory in, memory out. */
import type { ClassCounters } from "../model/kernel.ts";

interface Totals {
  readonly sentBytes: bigint;
  readonly sentPackets: bigint;
  readonly drops: number;
}

export interface LoadMemory {
  readonly atMs: number;
  readonly totals: ReadonlyMap<string, Totals>;
  /** Averages by class key, see {@link loadKey}. */
  readonly loads: ReadonlyMap<string, Load>;
}

export interface Load {
  readonly sentBitsPerSecond: number;
  /** Sent and dropped: what it would have sent. */
  readonly demandBitsPerSecond: number;
  readonly backlogBytes: number;
  readonly drops: number;
}

export const NO_LOADS: LoadMemory = { atMs: 0, totals: new Map(), loads: new Map() };

/** Classes with one minor are one vNIC's on all uplinks of a team, so they are summed under the team's name. */
export function loadKey(team: string, minor: number): string {
  return `${team} ${minor.toString(16)}`;
}

/** Size assumed for a dropped packet where nothing was sent to take an average of, bytes. */
const ASSUMED_PACKET_BYTES = 1000n;

/**
 * Averages are counters' resolution coarse (a window's edges cut bursts), so demand is understated by this part:
 * a domain that just gets what it wanted must not look as if it wanted more.
 */
const UNDERSTATEMENT = 0.02;

/**
 * Takes a sample of all classes.
 * @param keyOf the load key of a class; null to leave it out
 * @param windowMs of the exponentially weighted average
 */
export function observeLoads(
  memory: LoadMemory,
  counters: readonly ClassCounters[],
  keyOf: (counter: ClassCounters) => string | null,
  windowMs: number,
  nowMs: number,
): LoadMemory {
  const totals = new Map<string, Totals>();
  const backlogs = new Map<string, number>();
  for (const counter of counters) {
    const key = keyOf(counter);
    if (key === null) continue;
    const sum = totals.get(key);
    totals.set(key, {
      sentBytes: (sum?.sentBytes ?? 0n) + counter.sentBytes,
      sentPackets: (sum?.sentPackets ?? 0n) + counter.sentPackets,
      drops: (sum?.drops ?? 0) + counter.drops,
    });
    backlogs.set(key, (backlogs.get(key) ?? 0) + counter.backlogBytes);
  }
  const elapsedMs = nowMs - memory.atMs;
  if (elapsedMs <= 0) return memory;
  const weight = 1 - Math.exp(-elapsedMs / windowMs);
  const loads = new Map<string, Load>();
  for (const [key, total] of totals) {
    const before = memory.totals.get(key);
    // Counters that ran backwards belong to a class that was made anew: this sample is only a beginning.
    if (before === undefined || total.sentBytes < before.sentBytes || total.drops < before.drops)
      continue;
    const sentBytes = total.sentBytes - before.sentBytes;
    const sentPackets = total.sentPackets - before.sentPackets;
    const packetBytes = sentPackets > 0n ? sentBytes / sentPackets : ASSUMED_PACKET_BYTES;
    const droppedBytes = Number(packetBytes) * (total.drops - before.drops);
    const sentRate = (Number(sentBytes) * 8000) / elapsedMs;
    const demandRate = sentRate + (droppedBytes * 8000) / elapsedMs;
    const old = memory.loads.get(key);
    const blend = (average: number | undefined, sample: number) =>
      average === undefined ? sample : average + weight * (sample - average);
    loads.set(key, {
      sentBitsPerSecond: blend(old?.sentBitsPerSecond, sentRate),
      demandBitsPerSecond: blend(old?.demandBitsPerSecond, demandRate * (1 - UNDERSTATEMENT)),
      backlogBytes: backlogs.get(key) ?? 0,
      drops: total.drops,
    });
  }
  return { atMs: nowMs, totals, loads };
}
