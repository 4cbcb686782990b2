/** What stands in the kernel, by numbers: read once a snapshot, asked for every vNIC. */
import type { HtbClass, KernelMap, VnicFilter } from "../model/kernel.ts";
import { LAST_VNIC_MINOR } from "../model/layout.ts";

interface Standing {
  /** HTB prio by device and minor; -1 for no class, and none beyond the last minor that stands. */
  readonly prios: ReadonlyMap<string, Int8Array>;
  readonly filters: readonly VnicFilter[];
}

/** Snapshots are never changed; what was read of one is forgotten with it. */
const READ = new WeakMap<KernelMap, Standing>();

/** Reads a snapshot. */
export function readStanding(kernel: KernelMap): Standing {
  const known = READ.get(kernel);
  if (known !== undefined) return known;
  const prios = new Map<string, Int8Array>();
  const filters: VnicFilter[] = [];
  const classes: HtbClass[] = [];
  let last = 0;
  for (const object of kernel.values()) {
    if (object.kind === "vnic") filters.push(object);
    else if (object.kind === "class" && object.minor <= LAST_VNIC_MINOR) {
      classes.push(object);
      last = Math.max(last, object.minor);
    }
  }
  for (const { device, minor, prio } of classes) {
    let column = prios.get(device);
    if (column === undefined) {
      column = new Int8Array(last + 1).fill(-1);
      prios.set(device, column);
    }
    column[minor] = prio;
  }
  const standing = { prios, filters };
  READ.set(kernel, standing);
  return standing;
}
