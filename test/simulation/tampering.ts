/** What somebody else's program does to our kernel objects. */

import { isMarked } from "../../src/diff/diff.ts";
import { type KernelObject, kernelKey } from "../../src/model/kernel.ts";
import type { Happening } from "./event.ts";
import type { Simulation } from "./simulation.ts";

/** Somebody's tc and ip. */
export function tamper(
  simulation: Simulation,
  { at, how }: Extract<Happening, { readonly kind: "tampering" }>,
): void {
  const { kernel } = simulation;
  const choices = tamperable(simulation);
  const object = choices[at % Math.max(1, choices.length)];
  if (object === undefined) return;
  if ("device" in object) simulation.watcher.noteReplaced(object.device);
  if (how === "delete") kernel.remove(object);
  else if (object.kind === "class") {
    const rateBitsPerSecond = Math.max(8, object.rateBitsPerSecond / 2);
    kernel.objects.set(kernelKey(object), { ...object, rateBitsPerSecond });
  }
  simulation.watcher.noteFault();
  simulation.tellTrafficControl();
}

/** Somebody's program that wants an object away, until it has had its way so often, or a rest ends all faults. */
export function contest(
  simulation: Simulation,
  { at, times, everyMs }: Extract<Happening, { readonly kind: "contest" }>,
): void {
  const { kernel, clock } = simulation;
  const choices = tamperable(simulation);
  const object = choices[at % Math.max(1, choices.length)];
  if (object === undefined) return;
  const round = simulation.rests;
  const strike = (left: number) => {
    if (left === 0 || simulation.rests > round) return;
    const present = kernel.objects.get(kernelKey(object));
    if (present !== undefined) {
      if ("device" in present) simulation.watcher.noteReplaced(present.device);
      kernel.remove(present);
      simulation.watcher.noteFault();
      simulation.tellTrafficControl();
    }
    clock.after(everyMs, () => strike(left - 1));
  };
  strike(times);
}

function tamperable({ kernel }: Simulation): readonly KernelObject[] {
  return [...kernel.objects.values()].filter(
    (object) => isMarked(object) && object.kind !== "uplink-action",
  );
}
