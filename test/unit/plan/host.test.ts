import assert from "node:assert/strict";
import type { HostClass, HostMatch } from "../../../src/model/host-traffic.ts";
import type { HostMatchFilter, KernelObject } from "../../../src/model/kernel.ts";
import { planLosses } from "../../../src/plan/loss.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, GBIT, HOST_MAC, MBIT, rateOn, vnicOf, type WorldSpec } from "../world.ts";

const ANY: HostMatch = {
  protocol: null,
  sourcePorts: null,
  destinationPorts: null,
  source: null,
  destination: null,
  vlanId: null,
};

function hostClass(name: HostClass["name"], more: Partial<HostClass> = {}): HostClass {
  return {
    name,
    reservationBitsPerSecond: 0,
    limitBitsPerSecond: null,
    shares: 100,
    priority: "normal",
    matches: [{ ...ANY, protocol: "tcp", destinationPorts: "49152-49215" }],
    ...more,
  };
}

const UPLINKS = [
  { name: "eno1", speedBitsPerSecond: GBIT },
  { name: "eno2", speedBitsPerSecond: GBIT },
];

function worldOf(hostClasses: readonly HostClass[], more: Partial<WorldSpec> = {}) {
  return buildWorld({ uplinks: UPLINKS, domains: [], ...more, config: { hostClasses } });
}

function matchesOf(objects: Iterable<KernelObject>): HostMatchFilter[] {
  return [...objects].filter((object) => object.kind === "host-match");
}

describe("the host's classes", () => {
  it("stand on every uplink, with the same number there, and their priority's prio", () => {
    const migration = hostClass("migration", {
      reservationBitsPerSecond: 100 * MBIT,
      limitBitsPerSecond: 400 * MBIT,
      priority: "low",
    });
    const management = hostClass("management", { priority: "critical" });
    const { kernel } = planWorld(worldOf([management, migration]));
    for (const { name } of UPLINKS) {
      const found = kernel.get(`class ${name} 7570:fff3`);
      assert.ok(found?.kind === "class");
      assert.equal(found.rateBitsPerSecond, 100 * MBIT);
      assert.equal(found.ceilBitsPerSecond, 400 * MBIT);
      assert.equal(found.prio, 4);
      const first = kernel.get(`class ${name} 7570:fff2`);
      // Before critical guests: who has to log in and mend things must get through.
      assert.ok(first?.kind === "class" && first.prio === 0);
      assert.ok(kernel.has(`leaf ${name} 7570:fff2`));
    }
  });

  it("take their reservations before any guest's, now and after each loss", () => {
    const gold = { reservationBitsPerSecond: 800 * MBIT };
    const world = worldOf([hostClass("storage", { reservationBitsPerSecond: 300 * MBIT })], {
      domains: [{ name: "db", vnics: [{ bandwidth: gold, priority: "critical", home: "eno1" }] }],
    });
    const plan = planWorld(world);
    assert.ok(Math.abs(rateOn(plan, "db", "eno1") - 700 * MBIT) < 100);
    const loss = planLosses(world, plan).losses.find(({ uplink }) => uplink === "eno1");
    assert.ok(loss !== undefined);
    assert.ok(Math.abs(rateOn(loss.plan, "db", "eno2") - 700 * MBIT) < 100);
  });

  it("count where guests are placed", () => {
    const half = { reservationBitsPerSecond: 600 * MBIT };
    const world = buildWorld({
      uplinks: [
        { name: "eno1", speedBitsPerSecond: GBIT },
        { name: "eno2", speedBitsPerSecond: 2 * GBIT },
      ],
      domains: [{ name: "db", vnics: [{ bandwidth: half }] }],
      config: { hostClasses: [hostClass("storage", { reservationBitsPerSecond: 500 * MBIT })] },
    });
    assert.equal(vnicOf(planWorld(world), "db").home, "eno2");
  });

  it("share what is left by priority and shares: a migration at full speed leaves a critical guest all it wants", () => {
    const migration = hostClass("migration", { priority: "low" });
    const world = worldOf([migration], {
      hostClassDemands: [10 * GBIT],
      domains: [
        { name: "db", vnics: [{ priority: "critical", demand: 900 * MBIT, home: "eno1" }] },
        { name: "batch", vnics: [{ priority: "low", demand: 900 * MBIT, home: "eno1" }] },
      ],
    });
    const plan = planWorld(world);
    assert.equal(vnicOf(plan, "db").expectedBitsPerSecond, 900 * MBIT);
    assert.equal(vnicOf(plan, "batch").expectedBitsPerSecond, 50 * MBIT);
  });

  it("are told apart by filters of the host's own frames, asked in the order of the classes", () => {
    const matches: readonly HostMatch[] = [
      { ...ANY, protocol: "icmp" },
      { ...ANY, protocol: "tcp", sourcePorts: "22", source: "fd00::/8" },
      { ...ANY, vlanId: 7 },
      // All of IPv6: the kernel would tell nothing of such a prefix back.
      { ...ANY, destination: "::/0" },
    ];
    const world = worldOf([hostClass("management", { matches }), hostClass("migration")]);
    const { kernel } = planWorld(world);
    const found = matchesOf(kernel.values());
    const inOrder = found.toSorted((a, b) => a.position - b.position);
    assert.deepEqual(
      inOrder.map(({ minor, etherType, ipProtocol, vlanId }) => [
        minor,
        etherType,
        ipProtocol,
        vlanId,
      ]),
      [
        [0xfff2, 0x0800, 1, null],
        [0xfff2, 0x86dd, 58, null],
        [0xfff2, 0x86dd, 6, null],
        [0xfff2, null, null, 7],
        [0xfff2, 0x86dd, null, null],
        [0xfff3, 0x0800, 6, null],
        [0xfff3, 0x86dd, 6, null],
      ],
    );
    assert.ok(inOrder.every(({ destination }) => destination === null));
    assert.ok(kernel.has(`host-source bond0 ${HOST_MAC}`));
    assert.ok(kernel.has("passed-on bond0 vnet0"));
  });

  it("leave nothing in the kernel where none is configured", () => {
    const kinds = new Set([...planWorld(worldOf([])).kernel.values()].map(({ kind }) => kind));
    for (const kind of ["host-match", "host-source", "passed-on"] as const)
      assert.ok(!kinds.has(kind), kind);
  });
});
