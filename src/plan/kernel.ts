/** The kernel objects of a plan: all of them, or as what differs from those of another plan. */
import type { TeamConfig } from "../model/config.ts";
import { type KernelMap, type KernelObject, kernelKey } from "../model/kernel.ts";
import { changeMap } from "../model/kernel-delta.ts";
import { sameObject } from "../model/same-object.ts";
import {
  isGuarded,
  listSpecial,
  makeTeamObjects,
  type Selection,
  selectAll,
  type TeamObjectsInput,
  WANTED,
} from "./objects.ts";
import type { Member } from "./roster.ts";
import { sameWiring } from "./steering.ts";
import type { TeamResult } from "./team.ts";

/** Makes all objects of the managed teams. */
export function makeKernel(results: readonly TeamResult[]): KernelMap {
  const kernel = new Map<string, KernelObject>();
  const put = (object: KernelObject) => kernel.set(kernelKey(object), object);
  for (const { objects } of results) makeTeamObjects(objects, put, selectAll(objects));
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
  for (const { old, now, origins } of changes) {
    const flags = compareVnics(old.objects, now.objects, origins);
    makeTeamObjects(
      old.objects,
      (object) => former.add(kernelKey(object)),
      select(flags.old, old.objects),
    );
    makeTeamObjects(
      now.objects,
      (object) => {
        const key = kernelKey(object);
        const present = base.get(key);
        former.delete(key);
        if (present === undefined || !sameObject(present, object)) changed.set(key, object);
      },
      select(flags.now, now.objects),
    );
  }
  return changeMap(base, changed, former);
}

/** Whether bond and uplinks are known to the kernel by the same names and numbers, and limit vNICs alike. */
function sameFrame(old: TeamObjectsInput, now: TeamObjectsInput): boolean {
  return (
    old.team.bond?.name === now.team.bond?.name &&
    old.team.bond?.ifindex === now.team.bond?.ifindex &&
    sameWiring(old.team, now.team) &&
    sameSources(old.team.config, now.team.config) &&
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

function sameSources({ sources: old }: TeamConfig, { sources: now }: TeamConfig): boolean {
  return old.forged === now.forged && old.unregistered === now.unregistered;
}

/** What is wanted of each vNIC's objects; null: nothing of any. */
interface Flags {
  readonly old: Uint8Array | null;
  readonly now: Uint8Array;
}

/** Those with a flag, and those whose shared actions have to be named in any case. */
function select(flags: Uint8Array | null, objects: TeamObjectsInput): Selection {
  const special = listSpecial(objects);
  const wantedOf = (index: number) => flags?.[index] ?? WANTED.nothing;
  if (flags === null) return { indexes: special, wantedOf };
  const chosen = flags.slice();
  for (const index of special) chosen[index] = 1;
  const indexes: number[] = [];
  for (let index = 0; index < chosen.length; index += 1)
    if (chosen[index] !== 0) indexes.push(index);
  return { indexes, wantedOf };
}

/** Tells what of each vNIC's objects may differ; of the old plan those that others, or none, have the keys of now. */
function compareVnics(
  was: TeamObjectsInput,
  is: TeamObjectsInput,
  origins: Int32Array | null,
): Flags {
  const now = new Uint8Array(is.minors.length);
  let old: Uint8Array | null = null;
  const goes = (at: number): void => {
    old ??= new Uint8Array(was.minors.length);
    old[at] = WANTED.all;
  };
  if (origins !== null) {
    const stays = new Uint8Array(was.minors.length);
    for (let index = 0; index < origins.length; index += 1) {
      const at = origins[index] as number;
      if (at >= 0) stays[at] = 1;
      else {
        now[index] = WANTED.all;
        // Of as many vNICs as before, one that merely wants something else stands in its own place.
        if (sameKeys(was.roster.members[index], is.roster.members[index])) stays[index] = 1;
      }
    }
    for (let at = 0; at < stays.length; at += 1) if (stays[at] === 0) goes(at);
  }
  const compare = (a: Column | null, b: Column | null, wanted: number): void => {
    if (a === b && origins === null) return;
    for (let index = 0; index < now.length; index += 1) {
      const at = origins === null ? index : (origins[index] as number);
      if (at >= 0 && (a === null ? 0 : a[at]) !== (b === null ? 0 : b[index]))
        now[index] = (now[index] as number) | wanted;
    }
  };
  for (const [place, { rates }] of is.grants.entries())
    compare(was.grants[place]?.rates ?? null, rates, WANTED.classes);
  compare(was.discarded, is.discarded, WANTED.classes);
  compare(was.discardedWhenDisplaced, is.discardedWhenDisplaced, WANTED.classes);
  compare(was.placement.homes, is.placement.homes, WANTED.all);
  compare(was.placement.vias, is.placement.vias, WANTED.filter);
  compare(was.handles, is.handles, WANTED.all);
  compare(was.taps, is.taps, WANTED.filter);
  for (let index = 0; index < now.length; index += 1) {
    const at = origins === null ? index : (origins[index] as number);
    // Who isn't at home has an action of its own unless the fallback carries it, and that may have moved; and what
    // is discarded while displaced isn't while it merely waits to go home.
    if (!isHome(is, index) || (at >= 0 && !isHome(was, at)))
      now[index] = (now[index] as number) | WANTED.filter | discards(is, index);
    const before = at >= 0 ? at : index;
    if (was.minors[before] === is.minors[index]) continue;
    now[index] = WANTED.all;
    if (before < was.minors.length) goes(before);
  }
  return { old, now };
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
    one.vnic.isMacvtap === other.vnic.isMacvtap &&
    (one.vnic.policy.inbound === undefined) === (other.vnic.policy.inbound === undefined) &&
    (one.domain.phase === "incoming") === (other.domain.phase === "incoming")
  );
}

type Column = Float64Array | Int16Array | Uint8Array;
