/** The kernel objects of a plan: all of them, or as what differs from those of another plan. */
import { type KernelMap, type KernelObject, kernelKey } from "../model/kernel.ts";
import { KernelDelta } from "../model/kernel-delta.ts";
import { sameObject } from "../model/same-object.ts";
import { makeTeamObjects, type TeamObjectsInput, WANTED } from "./objects.ts";
import type { TeamResult } from "./team.ts";

/** Makes all objects of the managed teams. */
export function makeKernel(results: readonly TeamResult[]): KernelMap {
  const kernel = new Map<string, KernelObject>();
  const put = (object: KernelObject) => kernel.set(kernelKey(object), object);
  for (const { objects } of results) makeTeamObjects(objects, put, () => WANTED.all);
  return kernel;
}

/**
 * The same objects, told as a change of another plan's where vNICs and uplinks have kept their numbers.
 * @param base the objects of `before`
 */
export function changeKernel(
  base: KernelMap,
  before: readonly TeamResult[],
  after: readonly TeamResult[],
): KernelMap {
  const pairs = after.map((result, place) => ({
    now: result.objects,
    old: before[place]?.objects,
  }));
  const changed = new Map<string, KernelObject>();
  const kept = new Set<string>();
  const shared = new Set<string>();
  for (const { now, old } of pairs) {
    if (old === undefined || !sameNumbers(old, now)) return makeKernel(after);
    const isTouched = touched(old, now);
    makeTeamObjects(old, (object) => isShared(object) && shared.add(kernelKey(object)), nobody);
    makeTeamObjects(
      now,
      (object) => {
        const key = kernelKey(object);
        const present = base.get(key);
        if (isShared(object)) kept.add(key);
        if (present === undefined || !sameObject(present, object)) changed.set(key, object);
      },
      isTouched,
    );
  }
  // In the order of the base, since steps that delete follow it.
  const removed = [...shared].filter((key) => !kept.has(key));
  return new KernelDelta(base, changed, new Set(removed));
}

const nobody = () => WANTED.nothing;

/** What is there or not with where vNICs go; everything else is there with the vNIC or the uplink itself. */
function isShared(object: KernelObject): boolean {
  return object.kind === "uplink-action" || object.kind === "active-port";
}

function sameNumbers(old: TeamObjectsInput, now: TeamObjectsInput): boolean {
  return (
    old.grants.length === now.grants.length &&
    old.minors.every((minor, index) => minor === now.minors[index]) &&
    [...old.queueIds].every(([uplink, id]) => now.queueIds.get(uplink) === id)
  );
}

/** Tells what of each vNIC's objects may differ. */
function touched(old: TeamObjectsInput, now: TeamObjectsInput): (index: number) => number {
  const flags = new Uint8Array(now.minors.length);
  const compare = (a: Column | null, b: Column | null, wanted: number): void => {
    if (a === b) return;
    for (let index = 0; index < flags.length; index += 1)
      if ((a?.[index] ?? 0) !== (b?.[index] ?? 0)) flags[index] = (flags[index] as number) | wanted;
  };
  for (const [place, { rates }] of now.grants.entries())
    compare(old.grants[place]?.rates ?? null, rates, WANTED.classes);
  compare(old.discarded, now.discarded, WANTED.classes);
  compare(old.discardedWhenDisplaced, now.discardedWhenDisplaced, WANTED.classes);
  compare(old.placement.homes, now.placement.homes, WANTED.all);
  compare(old.placement.vias, now.placement.vias, WANTED.filter);
  compare(old.handles, now.handles, WANTED.all);
  // Who isn't at home has an action of its own unless the fallback carries it, and that may have moved.
  compare(now.placement.homes, now.placement.vias, WANTED.classes | WANTED.filter);
  compare(old.placement.homes, old.placement.vias, WANTED.classes | WANTED.filter);
  return (index) => flags[index] as number;
}

type Column = Float64Array | Int16Array | Uint8Array;
