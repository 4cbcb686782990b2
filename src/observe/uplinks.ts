/** Remembers when uplinks were lost and came back, and how often in short order. Pure: memory in, memory out. */
import type { TeamConfig } from "../model/config.ts";
import type { LinkState } from "../model/link.ts";
import type { PathState } from "../model/probe.ts";
import { formatDuration } from "../model/units.ts";

export interface UplinkMemory {
  readonly ready: boolean;
  /** The present or last outage was, as last seen, that of a path behind a link that is up. */
  readonly pathDied: boolean;
  /** When the present or last outage began; null: none seen. */
  readonly lostAtMs: number | null;
  readonly returnedAtMs: number | null;
  /** How often it was lost again soon after a return, in a row. */
  readonly flaps: number;
  /** As the kernel counts, at the last look. */
  readonly carrierDowns: number;
}

export type UplinkMemories = ReadonlyMap<string, UplinkMemory>;

/** What changed for an uplink, for the log. */
export interface UplinkChange {
  readonly uplink: string;
  readonly change: "lost" | "returned";
  readonly reason: string;
}

/** What of a team's configuration says how long a returned uplink is kept out. */
export type HoldDown = Pick<TeamConfig, "holdDownMs" | "holdDownMaxMs">;

const NO_PATHS: ReadonlyMap<string, PathState> = new Map();

/** Doubling nothing gives nothing: with no hold-down configured an uplink that comes and goes starts with this. */
const LEAST_DAMPED_MS = 1000;

/** How long an uplink is kept out after its return: twice as long each time it was lost again soon, up to the bound. */
export function holdDownOf(flaps: number, { holdDownMs, holdDownMaxMs }: HoldDown): number {
  if (flaps === 0) return holdDownMs;
  return Math.min(holdDownMaxMs, Math.max(holdDownMs, LEAST_DAMPED_MS) * 2 ** flaps);
}

/**
 * Takes a fresh look at the named uplinks. One that is lost again before its hold-down has passed since its return is
 * in the same outage; one that then stays for the longest hold-down is as good as new. A path that probes find dead is
 * an outage like that of a link.
 * @param paths who isn't named is healthy
 */
export function observeUplinks(
  memories: UplinkMemories,
  links: ReadonlyMap<string, LinkState>,
  uplinks: readonly string[],
  holdDown: HoldDown,
  nowMs: number,
  paths: ReadonlyMap<string, PathState> = NO_PATHS,
): { readonly memories: UplinkMemories; readonly changes: readonly UplinkChange[] } {
  const next = new Map<string, UplinkMemory>();
  const changes: UplinkChange[] = [];
  for (const name of uplinks) {
    const link = links.get(name);
    const path = paths.get(name);
    const linked = link?.adminUp === true && link.carrier && link.port !== null;
    const ready = linked && path?.healthy !== false;
    const carrierDowns = link?.carrierDowns ?? 0;
    let memory = memories.get(name) ?? {
      ready,
      pathDied: linked && !ready,
      lostAtMs: ready ? null : nowMs,
      returnedAtMs: null,
      flaps: 0,
      carrierDowns,
    };
    const wasBriefly = memory.ready && ready && carrierDowns > memory.carrierDowns;
    if (memory.ready && (!ready || wasBriefly)) {
      const reason = wasBriefly ? "no carrier for a moment" : lossReason(link, path);
      changes.push({ uplink: name, change: "lost", reason });
      memory = {
        ...memory,
        ready: false,
        returnedAtMs: null,
        ...outageOf(memory, holdDown, nowMs),
      };
    }
    if (!memory.ready && ready) {
      changes.push({ uplink: name, change: "returned", reason: returnReason(memory, holdDown) });
      memory = { ...memory, ready, returnedAtMs: nowMs };
    }
    // Of an outage that is over it stays known, for the words of the next.
    const pathDied = ready ? memory.pathDied : linked;
    next.set(name, { ...memory, carrierDowns, pathDied });
  }
  return { memories: next, changes };
}

/** Since when an uplink that is lost now counts as lost, and what it has behind it. */
function outageOf(
  { flaps, lostAtMs, returnedAtMs }: UplinkMemory,
  holdDown: HoldDown,
  nowMs: number,
): Pick<UplinkMemory, "flaps" | "lostAtMs"> {
  if (returnedAtMs === null) return { flaps: 0, lostAtMs: nowMs };
  const inServiceAtMs = returnedAtMs + holdDownOf(flaps, holdDown);
  const isCalm = nowMs >= inServiceAtMs + holdDown.holdDownMaxMs;
  return {
    // No more than what reaches any bound, so that the number stays small.
    flaps: isCalm ? 0 : Math.min(flaps + 1, 32),
    lostAtMs: nowMs < inServiceAtMs ? lostAtMs : nowMs,
  };
}

function returnReason({ flaps, pathDied }: UplinkMemory, holdDown: HoldDown): string {
  const back = pathDied ? "its path works again" : "carrier is back";
  if (flaps === 0) return back;
  const out = formatDuration(holdDownOf(flaps, holdDown));
  return `${back}; lost ${flaps + 1} times in short order, so it is kept out for ${out}`;
}

function lossReason(link: LinkState | undefined, path: PathState | undefined): string {
  if (link === undefined) return "the device is gone";
  if (link.port === null) return "it left the bond";
  if (!link.adminUp) return "administratively down";
  return link.carrier ? `link up, but its path is dead: ${path?.reason ?? ""}` : "no carrier";
}
