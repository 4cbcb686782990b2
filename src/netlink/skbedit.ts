import type { Action } from "./action.ts";
import { classHandle } from "./traffic-control.ts";

/** A skbedit of a filter's own: class and queue mapping, null for what it leaves as it is. */
export function skbedit(
  control: number,
  minor: number | null,
  queueMapping: number | null,
): Action & { kind: "skbedit" } {
  return {
    kind: "skbedit",
    index: 0,
    control,
    priority: minor === null ? null : classHandle(minor),
    queueMapping,
  };
}
