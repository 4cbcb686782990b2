import type { HtbClass, KernelObject, LeafQueue } from "./kernel.ts";

/** Whether two versions of an object are the same. The many kinds of which there are many come first, field by field. */
export function sameObject(a: KernelObject, b: KernelObject): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind) return false;
  switch (a.kind) {
    case "class":
      return b.kind === "class" && sameClass(a, b);
    case "leaf":
      return (
        b.kind === "leaf" &&
        a.device === b.device &&
        a.minor === b.minor &&
        sameQueue(a.queue, b.queue)
      );
    case "vnic":
      return (
        b.kind === "vnic" &&
        a.actionIndex === b.actionIndex &&
        a.steering === b.steering &&
        a.minor === b.minor &&
        a.handle === b.handle &&
        a.mac === b.mac &&
        a.from === b.from &&
        a.device === b.device
      );
    case "reflection":
      return (
        b.kind === "reflection" && a.handle === b.handle && a.mac === b.mac && a.device === b.device
      );
    case "redirect":
      return (
        b.kind === "redirect" &&
        a.toIfindex === b.toIfindex &&
        a.handle === b.handle &&
        a.mac === b.mac &&
        a.device === b.device
      );
    case "reports":
      return b.kind === "reports" && a.device === b.device && a.copyTo.join() === b.copyTo.join();
    default:
      return sameFields(a, b);
  }
}

function sameClass(a: HtbClass, b: HtbClass): boolean {
  return (
    a.rateBitsPerSecond === b.rateBitsPerSecond &&
    a.ceilBitsPerSecond === b.ceilBitsPerSecond &&
    a.bufferTicks === b.bufferTicks &&
    a.cbufferTicks === b.cbufferTicks &&
    a.prio === b.prio &&
    a.quantumBytes === b.quantumBytes &&
    a.minor === b.minor &&
    a.parentMinor === b.parentMinor &&
    a.device === b.device
  );
}

function sameQueue(a: LeafQueue, b: LeafQueue): boolean {
  return a === b || sameFields(a, b);
}

function sameFields(a: object, b: object): boolean {
  const left = a as Readonly<Record<string, unknown>>;
  const right = b as Readonly<Record<string, unknown>>;
  for (const field in left) if (right[field] !== left[field]) return false;
  // Optional ones, that only the other has.
  for (const field in right) if (!(field in left)) return false;
  return true;
}
