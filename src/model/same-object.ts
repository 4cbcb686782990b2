import type { KernelObject } from "./kernel.ts";

/** Whether two versions of an object are the same. */
export function sameObject(a: KernelObject, b: KernelObject): boolean {
  if (a === b) return true;
  if (a.kind === "leaf" && b.kind === "leaf") {
    return a.device === b.device && a.minor === b.minor && sameFields(a.queue, b.queue);
  }
  if (a.kind === "reports" && b.kind === "reports") {
    return a.device === b.device && a.copyTo.join() === b.copyTo.join();
  }
  return sameFields(a, b);
}

function sameFields(a: object, b: object): boolean {
  const left = a as Readonly<Record<string, unknown>>;
  const right = b as Readonly<Record<string, unknown>>;
  for (const field in left) if (right[field] !== left[field]) return false;
  return true;
}
