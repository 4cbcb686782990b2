import assert from "node:assert/strict";
import { diffKernel } from "../../../src/diff/diff.ts";
import { diffRelease } from "../../../src/diff/release.ts";
import { type KernelObject, kernelKey } from "../../../src/model/kernel.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, GBIT } from "../world.ts";

function mapOf(...objects: KernelObject[]) {
  return new Map(objects.map((object) => [kernelKey(object), object]));
}

function klass(minor: number, rate: number): KernelObject {
  return {
    kind: "class",
    device: "eno1",
    minor,
    parentMinor: minor === 1 ? null : 1,
    rateBitsPerSecond: rate,
    ceilBitsPerSecond: 1 * GBIT,
    bufferTicks: 1,
    cbufferTicks: 1,
    prio: 0,
    quantumBytes: 64_000,
  };
}

const leaf = (minor: number, type: "pfifo" | "blackhole" = "pfifo"): KernelObject => ({
  kind: "leaf",
  device: "eno1",
  minor,
  queue: type === "pfifo" ? { type, limitPackets: 10 } : { type },
});

const htb = (defaultMinor: number): KernelObject => ({ kind: "htb", device: "eno1", defaultMinor });

const summary = (steps: ReturnType<typeof diffKernel>) =>
  steps.map((step) => `${step.op} ${kernelKey(step.object)}`);

