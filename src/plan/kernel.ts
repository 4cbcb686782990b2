/** The kernel objects of a plan: all of them, or as what differs from those of another plan. */
import { type KernelMap, type KernelObject, kernelKey } from "../model/kernel.ts";
import { changeMap } from "../model/kernel-delta.ts";
import { sameObject } from "../model/same-object.ts";
import { isGuarded, makeTeamObjects, type TeamObjectsInput, WANTED } from "./objects.ts";
import type { Member } from "./roster.ts";
import type { TeamResult } from "./team.ts";

/** Makes all objects of the managed teams. */
export function makeKernel(results: readonly TeamResult[]): KernelMap {
  const kernel = new Map<string, KernelObject>();
  const put = (object: KernelObject) => kernel.set(kernelKey(object), object);
  for (const { objects } of results) makeTeamObjects(objects, put, () => WANTED.all);
  return kernel;
}

/** Two plans of one team. */
export interface TeamChange {
  readonly old: TeamResult;
  readonly now: TeamResult;
  /** The place of each vNIC in the old plan, -1 for what is new or has changed; null: each at its own place, unchanged. */
  readonly origins: Int32Array | null;
}

/**
 * The objects of all `now`, told as a change of those of all `old` where teams and uplinks have kept what identifies
 * them in the kernel.
 * @param base the objects of all `old`
 */
export function changeKernel(base: KernelMap, changes: readonly TeamChange[]): KernelMap {
  if (!changes.every(({ old, now }) => sameFrame(old.objects, now.objects)))
    return makeKernel(changes.map(({ now }) => now));
  const changed = new Map<string, KernelObject>();
  const former = new Set<string>();
  const kept = new Set<string>();
  for (const { old, now, origins } of changes) {
    const flags = compareVnics(old, now, origins);
    makeTeamObjects(
      old.objects,
      (object) => former.add(kernelKey(object)),
      (at) => flags.old?.[at] ?? 0,
    );
    makeTeamObjects(
      now.objects,
      (object) => {
        const key = kernelKey(object);
        const present = base.get(key);
        kept.add(key);
        if (present === undefined || !sameObject(present, object)) changed.set(key, object);
      },
      (index) => flags.now[index] as number,
    );
  }
  for (const key of kept) former.delete(key);
  return changeMap(base, changed, former);
}

/** Whether bond and uplinks are known to the kernel by the same names and numbers, and limit vNICs alike. */
function sameFrame(old: TeamObjectsInput, now: TeamObjectsInput): boolean {
  return (
    old.team.bond?.name === now.team.bond?.name &&
    old.team.bond?.ifindex === now.team.bond?.ifindex &&
    old.uplinks.length === now.uplinks.length &&
    now.uplinks.every((entry, place) => {
      const match = old.uplinks[place];
      return (
        match?.uplink.name === entry.uplink.name &&
        match.uplink.ifindex === entry.uplink.ifindex &&
        match.managed === entry.managed &&
        match.capacityBitsPerSecond === entry.capacityBitsPerSecond &&
        isGuarded(old.team, match) === isGuarded(now.team, entry) &&
        old.queueIds.get(entry.uplink.name) === now.queueIds.get(entry.uplink.name)
      );
    })
  );
}

/** What is wanted of each vNIC's objects, of the old plan null for nothing. */
interface Flags {
  readonly old: Uint8Array | null;
  readonly now: Uint8Array;
}

/** Tells what of each vNIC's objects may differ; of the old plan those of whom others have the keys, or nobody. */
function compareVnics(old: TeamResult, now: TeamResult, origins: Int32Array | null): Flags {
  const [was, is] = [old.objects, now.objects];
  const flags = { old: null as Uint8Array | null, now: new Uint8Array(is.minors.length) };
  const gone = () => {
    flags.old ??= new Uint8Array(was.minors.length);
    return flags.old;
  };
  if (origins !== null) {
    const { members } = was.roster;
    const stays = new Uint8Array(was.minors.length);
    for (let index = 0; index < origins.length; index += 1) {
      const at = origins[index] as number;
      if (at >= 0) stays[at] = 1;
      else {
        flags.now[index] = WANTED.all;
        // Of as many vNICs as before, one that merely wants something else stands in its own place.
        if (sameKeys(members[index], is.roster.members[index])) stays[index] = 1;
      }
    }
    for (let at = 0; at < stays.length; at += 1) if (stays[at] === 0) gone()[at] = WANTED.all;
  }
  const compare = (a: Column | null, b: Column | null, wanted: number): void => {
    if (a === b && origins === null) return;
    for (let index = 0; index < flags.now.length; index += 1) {
      const at = origins === null ? index : (origins[index] as number);
      if (at >= 0 && (a?.[at] ?? 0) !== (b?.[index] ?? 0))
        flags.now[index] = (flags.now[index] as number) | wanted;
    }
  };
  for (const [place, { rates }] of is.grants.entries())
    compare(was.grants[place]?.rates ?? null, rates, WANTED.classes);
  compare(was.discarded, is.discarded, WANTED.classes);
  compare(was.discardedWhenDisplaced, is.discardedWhenDisplaced, WANTED.classes);
  compare(was.placement.homes, is.placement.homes, WANTED.all);
  compare(was.placement.vias, is.placement.vias, WANTED.filter);
  compare(was.handles, is.handles, WANTED.all);
  for (let index = 0; index < flags.now.length; index += 1) {
    const at = origins === null ? index : (origins[index] as number);
    // Who isn't at home has an action of its own unless the fallback carries it, and that may have moved; and what
    // is discarded while displaced isn't while it merely waits to go home.
    if (!isHome(is, index) || (at >= 0 && !isHome(was, at)))
      flags.now[index] = (flags.now[index] as number) | WANTED.filter | discards(is, index);
    const before = at >= 0 ? at : index;
    if (was.minors[before] === is.minors[index]) continue;
    flags.now[index] = WANTED.all;
    if (before < was.minors.length) gone()[before] = WANTED.all;
  }
  return flags;
}

function isHome({ placement }: TeamObjectsInput, index: number): boolean {
  return placement.homes[index] === placement.vias[index];
}

function discards({ discardedWhenDisplaced }: TeamObjectsInput, index: number): number {
  return discardedWhenDisplaced?.[index] === 1 ? WANTED.classes : WANTED.nothing;
}

/** Whether two vNICs' objects have the same keys as long as their minors are the same. */
function sameKeys(one: Member | undefined, other: Member | undefined): boolean {
  return (
    one !== undefined &&
    one.vnic.mac === other?.vnic.mac &&
    (one.domain.phase === "incoming") === (other.domain.phase === "incoming")
  );
}

type Column = Float64Array | Int16Array | Uint8Array;
