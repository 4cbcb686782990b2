/** How the host was before our first change, kept for a release to bring back. */
import { StateError } from "../model/errors.ts";
import type { Step } from "../model/step.ts";
import type { World } from "../model/world.ts";
import type { Journal } from "./journal.ts";
import { findUnsaved } from "./unsaved.ts";

/** Saves what is about to be changed and carries no owner's mark. @returns the error that forbids to go on */
export function saveBefore(
  journal: Journal,
  world: World,
  steps: readonly Step[],
): StateError | null {
  const { before, clsactCreated } = journal.contents;
  const { added, created } = findUnsaved(world, steps, journal.contents);
  if (added.length === 0 && created.length === 0) return null;
  try {
    journal.write({
      before: [...before, ...added],
      clsactCreated: [...clsactCreated, ...created],
    });
    return null;
  } catch (error) {
    if (error instanceof StateError) return error;
    throw error;
  }
}
