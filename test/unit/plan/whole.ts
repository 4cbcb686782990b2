/** Whether what filters name stands. */
import assert from "node:assert/strict";
import { type KernelMap, kernelKey } from "../../../src/model/kernel.ts";
import { DEFAULT_MINOR } from "../../../src/model/layout.ts";

/** As much of a class as its key is made of. */
export function classAt(device: string, minor: number) {
  return { kind: "class", device, minor } as unknown as Parameters<typeof kernelKey>[0];
}

/** Who has our root qdisc. */
export function devicesOf(kernel: KernelMap): string[] {
  return [...kernel.values()].flatMap((object) => (object.kind === "htb" ? [object.device] : []));
}

/** Each vNIC's filter names a class with a queue on each of these uplinks; so does the catch-all, if only by HTB's default. */
export function assertWhole(kernel: KernelMap, devices = devicesOf(kernel)): void {
  for (const object of kernel.values()) {
    if (object.kind === "control") {
      const key = kernelKey(classAt(object.device, object.minor));
      assert.ok(kernel.has(key), `${kernelKey(object)} without ${key}`);
    }
    if (object.kind !== "vnic" && object.kind !== "catch-all") continue;
    if (object.kind === "vnic") {
      const kind = object.steering === "redirect" ? "port-action" : "uplink-action";
      const action = `${kind} ${object.actionIndex.toString(16)}`;
      assert.ok(kernel.has(action), `no ${action}`);
    }
    for (const device of devices) {
      const key = kernelKey(classAt(device, object.minor ?? DEFAULT_MINOR));
      assert.ok(kernel.has(key), `${object.kind} without ${key}`);
      assert.ok(kernel.has(key.replace("class", "leaf")), `${key} without its leaf`);
    }
  }
}
