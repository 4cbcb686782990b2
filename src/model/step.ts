/** The diff's output and the executor's input: one change of one kernel object. */
import type { KernelObject } from "./kernel.ts";

export type Step =
  | { readonly op: "add"; readonly object: KernelObject }
  | { readonly op: "change"; readonly object: KernelObject; readonly before: KernelObject }
  | { readonly op: "delete"; readonly object: KernelObject };
