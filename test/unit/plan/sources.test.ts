import assert from "node:assert/strict";
import fc from "fast-check";
import { diffKernel } from "../../../src/diff/diff.ts";
import { diffRelease } from "../../../src/diff/release.ts";
import { SOURCE_MODES, type SourceRules } from "../../../src/model/config.ts";
import { type KernelMap, kernelKey } from "../../../src/model/kernel.ts";
import { DEFAULT_MINOR } from "../../../src/model/layout.ts";
import type { Mac } from "../../../src/model/mac.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, GBIT, macOf, type WorldSpec } from "../world.ts";

const UPLINKS = [
  { name: "eno1", speedBitsPerSecond: GBIT },
  { name: "eno2", speedBitsPerSecond: GBIT },
];
/** vnet0 to vnet2 are the taps of the domains; vnet7 is of a guest that nobody has told of, eth5 a container's. */
const INTERFACES = [
  ...[0, 1, 2, 7].map((n) => ({ name: `vnet${n}`, ifindex: 30 + n, bridged: "tap" as const })),
  { name: "eth5", ifindex: 50, bridged: "other" as const },
  { name: "virbr0", ifindex: 60 },
];

function kernelOf(sources: SourceRules, more: Partial<WorldSpec> = {}): KernelMap {
  const domains = [
    { name: "web", vnics: [{}] },
    { name: "db", vnics: [{}] },
  ];
  const spec = { uplinks: UPLINKS, domains, passedOnFrom: INTERFACES, ...more };
  return planWorld(buildWorld({ ...spec, config: { ...more.config, sources } })).kernel;
}

const senderOf = (kernel: KernelMap, domain: number) => {
  const found = kernel.get(`vnic bond0 ${macOf(domain)}`);
  assert.ok(found?.kind === "vnic");
  return found.from;
};
const verdicts = (kernel: KernelMap, kind: "forged" | "passed-on") =>
  [...kernel.values()].flatMap((object) =>
    object.kind === kind ? [`${object.from} ${object.drops ? "drop" : "pass"}`] : [],
  );

