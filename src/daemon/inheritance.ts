/**
 * What an earlier run of the daemon left in the kernel: before libvirt has told of all domains, what no domain
 * claims may still be some domain's, and is left as it stands.
 */
import type { KernelMap, KernelObject } from "../model/kernel.ts";
import { kernelKey } from "../model/kernel.ts";
import type { Mac } from "../model/mac.ts";
import type { Step } from "../model/step.ts";

export class Inheritance {
  /** MACs that had a filter at the first look and that no domain has claimed since; null: not looked yet. */
  #macs: Set<Mac> | null = null;

  /** Whether everything has found its owner or is taken away. */
  settled = false;

  /** A domain with these has ended: what it left isn't inherited. */
  disown(macs: readonly Mac[]): void {
    for (const mac of macs) this.#macs?.delete(mac);
  }

  /** Leaves out the steps that would take away what is inherited. */
  spare(steps: readonly Step[], present: KernelMap, desired: KernelMap): readonly Step[] {
    const filters = [...present.values()].filter((object) => object.kind === "vnic");
    this.#macs ??= new Set(filters.map((filter) => filter.mac));
    const macs = this.#macs;
    for (const object of desired.values()) if (object.kind === "vnic") macs.delete(object.mac);
    const minors = new Set(
      filters.filter((filter) => macs.has(filter.mac)).map((filter) => filter.minor),
    );
    return steps.filter(
      (step) =>
        step.op !== "delete" ||
        desired.has(kernelKey(step.object)) ||
        !belongsTo(step.object, macs, minors),
    );
  }
}

function belongsTo(
  object: KernelObject,
  macs: ReadonlySet<Mac>,
  minors: ReadonlySet<number>,
): boolean {
  switch (object.kind) {
    case "vnic":
    case "reflection":
    case "redirect":
    case "inbound":
      return macs.has(object.mac);
    case "class":
    case "leaf":
      return minors.has(object.minor);
    case "uplink-action":
    case "port-action":
      return macs.size > 0;
    default:
      return false;
  }
}
