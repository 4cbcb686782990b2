import assert from "node:assert/strict";
import { diffKernel } from "../../../src/diff/diff.ts";
import { diffRelease } from "../../../src/diff/release.ts";
import { parseDomainXml } from "../../../src/libvirt/domain-xml.ts";
import type { KernelMap } from "../../../src/model/kernel.ts";
import type { Inbound } from "../../../src/model/policy.ts";
import { ticksForBytes } from "../../../src/model/units.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { matchPolicies } from "../../../src/policy/match.ts";
import { parsePolicyFile } from "../../../src/policy/policy-file.ts";
import { buildWorld, GBIT, macOf, type WorldSpec } from "../world.ts";

const LIMIT: Inbound = { limitBitsPerSecond: 80e6, burstBytes: null };
const KEY = `inbound bond0 ${macOf(0)}`;

function worldOf(inbound: Inbound | undefined, more: Partial<WorldSpec> = {}) {
  const world = buildWorld({
    uplinks: [
      { name: "eno1", speedBitsPerSecond: GBIT },
      { name: "eno2", speedBitsPerSecond: GBIT },
    ],
    domains: [
      { name: "web", vnics: [{}] },
      { name: "db", vnics: [{}] },
    ],
    ...more,
  });
  const [web, ...others] = world.domains;
  assert.ok(web);
  const vnics = web.vnics.map((vnic) => ({
    ...vnic,
    policy: { ...vnic.policy, ...(inbound === undefined ? {} : { inbound }) },
  }));
  return { ...world, domains: [{ ...web, vnics }, ...others] };
}

const inboundOf = (kernel: KernelMap) =>
  [...kernel.values()].filter(({ kind }) => kind === "inbound");

