/** What somebody else has changed of ours, as against what a new plan changes. Pure. */
import { isDeepStrictEqual } from "node:util";
import { type KernelMap, type KernelObject, kernelKey } from "../model/kernel.ts";
import type { Step } from "../model/step.ts";

/** So many are named; the rest is counted. */
const MAX_NAMED = 8;

/** One thing that somebody else did. */
export interface Tampering {
  /** Key of the kernel object. */
  readonly object: string;
  readonly word: "gone" | "changed" | "added";
}

/**
 * @param settled what stood in the kernel, verified, at the end of the last run
 * @param steps what this run has to do, which tells of what stands there now where that is to go or to change
 * @returns what the plan alone doesn't explain
 */
export function findTampering(settled: KernelMap, steps: readonly Step[]): readonly Tampering[] {
  const deleted = new Set(
    steps.flatMap(({ op, object }) => (op === "delete" ? [kernelKey(object)] : [])),
  );
  return steps.flatMap((step) => {
    const object = kernelKey(step.object);
    const word = whatHappened(settled.get(object), step, deleted.has(object));
    return word === null ? [] : [{ object, word }];
  });
}

/**
 * The story of it for people, or null where there is none.
 * @param who it is likely to be that changes an object; what changes many at once is one, so the first is asked about
 */
export function describeTampering(
  changes: readonly Tampering[],
  who: (object: string) => string,
): string | null {
  // A shared action is no device's, and nobody says of one that it has it.
  const first = changes.find(({ object }) => !/^(uplink|port)-action /.test(object)) ?? changes[0];
  if (first === undefined) return null;
  const named = changes.map(({ object, word }) => `${object} was ${word}`);
  const rest = named.length > MAX_NAMED ? ` and ${named.length - MAX_NAMED} more` : "";
  return `somebody else's change is undone: ${named.slice(0, MAX_NAMED).join(", ")}${rest}; likely ${who(first.object)}`;
}

/** What names an interface that is gone, which the kernel has forgotten by itself. */
function isLeftBehind(object: KernelObject): boolean {
  switch (object.kind) {
    case "passed-on":
    case "forged":
    case "declared":
      return object.from === null;
    case "vnic":
      return object.from === "";
    default:
      return false;
  }
}

function whatHappened(
  before: KernelObject | undefined,
  step: Step,
  isRebuilt: boolean,
): "gone" | "changed" | "added" | null {
  // Bonding moves it by itself.
  if (step.object.kind === "active-port") return null;
  switch (step.op) {
    case "add":
      return before === undefined || isRebuilt ? null : "gone";
    case "change":
      if (isLeftBehind(step.before)) return null;
      return before === undefined || isDeepStrictEqual(before, step.before) ? null : "changed";
    case "delete":
      // An interface that is gone leaves its filter behind, and the kernel forgets its name.
      if (isLeftBehind(step.object)) return null;
      if (before === undefined) return "added";
      return isDeepStrictEqual(before, step.object) ? null : "changed";
  }
}
