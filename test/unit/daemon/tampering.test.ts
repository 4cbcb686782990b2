import assert from "node:assert/strict";
import { describeTampering, findTampering } from "../../../src/daemon/tampering.ts";
import { diffKernel } from "../../../src/diff/diff.ts";
import type { HtbClass, KernelObject } from "../../../src/model/kernel.ts";
import { kernelKey } from "../../../src/model/kernel.ts";
import type { Mac } from "../../../src/model/mac.ts";

const klass = (minor: number, change: Partial<HtbClass> = {}): HtbClass => ({
  kind: "class",
  device: "eno1",
  minor,
  parentMinor: 1,
  rateBitsPerSecond: 800,
  ceilBitsPerSecond: 8000,
  bufferTicks: 1,
  cbufferTicks: 1,
  prio: 3,
  quantumBytes: 1500,
  ...change,
});
const mapOf = (...objects: KernelObject[]) =>
  new Map(objects.map((object) => [kernelKey(object), object]));

const who = (object: string) => `its owner: ${object}`;

describe("somebody else's change", () => {
  const settled = mapOf(klass(16), klass(17));
  const story = (present: ReturnType<typeof mapOf>, desired: ReturnType<typeof mapOf>) =>
    describeTampering(findTampering(settled, diffKernel(present, desired)), who);

  it("is what differs from what stood there, not from what is wanted now", () => {
    const raised = mapOf(klass(16, { ceilBitsPerSecond: 9600 }), klass(17));
    assert.equal(story(settled, raised), null, "a new plan");
    assert.match(
      story(mapOf(klass(16)), settled) ?? "",
      /class eno1 7570:11 was gone; likely its owner/,
    );
    assert.match(
      story(mapOf(klass(16)), raised) ?? "",
      /class eno1 7570:11 was gone; likely its owner/,
    );
    const cut = mapOf(klass(16, { rateBitsPerSecond: 8 }), klass(17));
    assert.match(story(cut, settled) ?? "", /7570:10 was changed; likely its owner/);
    assert.match(story(cut, raised) ?? "", /7570:10 was changed; likely its owner/);
    assert.match(
      story(mapOf(...settled.values(), klass(18)), settled) ?? "",
      /7570:12 was added; likely its owner/,
    );
  });

  it("is told also where the planner leaves the changed thing for a new one", () => {
    const other = mapOf(klass(16, { prio: 0 }), klass(17));
    assert.match(
      story(other, mapOf(klass(17), klass(18))) ?? "",
      /7570:10 was changed; likely its owner/,
    );
  });

  it("is neither a plan that adds nor one that withdraws nor one that rebuilds", () => {
    assert.equal(story(settled, mapOf(...settled.values(), klass(18))), null);
    assert.equal(story(settled, mapOf(klass(17))), null);
    assert.equal(story(settled, mapOf(klass(16, { parentMinor: null }), klass(17))), null);
  });

  it("isn't an interface that is gone, whose filter the kernel then tells without its name", () => {
    const of = (from: string | null) =>
      ({ kind: "passed-on", device: "bond0", from, handle: 30 }) as const;
    const steps = diffKernel(mapOf(of(null)), mapOf());
    assert.equal(steps.length, 1);
    assert.deepEqual(findTampering(mapOf(of("vnet0")), steps), []);
  });

  it("isn't a vNIC's tap that is gone, whose filter is then led to nowhere", () => {
    const of = (from?: string): KernelObject => ({
      ...{ kind: "vnic", device: "bond0", mac: "52:54:00:00:00:01" as Mac, handle: 1, minor: 16 },
      ...{ steering: "hash", actionIndex: 0, ...(from === undefined ? {} : { from }) },
    });
    const settled = mapOf(of("vnet0"));
    assert.deepEqual(findTampering(settled, diffKernel(mapOf(of("")), mapOf())), []);
    assert.deepEqual(findTampering(settled, diffKernel(mapOf(of("")), mapOf(of()))), []);
    assert.equal(findTampering(settled, diffKernel(mapOf(of()), settled)).length, 1);
  });

  it("is laid to who has a device of it, not to a shared action, which is nobody's", () => {
    const action = { object: "uplink-action 70000611", word: "changed" } as const;
    const promiscuity = { object: "promiscuity nic0", word: "changed" } as const;
    const asked = (...changes: (typeof action | typeof promiscuity)[]) =>
      describeTampering(changes, who) ?? "";
    assert.match(asked(action, promiscuity), /likely its owner: promiscuity nic0$/);
    assert.match(asked(action), /likely its owner: uplink-action 70000611$/);
  });

  it("is told in one line, however much it was", () => {
    const many = mapOf(...Array.from({ length: 50 }, (_, at) => klass(16 + at)));
    const text = describeTampering(findTampering(many, diffKernel(mapOf(), many)), who) ?? "";
    assert.match(text, / and 42 more; likely its owner: class eno1 7570:10$/);
  });
});
