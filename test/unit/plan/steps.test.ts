import assert from "node:assert/strict";
import fc from "fast-check";
import { diffKernel } from "../../../src/diff/diff.ts";
import { kernelKey } from "../../../src/model/kernel.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { worlds } from "./arbitrary.ts";
import { assertWhole, devicesOf } from "./whole.ts";

const RUNS = { numRuns: 300 };

describe("the steps of a diff", () => {
  it("lead from one plan's kernel exactly to another's, and keep classes under filters on the way", () => {
    fc.assert(
      fc.property(worlds(), worlds(), (one, other) => {
        const present = planWorld(one).kernel;
        const desired = planWorld(other).kernel;
        const shared = devicesOf(present).filter((device) => desired.has(`htb ${device}`));
        const kernel = new Map(present);
        for (const step of diffKernel(present, desired)) {
          applyStep(kernel, step);
          assertWhole(kernel, shared);
        }
        const unmarked = new Set(["clsact", "promiscuity", "port-queue", "active-port"]);
        for (const [key, object] of kernel) {
          if (!unmarked.has(object.kind)) assert.deepEqual(desired.get(key), object, key);
        }
        for (const key of desired.keys()) assert.ok(kernel.has(key), key);
      }),
      RUNS,
    );
  });

  it("install from nothing without a filter that names a class or a queue id before it stands", () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const desired = planWorld(world).kernel;
        const kernel = new Map();
        for (const step of diffKernel(kernel, desired)) {
          applyStep(kernel, step);
          assertWhole(kernel);
        }
        assert.deepEqual(new Map([...kernel].sort()), new Map([...desired].sort()));
      }),
      RUNS,
    );
  });
});

/** What the kernel does with a step, deletions with all that hangs below included. */
function applyStep(
  kernel: Map<string, Parameters<typeof kernelKey>[0]>,
  step: ReturnType<typeof diffKernel>[number],
): void {
  const key = kernelKey(step.object);
  assert.equal(kernel.has(key), step.op !== "add", `${step.op} ${key}`);
  if (step.op !== "delete") {
    kernel.set(key, step.object);
    return;
  }
  kernel.delete(key);
  const { object } = step;
  for (const [other, found] of kernel) {
    const below =
      (object.kind === "htb" &&
        (found.kind === "class" || found.kind === "leaf" || found.kind === "control") &&
        found.device === object.device) ||
      (object.kind === "class" &&
        found.kind === "leaf" &&
        found.device === object.device &&
        found.minor === object.minor);
    if (below) kernel.delete(other);
  }
}
