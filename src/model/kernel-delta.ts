/** A kernel map told as another one and what differs, so that nobody compares what is the same by construction. */
import type { KernelMap, KernelObject } from "./kernel.ts";

export class KernelDelta implements KernelMap {
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
