/**
 * Numbers that identify objects in the kernel: class minors, filter handles, queue ids. What the kernel has is
 * kept; new ones are the lowest free, so that the same world always gives the same numbers.
 */
import { FIRST_VNIC_MINOR, LAST_VNIC_MINOR, MAX_QUEUE_ID } from "../model/layout.ts";
import { type Mac, macBytes } from "../model/mac.ts";
import type { UplinkState } from "../model/world.ts";
import type { Presence, Roster } from "./roster.ts";

/** What of the kernel's classes and filters matters for numbering a team's vNICs. */
export interface Numbering {
  /** HTB prio of the class that stands where a vNIC sends, under its present minor; -1 where there is none. */
  readonly prioOf: (index: number, minor: number) => number;
  /** Minors of MACs that have a filter but are not being placed: libvirt may not have told of them yet. */
  readonly others: readonly number[];
}

/**
 * The minor of each vNIC. A vNIC whose priority changed gets a new one: HTB ignores a change of prio while a
 * class is backlogged (sch_htb.c: the class stays in its old row), so the filter moves to a fresh class.
 * @returns one a vNIC, same order; 0 where no minor is left
 */
export function assignMinors(
  roster: Roster,
  presence: Presence,
  { prioOf, others }: Numbering,
): Int32Array {
  const minors = new Int32Array(roster.members.length);
  const used = new Uint8Array(sizeFor(presence.minors, others));
  for (const minor of others) used[minor] = 1;
  let missing = 0;
  for (let index = 0; index < minors.length; index += 1) {
    const present = presence.minors[index] as number;
    if (present < FIRST_VNIC_MINOR || present > LAST_VNIC_MINOR) {
      missing += 1;
      continue;
    }
    const prio = prioOf(index, present);
    const stale = prio !== -1 && prio !== (roster.ranks[index] as number) + 1;
    if (stale || used[present] === 1) missing += 1;
    else minors[index] = present;
    // The old class keeps its number until the filter has moved off it.
    used[present] = 1;
  }
  let next = FIRST_VNIC_MINOR;
  for (let index = 0; missing > 0 && index < minors.length; index += 1) {
    if (minors[index] !== 0) continue;
    while (used[next] === 1) next += 1;
    if (next > LAST_VNIC_MINOR) break;
    used[next] = 1;
    minors[index] = next;
    missing -= 1;
  }
  // As nearly always: the column is shared then.
  return minors.every((minor, index) => minor === presence.minors[index])
    ? presence.minors
    : minors;
}

/**
 * Room for all numbers that are taken or may be given: at most two a vNIC, since an old one is kept while a new one is
 * given, and those of others. A column for every number there is would be most of what a small host's plan allocates.
 */
function sizeFor(present: Int32Array, others: readonly number[]): number {
  let last = FIRST_VNIC_MINOR + 2 * present.length + others.length;
  for (let index = 0; index < present.length; index += 1)
    last = Math.max(last, present[index] as number);
  for (const minor of others) last = Math.max(last, minor);
  return Math.min(last, LAST_VNIC_MINOR) + 1;
}

/**
 * The filter handle of each vNIC, unique within the team. It stays with the MAC while its filter stands, since
 * flower can't change a handle in place; a new one comes from the MAC's last four bytes.
 */
export function assignHandles(roster: Roster, presence: Presence): Float64Array {
  const missing = presence.handles.indexOf(-1);
  if (missing < 0) return presence.handles;
  const handles = presence.handles.slice();
  const used = new Set<number>(handles);
  for (let index = missing; index < handles.length; index += 1) {
    if (handles[index] !== -1) continue;
    let handle = macHandle(roster.members[index]?.vnic.mac as Mac);
    while (used.has(handle)) handle = handle === 0x7fffffff ? 1 : handle + 1;
    used.add(handle);
    handles[index] = handle;
  }
  return handles;
}

/** Handles of the filters of the host's own addresses, unique among them, same order. */
export function hostHandles(macs: readonly Mac[]): number[] {
  const used = new Set<number>();
  return macs.map((mac) => {
    let handle = macHandle(mac);
    while (used.has(handle)) handle = handle === 0x7fffffff ? 1 : handle + 1;
    used.add(handle);
    return handle;
  });
}

/** A handle for an address by an interface, unique among those in `used`, to which it is added. */
export function freeHandle(mac: Mac, ifindex: number, used: Set<number>): number {
  let handle = (macHandle(mac) ^ (ifindex & 0xffff)) % 0x7fffffff || 1;
  while (used.has(handle)) handle = handle === 0x7fffffff ? 1 : handle + 1;
  used.add(handle);
  return handle;
}

function macHandle(mac: Mac): number {
  const view = new DataView(macBytes(mac).buffer);
  return view.getUint32(2) % 0x7fffffff || 1;
}

/**
 * Queue ids of a team's ports, unique, 1 to 15: those they have, else the lowest free.
 * @param others ports that aren't ours to change: what they have is taken
 * @returns by uplink name; ports beyond the fifteenth get none
 */
export function assignQueueIds(
  uplinks: readonly UplinkState[],
  others: readonly UplinkState[],
): Map<string, number> {
  const ids = new Map<string, number>();
  const used = new Set(others.map((other) => other.queueId));
  for (const { name, queueId } of uplinks) {
    if (queueId < 1 || queueId > MAX_QUEUE_ID || used.has(queueId)) continue;
    ids.set(name, queueId);
    used.add(queueId);
  }
  let next = 1;
  for (const { name } of uplinks) {
    if (ids.has(name)) continue;
    while (used.has(next)) next += 1;
    if (next > MAX_QUEUE_ID) continue;
    used.add(next);
    ids.set(name, next);
  }
  return ids;
}
