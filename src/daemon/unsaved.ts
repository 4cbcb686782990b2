/** What steps are about to change that carries no owner's mark and isn't saved yet. Pure. */
import { kernelKey } from "../model/kernel.ts";
import type { Step } from "../model/step.ts";
import type { World } from "../model/world.ts";
import { isUnmarked, type JournalContents, type UnmarkedObject } from "./journal.ts";

/** @returns how it is now, and the devices that get their clsact from us */
export function findUnsaved(
  world: World,
  steps: readonly Step[],
  { before, clsactCreated }: Pick<JournalContents, "before" | "clsactCreated">,
): { readonly added: readonly UnmarkedObject[]; readonly created: readonly string[] } {
  const known = new Set(before.map((object) => kernelKey(object)));
  const added: UnmarkedObject[] = [];
  const created: string[] = [];
  for (const step of steps) {
    const { object } = step;
    if (object.kind === "clsact" && step.op === "add" && !clsactCreated.includes(object.device)) {
      created.push(object.device);
    }
    if (!isUnmarked(object) || known.has(kernelKey(object))) continue;
    const present = world.kernel.get(kernelKey(object));
    if (present !== undefined && isUnmarked(present)) added.push(present);
  }
  return { added, created };
}
