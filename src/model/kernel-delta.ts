/** A kernel map told as another one and what differs, so that nobody compares what is the same by construction. */
import type { KernelMap, KernelObject } from "./kernel.ts";
import { sameObject } from "./same-object.ts";

/**
 * A map that differs from its base by more than this part of it is told as a whole: each further change copies what
 * differs already.
 */
const MOST_CHANGED_PART = 1 / 32;
/** Copying so little costs nothing, whatever the base. */
const FEW = 1000;

/**
 * A map and what differs from it.
 * @param base itself a whole map or a delta; what comes back has a whole one below it, never a chain
 * @param changed what is new or differs from the base
 * @param removed keys of what is gone; none of them in `changed`
 */
export function changeMap(
  base: KernelMap,
  changed: ReadonlyMap<string, KernelObject>,
  removed: ReadonlySet<string>,
): KernelMap {
  if (changed.size + removed.size === 0) return base;
  if (!(base instanceof KernelDelta)) return new KernelDelta(base, changed, removed);
  const whole = base.base;
  const allChanged = new Map(base.changed);
  const allRemoved = new Set(base.removed);
  for (const key of removed) {
    allChanged.delete(key);
    if (whole.has(key)) allRemoved.add(key);
  }
  for (const [key, object] of changed) {
    allRemoved.delete(key);
    const former = whole.get(key);
    if (former !== undefined && sameObject(former, object)) allChanged.delete(key);
    else allChanged.set(key, object);
  }
  const delta = new KernelDelta(whole, allChanged, allRemoved);
  const differing = allChanged.size + allRemoved.size;
  return differing <= Math.max(FEW, whole.size * MOST_CHANGED_PART) ? delta : new Map(delta);
}

/**
 * Keys of what may differ between two maps that are told by the same whole one, in the order in which `to` would have
 * been made; null where they aren't, and everything may differ.
 */
export function differingKeys(from: KernelMap, to: KernelMap): Iterable<string> | null {
  if (wholeOf(from) !== wholeOf(to)) return null;
  const keys = new Set<string>();
  for (const map of [to, from]) {
    if (!(map instanceof KernelDelta)) continue;
    for (const key of map.changed.keys()) keys.add(key);
    for (const key of map.removed) keys.add(key);
  }
  return keys;
}

/** The whole map that one is told by; itself where it is whole. */
export function wholeOf(map: KernelMap): KernelMap {
  return map instanceof KernelDelta ? map.base : map;
}

export class KernelDelta implements KernelMap {
  /** Whole, never a delta itself. */
  readonly base: KernelMap;
  /** What is new or differs, in the order in which the whole map would have been made. */
  readonly changed: ReadonlyMap<string, KernelObject>;
  /** Keys of the base's objects that are not in this map. */
  readonly removed: ReadonlySet<string>;
  readonly size: number;

  constructor(
    base: KernelMap,
    changed: ReadonlyMap<string, KernelObject>,
    removed: ReadonlySet<string>,
  ) {
    this.base = base;
    this.changed = changed;
    this.removed = removed;
    let added = 0;
    for (const key of changed.keys()) if (!base.has(key)) added += 1;
    this.size = base.size - removed.size + added;
  }

  get(key: string): KernelObject | undefined {
    return this.removed.has(key) ? undefined : (this.changed.get(key) ?? this.base.get(key));
  }

  has(key: string): boolean {
    return !this.removed.has(key) && (this.changed.has(key) || this.base.has(key));
  }

  *entries(): Generator<[string, KernelObject], undefined> {
    for (const [key, object] of this.base) {
      if (!this.removed.has(key)) yield [key, this.changed.get(key) ?? object];
    }
    for (const [key, object] of this.changed) if (!this.base.has(key)) yield [key, object];
  }

  *keys(): Generator<string, undefined> {
    for (const [key] of this.entries()) yield key;
  }

  *values(): Generator<KernelObject, undefined> {
    for (const [, object] of this.entries()) yield object;
  }

  [Symbol.iterator](): Generator<[string, KernelObject], undefined> {
    return this.entries();
  }

  forEach(call: (object: KernelObject, key: string, map: KernelMap) => void): void {
    for (const [key, object] of this.entries()) call(object, key, this);
  }
}
