/** What steps are about to change that carries no owner's mark and isn't saved yet. Pure. */
import { isMarked } from "../diff/diff.ts";
import { type KernelMap, kernelKey } from "../model/kernel.ts";
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

/** How things were before uplinkd: as saved, or as they most likely were where the journal that knew it was lost. */
export function knownBefore(
  contents: Pick<JournalContents, "before" | "clsactCreated" | "lost">,
  kernel: KernelMap,
): Pick<JournalContents, "before" | "clsactCreated"> {
  const { before, clsactCreated } = contents;
  if (contents.lost === null) return { before, clsactCreated };
  const ours = new Set<string>();
  for (const object of kernel.values())
    if ("device" in object && isMarked(object)) ours.add(object.device);
  // Where somebody else's qdisc stands in our place we have given up our marks, not the queue id.
  if (ours.size > 0)
    for (const object of kernel.values())
      if (object.kind === "port-queue" && object.queueId > 0) ours.add(object.device);
  const assumed: UnmarkedObject[] = [];
  const created: string[] = [];
  for (const object of kernel.values()) {
    // An empty clsact does nothing, and one that others have filters in is left in any case.
    if (object.kind === "clsact" && ours.size > 0) created.push(object.device);
    // On what carries our marks the kernel's defaults. Of a bond's updelay and active port nothing is assumed.
    if (!("device" in object) || !ours.has(object.device)) continue;
    if (object.kind === "port-queue") assumed.push({ ...object, queueId: 0 });
    if (object.kind === "promiscuity") assumed.push({ ...object, on: false });
  }
  return { before: assumed, clsactCreated: created };
}
