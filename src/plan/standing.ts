/** What stands in the kernel, by numbers: read once a snapshot, asked for every vNIC. */
import { type KernelMap, LAST_VNIC_MINOR, type VnicFilter } from "../model/kernel.ts";

interface Standing {
  /** HTB prio by device and minor; -1 for no class. */
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
  for (const object of kernel.values()) {
    if (object.kind === "vnic") filters.push(object);
    else if (object.kind === "class" && object.minor <= LAST_VNIC_MINOR) {
      let column = prios.get(object.device);
      if (column === undefined) {
        column = new Int8Array(LAST_VNIC_MINOR + 1).fill(-1);
        prios.set(object.device, column);
      }
      column[object.minor] = object.prio;
    }
  }
  const standing = { prios, filters };
  READ.set(kernel, standing);
  return standing;
}
