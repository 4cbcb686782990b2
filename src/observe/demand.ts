/** What each vNIC and each uplink sends and wants to send, from class counters. Pure: memory in, memory out. */
import type { ClassCounters } from "../model/kernel.ts";
import { ROOT_MINOR } from "../model/layout.ts";

interface Totals {
  readonly sentBytes: bigint;
  readonly sentPackets: bigint;
  readonly drops: number;
  readonly backlogBytes: number;
}

export interface LoadMemory {
  readonly atMs: number;
  readonly totals: ReadonlyMap<string, Totals>;
  /** Averages by {@link loadKey} and {@link uplinkLoadKey}. */
  readonly loads: ReadonlyMap<string, Load>;
}

export interface Load {
  /** When the first sample of the average was taken. */
  readonly sinceMs: number;
  readonly sentBitsPerSecond: number;
  /** Sent and dropped: what it would have sent. */
  readonly demandBitsPerSecond: number;
  /** At the last sample. */
  readonly backlogBytes: number;
  /** Since the classes were made, packets. */
  readonly drops: number;
}

/** The team of a class, and what its loads are averaged over. */
export interface LoadPlace {
  readonly team: string;
  /** Time constant of the exponentially weighted average: a step shows by 63 % after it, by 95 % after three. */
  readonly windowMs: number;
}

export const NO_LOADS: LoadMemory = { atMs: 0, totals: new Map(), loads: new Map() };

/** Classes with one minor are one vNIC's on all uplinks of a team, so they are summed under the team's name. */
export function loadKey(team: string, minor: number): string {
  return `${team} ${minor.toString(16)}`;
}

/** All that leaves by an uplink: its leaf classes, the host's and the control class among them. */
export function uplinkLoadKey(uplink: string): string {
  return `${UPLINK_PREFIX}${uplink}`;
}

/** No team's name has a colon. */
const UPLINK_PREFIX = "uplink: ";

/** Size assumed for a dropped packet where nothing was sent to take an average of, bytes. */
const ASSUMED_PACKET_BYTES = 1000n;

/**
 * Averages are counters' resolution coarse (a window's edges cut bursts), so demand is understated by this part:
 * a domain that just gets what it wanted must not look as if it wanted more.
 */
const UNDERSTATEMENT = 0.02;

const NOTHING: Totals = { sentBytes: 0n, sentPackets: 0n, drops: 0, backlogBytes: 0 };

/**
 * Takes a sample of all classes.
 * @param placeOf the team of a device's classes; null to leave them out
 */
export function observeLoads(
  memory: LoadMemory,
  counters: readonly ClassCounters[],
  placeOf: (device: string) => LoadPlace | null,
  nowMs: number,
): LoadMemory {
  const elapsedMs = nowMs - memory.atMs;
  if (elapsedMs <= 0) return memory;
  const totals = new Map<string, Totals>();
  const windows = new Map<string, number>();
  for (const counter of counters) {
    // The inner class counts again what its leaves have counted.
    if (counter.minor === ROOT_MINOR) continue;
    const place = placeOf(counter.device);
    if (place === null) continue;
    for (const key of [loadKey(place.team, counter.minor), uplinkLoadKey(counter.device)]) {
      const sum = totals.get(key) ?? NOTHING;
      totals.set(key, {
        sentBytes: sum.sentBytes + counter.sentBytes,
        sentPackets: sum.sentPackets + counter.sentPackets,
        drops: sum.drops + counter.drops,
        backlogBytes: sum.backlogBytes + counter.backlogBytes,
      });
      windows.set(key, place.windowMs);
    }
  }
  const loads = new Map<string, Load>();
  for (const [key, total] of totals) {
    const before = memory.totals.get(key);
    // Counters that ran backwards belong to a class that was made anew: this sample is only a beginning.
    if (before === undefined || total.sentBytes < before.sentBytes || total.drops < before.drops) {
      // An uplink's merely lack what a class that went had counted.
      const old = key.startsWith(UPLINK_PREFIX) ? memory.loads.get(key) : undefined;
      if (old !== undefined) loads.set(key, { ...old, backlogBytes: total.backlogBytes });
      continue;
    }
    const sentBytes = total.sentBytes - before.sentBytes;
    const sentPackets = total.sentPackets - before.sentPackets;
    const packetBytes = sentPackets > 0n ? sentBytes / sentPackets : ASSUMED_PACKET_BYTES;
    const droppedBytes = Number(packetBytes) * (total.drops - before.drops);
    const sentRate = (Number(sentBytes) * 8000) / elapsedMs;
    const demandRate = sentRate + (droppedBytes * 8000) / elapsedMs;
    const old = memory.loads.get(key);
    const weight = 1 - Math.exp(-elapsedMs / (windows.get(key) ?? 1));
    const blend = (average: number | undefined, sample: number) =>
      average === undefined ? sample : average + weight * (sample - average);
    loads.set(key, {
      sinceMs: old?.sinceMs ?? memory.atMs,
      sentBitsPerSecond: blend(old?.sentBitsPerSecond, sentRate),
      demandBitsPerSecond: blend(old?.demandBitsPerSecond, demandRate * (1 - UNDERSTATEMENT)),
      backlogBytes: total.backlogBytes,
      drops: total.drops,
    });
  }
  return { atMs: nowMs, totals, loads };
}
