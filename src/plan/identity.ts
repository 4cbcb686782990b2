/**
 * Numbers that identify objects in the kernel: class minors, filter handles, queue ids. What the kernel has is
 * kept; new ones are the lowest free, so that the same world always gives the same numbers.
 */
import {
  FIRST_VNIC_MINOR,
  type KernelMap,
  LAST_VNIC_MINOR,
  MAX_QUEUE_ID,
} from "../model/kernel.ts";
import { type Mac, macBytes } from "../model/mac.ts";
import type { UplinkState } from "../model/world.ts";
import type { Placed } from "./placement.ts";
import { htbPrio } from "./priority.ts";

/**
 * The minor of each vNIC. A vNIC whose priority changed gets a new one: HTB ignores a change of prio while a
 * class is backlogged (sch_htb.c: the class stays in its old row), so the filter moves to a fresh class.
 * @returns one a member, same order; null where no minor is left
 */
export function assignMinors(
  placed: readonly Placed[],
  kernel: KernelMap,
  bond: string,
): (number | null)[] {
  const used = minorsOfOthers(placed, kernel, bond);
  const minors = placed.map((member) => {
    const present = member.vnic.kernel?.minor;
    if (present === undefined || present < FIRST_VNIC_MINOR || present > LAST_VNIC_MINOR)
      return null;
    const device = member.vnic.kernel?.via ?? member.vnic.kernel?.home ?? "";
    const object = kernel.get(`class ${device} 7570:${present.toString(16)}`);
    const stale = object?.kind === "class" && object.prio !== htbPrio(member.vnic.policy.priority);
    // The old class keeps its number until the filter has moved off it.
    if (stale) used.add(present);
    if (stale || used.has(present)) return null;
    used.add(present);
    return present;
  });
  let next = FIRST_VNIC_MINOR;
  return minors.map((minor) => {
    if (minor !== null) return minor;
    while (used.has(next)) next += 1;
    if (next > LAST_VNIC_MINOR) return null;
    used.add(next);
    return next;
  });
}

/** Minors of MACs that have a filter but are not being placed: libvirt may not have told of them yet. */
function minorsOfOthers(placed: readonly Placed[], kernel: KernelMap, bond: string): Set<number> {
  const own = new Set<string>(placed.map(({ vnic }) => vnic.mac));
  const used = new Set<number>();
  for (const object of kernel.values()) {
    if (object.kind === "vnic" && object.device === bond && !own.has(object.mac)) {
      used.add(object.minor);
    }
  }
  return used;
}

/**
 * The filter handle of each vNIC, unique within the team. It stays with the MAC while its filter stands, since
 * flower can't change a handle in place; a new one comes from the MAC's last four bytes.
 */
export function assignHandles(placed: readonly Placed[]): number[] {
  const used = new Set<number>();
  for (const { vnic } of placed) if (vnic.kernel !== null) used.add(vnic.kernel.handle);
  return placed.map(({ vnic }) => {
    if (vnic.kernel !== null) return vnic.kernel.handle;
    let handle = macHandle(vnic.mac);
    while (used.has(handle)) handle = handle === 0x7fffffff ? 1 : handle + 1;
    used.add(handle);
    return handle;
  });
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
