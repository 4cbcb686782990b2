/** Remembers when uplinks were lost and came back. Pure: memory in, memory out. */
import type { LinkState } from "../model/link.ts";

export interface UplinkMemory {
  readonly ready: boolean;
  /** When the present or last outage began; null: none seen. */
  readonly lostAtMs: number | null;
  readonly returnedAtMs: number | null;
}

export type UplinkMemories = ReadonlyMap<string, UplinkMemory>;

/** What changed for an uplink, for the log. */
export interface UplinkChange {
  readonly uplink: string;
  readonly change: "lost" | "returned";
  readonly reason: string;
}

/**
 * Takes a fresh look at the named uplinks.
 * @param holdDownMs an uplink that is lost again before this has passed since its return is in the same outage
 */
export function observeUplinks(
  memories: UplinkMemories,
  links: ReadonlyMap<string, LinkState>,
  uplinks: readonly string[],
  holdDownMs: number,
  nowMs: number,
): { readonly memories: UplinkMemories; readonly changes: readonly UplinkChange[] } {
  const next = new Map<string, UplinkMemory>();
  const changes: UplinkChange[] = [];
  for (const name of uplinks) {
    const link = links.get(name);
    const ready = link?.adminUp === true && link.carrier && link.port !== null;
    const before = memories.get(name);
    if (before === undefined) {
      next.set(name, { ready, lostAtMs: ready ? null : nowMs, returnedAtMs: null });
      continue;
    }
    if (before.ready === ready) {
      next.set(name, before);
    } else if (ready) {
      changes.push({ uplink: name, change: "returned", reason: "carrier is back" });
      next.set(name, { ready, lostAtMs: before.lostAtMs, returnedAtMs: nowMs });
    } else {
      changes.push({ uplink: name, change: "lost", reason: lossReason(link) });
      const sameOutage = before.returnedAtMs !== null && nowMs < before.returnedAtMs + holdDownMs;
      next.set(name, {
        ready,
        lostAtMs: sameOutage ? before.lostAtMs : nowMs,
        returnedAtMs: null,
      });
    }
  }
  return { memories: next, changes };
}

function lossReason(link: LinkState | undefined): string {
  if (link === undefined) return "the device is gone";
  if (link.port === null) return "it left the bond";
  return link.adminUp ? "no carrier" : "administratively down";
}