describe("source addresses", () => {
  it("are left alone by default: nothing differs from a host that never heard of them", () => {
    const kernel = kernelOf({ forged: "off", unregistered: "off" });
    assert.equal(senderOf(kernel, 0), undefined);
    assert.deepEqual([...verdicts(kernel, "forged"), ...verdicts(kernel, "passed-on")], []);
    assert.ok(!kernel.has("catch-all bond0 senders"));
  });

  it("of vNICs are believed by their own taps only, and dropped or counted by others'", () => {
    for (const [mode, word] of [
      ["drop", "drop"],
      ["log", "pass"],
    ] as const) {
      const kernel = kernelOf({ forged: mode, unregistered: "off" });
      assert.equal(senderOf(kernel, 0), "vnet0");
      assert.equal(senderOf(kernel, 1), "vnet1");
      // Not by vnet2 and vnet7: a guest that has just come isn't cut off because nobody has told of it yet.
      assert.deepEqual(verdicts(kernel, "forged"), [
        `vnet0 ${word}`,
        `vnet1 ${word}`,
        `eth5 ${word}`,
      ]);
      assert.deepEqual(verdicts(kernel, "passed-on"), []);
    }
  });

  it("that nothing is said of leave by the same class and port as what is no vNIC's", () => {
    const rules = { forged: "log", unregistered: "off" } as const;
    for (const mode of ["active-backup", "balance-rr"] as const) {
      const kernel = kernelOf(rules, { bond: { mode } });
      const all = kernel.get("catch-all bond0");
      assert.deepEqual(kernel.get("catch-all bond0 senders"), {
        ...all,
        // Else it would be asked whether it is a link protocol's: no guest's is.
        minor: DEFAULT_MINOR,
        senders: true,
      });
      const htb = { kind: "htb", device: "eno1", defaultMinor: DEFAULT_MINOR };
      assert.deepEqual(kernel.get("htb eno1"), htb);
    }
  });

  it("that are no vNIC's are dropped by the same interfaces, and nothing routed is", () => {
    const kernel = kernelOf({ forged: "off", unregistered: "drop" });
    assert.equal(senderOf(kernel, 0), undefined);
    assert.deepEqual(verdicts(kernel, "passed-on"), ["vnet0 drop", "vnet1 drop", "eth5 drop"]);
  });

  it("are judged beside the host's classes, whose filters are the same", () => {
    const match = { protocol: "tcp", sourcePorts: null, destinationPorts: "22" } as const;
    const hostClasses = [
      {
        name: "management",
        reservationBitsPerSecond: 0,
        limitBitsPerSecond: null,
        shares: 100,
        priority: "normal",
        matches: [{ ...match, source: null, destination: null, vlanId: null }],
      },
    ] as const;
    const kernel = kernelOf({ forged: "off", unregistered: "drop" }, { config: { hostClasses } });
    assert.deepEqual(verdicts(kernel, "passed-on"), [
      ...["vnet0 drop", "vnet1 drop", "vnet2 pass", "vnet7 pass", "eth5 drop", "virbr0 pass"],
    ]);
  });

  it("of a guest whose memory still arrives, or without a tap of its own, aren't judged", () => {
    const domains = [
      { name: "web", phase: "incoming" as const, vnics: [{}] },
      { name: "db", vnics: [{}, {}] },
    ];
    const rules = { forged: "drop", unregistered: "drop" } as const;
    const kernel = kernelOf(rules, { domains, passedOnFrom: INTERFACES.slice(0, 1) });
    assert.equal(senderOf(kernel, 1), undefined);
    assert.deepEqual([...verdicts(kernel, "forged"), ...verdicts(kernel, "passed-on")], []);
  });

  it("of a macvtap are believed by no interface that is known", () => {
    const world = buildWorld({
      uplinks: UPLINKS,
      domains: [{ name: "web", vnics: [{}] }],
      passedOnFrom: [],
      config: { sources: { forged: "drop", unregistered: "drop" } },
    });
    const domains = world.domains.map((domain) => ({
      ...domain,
      vnics: domain.vnics.map((vnic) => ({ ...vnic, tap: "macvtap0", isMacvtap: true })),
    }));
    assert.equal(senderOf(planWorld({ ...world, domains }).kernel, 0), null);
  });

  it("that a guest declares besides its own are let in by its tap, in its class, and never another vNIC's", () => {
    const other = "52:54:00:99:00:01" as Mac;
    const domains = [
      { name: "web", vnics: [{ addresses: [other, macOf(1)] }] },
      { name: "db", vnics: [{}] },
      { name: "lb", phase: "incoming" as const, vnics: [{ addresses: [other] }] },
    ];
    const kernel = kernelOf({ forged: "drop", unregistered: "drop" }, { domains });
    const declared = [...kernel.values()].filter((object) => object.kind === "declared");
    const own = kernel.get(`vnic bond0 ${macOf(0)}`);
    assert.ok(own?.kind === "vnic");
    assert.deepEqual(
      declared.map(({ from, mac, minor, queueId }) => ({ from, mac, minor, queueId })),
      [{ from: "vnet0", mac: other, minor: own.minor, queueId: 0 }],
    );
    const off = kernelOf({ forged: "off", unregistered: "off" }, { domains });
    assert.ok([...off.values()].every(({ kind }) => kind !== "declared"));
  });

  it("that two guests declare, as VRRP's, are let in by the tap of each", () => {
    const shared = "00:00:5e:00:01:07" as Mac;
    const domains = ["one", "two"].map((name) => ({ name, vnics: [{ addresses: [shared] }] }));
    const kernel = kernelOf({ forged: "off", unregistered: "log" }, { domains });
    const taps = [...kernel.values()].flatMap((o) => (o.kind === "declared" ? [o.from] : []));
    assert.deepEqual(taps, ["vnet0", "vnet1"]);
  });

  const rules = fc.record({
    forged: fc.constantFrom(...SOURCE_MODES),
    unregistered: fc.constantFrom(...SOURCE_MODES),
  });

  it("are let in before anybody is dropped for them, and dropped no more before they are forgotten", () => {
    fc.assert(
      fc.property(rules, rules, (from, to) => {
        const standing = new Map(kernelOf(from));
        const mine = `vnic bond0 ${macOf(0)}`;
        for (const { op, object } of diffKernel(standing, kernelOf(to))) {
          if (op === "delete") standing.delete(kernelKey(object));
          else standing.set(kernelKey(object), object);
          // Its own frames by its own tap, after each step: its filter believes them whoever is asked.
          const filter = standing.get(mine);
          assert.ok(filter?.kind === "vnic" && (filter.from ?? "vnet0") === "vnet0");
        }
        assert.deepEqual(diffKernel(standing, kernelOf(to)), []);
        const nothing = kernelOf(to, { domains: [] });
        let isKnown = true;
        for (const { op, object } of diffKernel(standing, nothing)) {
          if (op === "delete" && object.kind === "vnic") isKnown = false;
          const drops = (object.kind === "passed-on" || object.kind === "forged") && object.drops;
          if (drops && op === "delete" && object.from !== "eth5") assert.ok(isKnown);
        }
      }),
    );
  });

  it("are dropped no more once a release begins to forget them", () => {
    const kernel = new Map(kernelOf({ forged: "drop", unregistered: "drop" }));
    const steps = diffRelease(kernel, [], ["bond0", "eno1", "eno2"]);
    const kinds = steps.map(({ object }) => object.kind);
    assert.equal(kinds.filter((kind) => kind === "passed-on").length, 3);
    assert.ok(kinds.lastIndexOf("passed-on") < kinds.indexOf("vnic"));
  });

  it("are planned in steps as at once, whatever changes", () => {
    const world = (sources: SourceRules, count: number, taps: number, declares: boolean) =>
      buildWorld({
        uplinks: UPLINKS,
        domains: Array.from({ length: count }, (_, n) => ({
          name: `vm${n}`,
          vnics: [declares ? { addresses: ["52:54:00:99:00:01" as Mac] } : {}],
        })),
        passedOnFrom: INTERFACES.slice(0, taps),
        config: { sources },
      });
    const worlds = fc
      .tuple(rules, fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 6 }), fc.boolean())
      .map((given) => world(...given));
    fc.assert(
      fc.property(worlds, worlds, (before, after) => {
        const earlier = planWorld(before);
        void earlier.kernel;
        const inSteps = new Map(planWorld(after, earlier).kernel);
        assert.deepEqual(inSteps, new Map(planWorld(after).kernel));
      }),
    );
  });
});
