/**
 * Which frames go out when: which vNICs are to be announced, how often, how fast. Knows no clock and no socket;
 * times come in, milliseconds on one clock.
 */
import type { AnnouncementRules } from "../model/config.ts";
import type { Mac } from "../model/mac.ts";
import { MOVE_WINDOW_MS } from "../model/world.ts";

/** A vNIC and where its frames go now. */
export interface Carried {
  readonly mac: Mac;
  /** null: nothing can carry it. */
  readonly uplink: string | null;
  /** Where they went when nobody had looked yet; null where it isn't known. */
  readonly before: string | null;
  readonly vlanIds: readonly number[];
  /**
   * here: its guest runs on this host. silent: it is here and stands still, to be announced once it goes on.
   * elsewhere: it hasn't begun here, or its frames still come from another host.
   */
  readonly guest: "here" | "silent" | "elsewhere";
  /** Smaller numbers are announced first. */
  readonly rank: number;
}

/** Frames to send now, one for each VLAN. */
export interface Announcement {
  readonly mac: Mac;
  readonly uplink: string;
  readonly vlanIds: readonly number[];
  /** The first of those of this move. */
  readonly first: boolean;
}

/**
 * Frames a turn and uplink, and the time between turns: 770 kbit/s, which the control class carries beside LACPDUs
 * from 100 Mbit/s up, and 1,000 vNICs are announced for the first time within 0.7 s.
 */
const TURN_FRAMES = 16;
const TURN_MS = 10;

/**
 * Announced moves of one MAC in MOVE_WINDOW_MS. Fabrics take five in 180 s for a duplicate address and freeze it (RFC
 * 7432, 15.1): who has moved this often is announced when the oldest of them is past, at the place that it then has.
 */
const MOST_MOVES = 4;

interface Entry {
  carried: Carried;
  /** Where the world outside was last told that it is, or has always known it. */
  toldUplink: string;
  pending: { readonly uplink: string; left: number; dueAtMs: number; first: boolean } | null;
  movesAtMs: number[];
}

export class AnnouncementSchedule {
  readonly #entries = new Map<Mac, Entry>();

  /**
   * Takes where all vNICs are now; who is not named is forgotten.
   * @param rules null: changes are noted and never announced
   */
  note(all: readonly Carried[], rules: AnnouncementRules | null, nowMs: number): void {
    const named = new Set<Mac>();
    for (const carried of all) {
      named.add(carried.mac);
      this.#noteOne(carried, rules, nowMs);
    }
    for (const mac of this.#entries.keys()) if (!named.has(mac)) this.#entries.delete(mac);
  }

  /** What is to be sent now; it counts as sent. First announcements come before repetitions. */
  take(rules: AnnouncementRules | null, nowMs: number): readonly Announcement[] {
    const due = [...this.#entries.values()].filter(
      ({ pending }) => pending !== null && pending.dueAtMs <= nowMs,
    );
    due.sort(
      (a, b) =>
        Number(b.pending?.first) - Number(a.pending?.first) || a.carried.rank - b.carried.rank,
    );
    const room = new Map<string, number>();
    const taken: Announcement[] = [];
    for (const entry of due) {
      const { carried, pending } = entry;
      if (pending === null) continue;
      const left = room.get(pending.uplink) ?? TURN_FRAMES;
      if (left <= 0) continue;
      room.set(pending.uplink, left - carried.vlanIds.length);
      const { mac, vlanIds } = carried;
      taken.push({ mac, uplink: pending.uplink, vlanIds, first: pending.first });
      if (pending.first && entry.toldUplink !== pending.uplink) entry.movesAtMs.push(nowMs);
      entry.toldUplink = pending.uplink;
      pending.first = false;
      pending.left -= 1;
      if (rules === null || pending.left <= 0) entry.pending = null;
      else pending.dueAtMs = nowMs + rules.intervalMs;
    }
    return taken;
  }

  /** When to take again; null: nothing waits. */
  nextAtMs(nowMs: number): number | null {
    let next = Number.POSITIVE_INFINITY;
    for (const { pending } of this.#entries.values())
      if (pending !== null) next = Math.min(next, pending.dueAtMs);
    return next === Number.POSITIVE_INFINITY ? null : Math.max(next, nowMs + TURN_MS);
  }

  #noteOne(carried: Carried, rules: AnnouncementRules | null, nowMs: number): void {
    const { mac, uplink, guest } = carried;
    if (uplink === null) {
      const known = this.#entries.get(mac);
      if (known !== undefined) known.pending = null;
      return;
    }
    const entry = this.#entryOf(carried, uplink);
    entry.carried = carried;
    if (guest !== "here") entry.pending = null;
    // Where it begins, its own first frames tell; without rules they do so always.
    if (guest === "elsewhere" || rules === null) {
      entry.toldUplink = uplink;
      entry.pending = null;
      return;
    }
    if (guest === "silent" || uplink === (entry.pending?.uplink ?? entry.toldUplink)) return;
    const dueAtMs = mayMoveAtMs(entry, nowMs);
    entry.pending = { uplink, left: rules.count, dueAtMs, first: true };
  }

  #entryOf(carried: Carried, uplink: string): Entry {
    const known = this.#entries.get(carried.mac);
    if (known !== undefined) return known;
    const toldUplink = carried.before ?? uplink;
    const entry = { carried, toldUplink, pending: null, movesAtMs: [] };
    this.#entries.set(carried.mac, entry);
    return entry;
  }
}

/** When it may be announced elsewhere: now, or when it has moved few enough times. Forgets moves long past. */
function mayMoveAtMs(entry: Entry, nowMs: number): number {
  entry.movesAtMs = entry.movesAtMs.filter((atMs) => atMs > nowMs - MOVE_WINDOW_MS);
  const oldest = entry.movesAtMs.at(-MOST_MOVES);
  return oldest === undefined ? nowMs : oldest + MOVE_WINDOW_MS;
}