describe("an inbound limit", () => {
  it("is none by default, and one filter on the bond where it is asked for", () => {
    assert.deepEqual(inboundOf(planWorld(worldOf(undefined)).kernel), []);
    const { kernel } = planWorld(worldOf(LIMIT));
    const vnic = kernel.get(`vnic bond0 ${macOf(0)}`);
    assert.ok(vnic?.kind === "vnic");
    assert.deepEqual(inboundOf(kernel), [
      {
        kind: "inbound",
        device: "bond0",
        mac: macOf(0),
        handle: vnic.handle,
        rateBitsPerSecond: 80e6,
        // 50 ms of it.
        burstTicks: ticksForBytes(500_000, 80e6),
      },
    ]);
  });

  it("stands in each mode of bonds that is managed", () => {
    for (const mode of ["active-backup", "balance-rr", "balance-xor", "802.3ad"] as const) {
      const bond = { mode, ...(mode === "802.3ad" && { hashPolicy: "vlan+srcmac" as const }) };
      const { kernel, teams } = planWorld(worldOf(LIMIT, { bond } as Partial<WorldSpec>));
      if (teams[0]?.condition === "refused") continue;
      assert.equal(inboundOf(kernel).length, 1, mode);
    }
  });

  it("is the same filter for a macvtap and for whose frames are tagged", () => {
    for (const attached of [{ isMacvtap: true }, { vlanIds: [7] }, { vlanIds: [0, 7, 9] }]) {
      const world = worldOf(LIMIT);
      const [web, ...others] = world.domains;
      assert.ok(web);
      const vnics = web.vnics.map((vnic) => ({ ...vnic, ...attached }));
      const { kernel } = planWorld({ ...world, domains: [{ ...web, vnics }, ...others] });
      assert.deepEqual(inboundOf(kernel), inboundOf(planWorld(world).kernel));
    }
  });

  it("waits for a guest that still arrives from another host", () => {
    const domains = (phase: "incoming" | "running") => [{ name: "web", phase, vnics: [{}] }];
    const arriving = planWorld(worldOf(LIMIT, { domains: domains("incoming") }));
    assert.deepEqual(inboundOf(arriving.kernel), []);
    const running = planWorld(worldOf(LIMIT, { domains: domains("running") }), arriving);
    assert.equal(inboundOf(running.kernel).length, 1);
  });

  it("has room for what the kernel joins on arrival, however slow it is", () => {
    const slow = { limitBitsPerSecond: 1e6, burstBytes: null };
    const found = planWorld(worldOf(slow)).kernel.get(KEY);
    assert.ok(found?.kind === "inbound");
    assert.equal(found.burstTicks, ticksForBytes(131_072, 1e6));
  });

  it("comes, changes and goes in steps as at once", () => {
    const faster = { ...LIMIT, limitBitsPerSecond: 160e6 };
    let plan = planWorld(worldOf(undefined));
    for (const inbound of [LIMIT, faster, undefined, LIMIT]) {
      const world = worldOf(inbound);
      plan = planWorld(world, plan);
      assert.deepEqual(new Map(plan.kernel), new Map(planWorld(world).kernel));
    }
  });

  it("changes in place, and goes with a release", () => {
    const { kernel } = planWorld(worldOf(LIMIT));
    const faster = planWorld(worldOf({ ...LIMIT, limitBitsPerSecond: 160e6 })).kernel;
    assert.deepEqual(
      diffKernel(kernel, faster).map(({ op, object }) => `${op} ${object.kind}`),
      ["change inbound"],
    );
    const steps = diffRelease(kernel, [], []);
    assert.ok(steps.some(({ op, object }) => op === "delete" && object.kind === "inbound"));
  });

  it("is read from an annotation, the interface's before the domain's before the policy's", () => {
    const interfaces = [0, 1].map(
      (n) =>
        `<interface type="bridge"><mac address="${macOf(n)}"/><source bridge="br0"/></interface>`,
    );
    const xml = `<domain><name>web</name><uuid>7d3b2c1e-0000-4000-8000-000000000001</uuid><metadata>
<n:network xmlns:n="urn:uplinkd:domain:1"><n:inbound limit="1gbit" burst="1mb"/>
<n:interface mac="${macOf(1)}"><n:inbound limit="20mbit"/></n:interface></n:network></metadata>
<devices>${interfaces.join("")}</devices></domain>`;
    const domain = parseDomainXml(xml, "domain web");
    const parsed = parsePolicyFile("default.yaml", "inbound: {limit: 5mbit}");
    assert.ok(parsed.ok);
    const { policies, problems } = matchPolicies(
      domain,
      new Map([[parsed.value.name, parsed.value.wish]]),
      { annotations: "lenient", caps: [] },
    );
    assert.deepEqual(problems, []);
    const [own, other] = [0, 1].map((n) => policies.get(macOf(n))?.inbound);
    assert.deepEqual(own, { limitBitsPerSecond: 1e9, burstBytes: 1e6 });
    assert.deepEqual(other, { limitBitsPerSecond: 20e6, burstBytes: null });
  });

  it("that can't be is told with its place, and isn't used", () => {
    for (const [written, said] of [
      ['<n:inbound limit="0"/>', /limit/],
      ['<n:inbound limit="fast"/>', /limit/],
      ['<n:inbound burst="1mb"/>', /names no limit/],
      ['<n:inbound limit="1gbit" burst="1kb"/>', /64kib/],
      ['<n:inbound limit="1gbit" reservation="1gbit"/>', /unknown/],
    ] as const) {
      const xml = `<domain><name>web</name><uuid>7d3b2c1e-0000-4000-8000-000000000001</uuid><metadata>
<n:network xmlns:n="urn:uplinkd:domain:1">${written}</n:network></metadata></domain>`;
      const { problems } = parseDomainXml(xml, "domain web");
      assert.match(problems[0]?.message ?? "", said, written);
    }
    for (const [text, said] of [
      ["inbound: {limit: 0mbit}", /1:\d+: .*above zero/],
      ["inbound: {limit: 1gbit, burst: 1kb}", /1:\d+: .*64kib/],
      ["inbound: {burst: 1mb}", /1:\d+: .*limit/],
    ] as const) {
      const parsed = parsePolicyFile("p.yaml", text);
      assert.ok(!parsed.ok);
      assert.match(parsed.errors[0]?.describe() ?? "", said);
    }
  });
});