describe("the diff", () => {
  it("cuts rates before it raises others", () => {
    const steps = diffKernel(
      mapOf(klass(16, 800), klass(17, 80)),
      mapOf(klass(16, 1600), klass(17, 8)),
    );
    assert.deepEqual(summary(steps), ["change class eno1 7570:11", "change class eno1 7570:10"]);
  });

  it("takes away what another version has made of a filter before ours comes in its place", () => {
    const clsact: KernelObject = { kind: "clsact", device: "bond0" };
    const older: KernelObject = {
      ...{ kind: "unknown-filter", device: "bond0", hook: "egress", priority: 7570 },
      ...{ protocol: 3, handle: 1, filterKind: "matchall" },
    };
    const ours: KernelObject = { kind: "catch-all", device: "bond0", minor: 16, queueId: 0 };
    assert.deepEqual(
      summary(diffKernel(mapOf(clsact, older), mapOf(htb(2), klass(16, 8), clsact, ours))),
      [
        "add htb eno1",
        "add class eno1 7570:10",
        "delete unknown-filter bond0 egress 7570 3 1",
        "add catch-all bond0",
      ],
    );
    assert.deepEqual(summary(diffKernel(mapOf(clsact, older, htb(2)), mapOf(clsact))), [
      "delete unknown-filter bond0 egress 7570 3 1",
      "delete htb eno1",
    ]);
  });

  it("takes vNICs' filters of layout 1, which stood elsewhere, away once ours stand", () => {
    const former: KernelObject = {
      ...{ kind: "unknown-filter", device: "bond0", hook: "egress", priority: 7571 },
      ...{ protocol: 3, handle: 1, filterKind: "flower" },
    };
    const ours: KernelObject = { kind: "catch-all", device: "bond0", minor: 16, queueId: 0 };
    assert.deepEqual(summary(diffKernel(mapOf(former), mapOf(ours))), [
      "add catch-all bond0",
      "delete unknown-filter bond0 egress 7571 3 1",
    ]);
  });

  it("makes classes and leaves anew that vanish with a qdisc that can't be changed", () => {
    const steps = diffKernel(
      mapOf(htb(2), klass(1, 80), leaf(1)),
      mapOf(htb(3), klass(1, 80), leaf(1)),
    );
    assert.deepEqual(summary(steps), [
      "delete htb eno1",
      "add htb eno1",
      "add class eno1 7570:1",
      "add leaf eno1 7570:1",
    ]);
  });

  it("makes a filter anew that names a class which has to be made anew, and so holds it", () => {
    const control: KernelObject = { kind: "control", device: "eno1", protocol: "stp", minor: 17 };
    const before = { ...klass(17, 8), parentMinor: 1 } as KernelObject;
    const after = { ...klass(17, 8), parentMinor: null } as KernelObject;
    const steps = diffKernel(mapOf(before, leaf(17), control), mapOf(after, leaf(17), control));
    assert.deepEqual(summary(steps), [
      "delete control eno1 stp",
      "delete class eno1 7570:11",
      "add class eno1 7570:11",
      "add leaf eno1 7570:11",
      "add control eno1 stp",
    ]);
  });

  it("doesn't delete one by one what vanishes with its class or its qdisc", () => {
    const gone = diffKernel(
      mapOf(klass(16, 8), leaf(16), klass(17, 8), leaf(17)),
      mapOf(klass(17, 8), leaf(17)),
    );
    assert.deepEqual(summary(gone), ["delete class eno1 7570:10"]);
    const all = diffKernel(mapOf(htb(2), klass(16, 8), leaf(16)), mapOf());
    assert.deepEqual(summary(all), ["delete htb eno1"]);
  });

  it("replaces at its place a filter of a shape that isn't ours", () => {
    const mac = planWorld(
      buildWorld({ uplinks: [{ name: "eno1" }], domains: [{ name: "a", vnics: [{}] }] }),
    ).kernel;
    const filter = [...mac.values()].find((object) => object.kind === "vnic");
    assert.ok(filter?.kind === "vnic");
    const odd: KernelObject = {
      kind: "unknown-filter",
      device: "bond0",
      hook: "egress",
      priority: 7568,
      protocol: 3,
      handle: filter.handle,
      filterKind: "u32",
    };
    const present = new Map([[kernelKey(filter), odd]]);
    const steps = diffKernel(present, mapOf(filter));
    assert.deepEqual(
      steps.map((step) => [step.op, step.object.kind]),
      [
        ["delete", "unknown-filter"],
        ["add", "vnic"],
      ],
    );
  });

  it("gives a queue to whom is no longer discarded before it leads frames there", () => {
    const action = (queueId: number): KernelObject => ({
      kind: "uplink-action",
      index: 7,
      queueId,
    });
    const steps = diffKernel(mapOf(leaf(16, "blackhole"), action(1)), mapOf(leaf(16), action(2)));
    assert.deepEqual(summary(steps), ["change leaf eno1 7570:10", "change uplink-action 7"]);
  });

  it("leaves settings alone that carry no mark of ours", () => {
    const promisc: KernelObject = { kind: "promiscuity", device: "eno1", on: true };
    const clsact: KernelObject = { kind: "clsact", device: "eno1" };
    assert.deepEqual(diffKernel(mapOf(promisc, clsact), mapOf()), []);
  });

  it("installs the catch-all before queue ids, and queue ids before vNICs' filters", () => {
    const world = buildWorld({
      uplinks: [{ name: "eno1" }, { name: "eno2" }],
      domains: [{ name: "a", vnics: [{}] }],
    });
    const kinds = diffKernel(new Map(), planWorld(world).kernel).map((step) => step.object.kind);
    const order = [
      "htb",
      "class",
      "catch-all",
      "redirect",
      "promiscuity",
      "port-queue",
      "vnic",
    ] as const;
    for (const [index, kind] of order.slice(1).entries()) {
      const before = order[index];
      assert.ok(before !== undefined && kinds.lastIndexOf(before) < kinds.indexOf(kind), kind);
    }
  });
});

describe("the steps of a release", () => {
  it("withdraw in the exact reverse, put back what was, and need no word for what vanishes by itself", () => {
    const world = buildWorld({
      uplinks: [{ name: "eno1" }],
      domains: [{ name: "a", vnics: [{}] }],
    });
    const { kernel } = planWorld(world);
    const before: KernelObject[] = [
      { kind: "promiscuity", device: "eno1", on: false },
      { kind: "port-queue", device: "eno1", queueId: 0 },
    ];
    const steps = diffRelease(kernel, before, ["eno1", "bond0"]);
    assert.deepEqual(
      steps.map((step) => `${step.op} ${step.object.kind}`),
      [
        "delete vnic",
        "change port-queue",
        "change promiscuity",
        "delete clsact",
        "delete clsact",
        "delete htb",
        "delete uplink-action",
      ],
    );
  });
});
