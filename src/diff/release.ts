/** The steps that take everything of ours away and put back what was. Pure. */
import { type KernelMap, type KernelObject, kernelKey } from "../model/kernel.ts";
import type { Step } from "../model/step.ts";
import { isMarked, sortSteps, withoutVanishing } from "./diff.ts";

/**
 * The exact reverse of installing, so that traffic flows after each step.
 * @param before the saved values of settings without an owner's mark
 * @param clsactCreated devices whose clsact is ours
 */
export function diffRelease(
  present: KernelMap,
  before: readonly KernelObject[],
  clsactCreated: readonly string[],
): Step[] {
  const steps: Step[] = [];
  for (const object of before) {
    const now = present.get(kernelKey(object));
    // A device that is gone needs nothing put back.
    if (now === undefined || JSON.stringify(now) === JSON.stringify(object)) continue;
    steps.push({ op: "change", object, before: now });
  }
  for (const object of present.values()) {
    const ours =
      object.kind === "clsact" ? clsactCreated.includes(object.device) : isMarked(object);
    if (ours) steps.push({ op: "delete", object });
  }
  return sortSteps(withoutVanishing(steps), -1);
}
