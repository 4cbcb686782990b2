import assert from "node:assert/strict";
import { diffKernel } from "../../../src/diff/diff.ts";
import type { Mac } from "../../../src/model/mac.ts";
import type { BondMode } from "../../../src/model/world.ts";
import { hashOf } from "../../../src/plan/hash.ts";
import { planLosses } from "../../../src/plan/loss.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, GBIT, type WorldSpec } from "../world.ts";

const TWO: WorldSpec = {
  uplinks: [{ name: "eno1" }, { name: "eno2" }],
  domains: [
    { name: "a", vnics: [{ bandwidth: { reservationBitsPerSecond: GBIT } }] },
    { name: "b", vnics: [{ bandwidth: { reservationBitsPerSecond: GBIT } }] },
  ],
};

function refusalOf(spec: Partial<WorldSpec>): string | null {
  const [team] = planWorld(buildWorld({ ...TWO, ...spec })).teams;
  return team?.condition === "refused" ? (team.reasons[0] ?? "") : null;
}

describe("a team's bond", () => {
  it("is refused with advice in modes that choose ports by what they hear", () => {
    for (const mode of ["broadcast", "balance-tlb", "balance-alb"] satisfies BondMode[]) {
      assert.match(refusalOf({ bond: { mode } }) ?? "", new RegExp(`^mode ${mode} .*: use `));
    }
  });

  it("is refused where it has fewer transmit queues than queue ids need", () => {
    assert.match(refusalOf({ bond: { txQueues: 2 } }) ?? "", /has 2 transmit queues and needs 3/);
    assert.equal(refusalOf({ bond: { txQueues: 3 } }), null);
    const uplinks = [{ name: "eno1", queueId: 7 }, { name: "eno2" }];
    assert.match(refusalOf({ bond: { txQueues: 7 }, uplinks }) ?? "", /needs 8/);
  });

  it("is refused without miimon", () => {
    assert.match(refusalOf({ bond: { miimonMs: 0 } }) ?? "", /type bond miimon 100/);
  });
});

describe("a balance-rr bond", () => {
  const world = buildWorld({ ...TWO, bond: { mode: "balance-rr" } });

  it("needs neither promiscuity nor redirects: no port of it is inactive", () => {
    const kinds = new Set([...planWorld(world).kernel.values()].map(({ kind }) => kind));
    assert.deepEqual([kinds.has("promiscuity"), kinds.has("redirect")], [false, false]);
    assert.deepEqual([kinds.has("reflection"), kinds.has("reports")], [true, true]);
  });

  it("has what isn't a vNIC's pinned to one port, and after its loss to another", () => {
    const plan = planWorld(world);
    const rest = (kernel = plan.kernel) => {
      const filter = kernel.get("catch-all bond0");
      return filter?.kind === "catch-all" ? filter.queueId : null;
    };
    assert.equal(rest(), 1);
    const { losses } = planLosses(world, plan);
    assert.deepEqual(
      losses.map((loss) => [loss.uplink, rest(loss.plan.kernel)]),
      [
        ["eno1", 2],
        ["eno2", 1],
      ],
    );
  });

  it("spreads vNICs over its ports, and leads them to another once theirs is lost", () => {
    const plan = planWorld(world);
    assert.deepEqual(
      plan.vnics.map(({ home }) => home),
      ["eno1", "eno2"],
    );
    const [loss] = planLosses(world, plan).losses;
    assert.deepEqual(
      loss?.plan.vnics.map(({ via }) => via),
      ["eno2", "eno2"],
    );
  });
});

describe("an 802.3ad bond", () => {
  const LACP: WorldSpec = {
    ...TWO,
    uplinks: [{ name: "eno1" }, { name: "eno2" }, { name: "eno3" }],
    bond: { mode: "802.3ad" },
  };
  const redirecting: WorldSpec = { ...LACP, config: { steering: "redirect" } };

  it("needs a hash by VLAN and MAC, or to be steered: else it is refused with both ways out", () => {
    const bond = { mode: "802.3ad", hashPolicy: "layer3+4" } as const;
    assert.match(
      refusalOf({ bond }) ?? "",
      /xmit_hash_policy vlan\+srcmac', or steering: redirect/,
    );
    assert.equal(refusalOf({ bond, config: { steering: "redirect" } }), null);
    assert.match(refusalOf({ config: { steering: "redirect" } }) ?? "", /leave it out/);
  });

  it("is planned anew once it is to be steered, whatever bonding's hash had chosen before", () => {
    const bond = { mode: "802.3ad", hashPolicy: "vlan+srcmac" } as const;
    const domains = Array.from({ length: 6 }, (_, index) => ({
      name: `vm${index}`,
      vnics: [{ placement: { prefer: ["eno3"] } }],
    }));
    const before = buildWorld({ ...LACP, bond, domains });
    const world = { ...before, teams: buildWorld({ ...redirecting, bond }).teams };
    const steered = planWorld(world, planWorld(before));
    assert.deepEqual(steered.vnics, planWorld(world).vnics);
    assert.deepEqual(new Set(steered.vnics.map(({ home }) => home)), new Set(["eno3"]));
  });

  it("by default foresees the port that bonding's hash chooses, and touches no port's queue id", () => {
    const world = buildWorld({
      ...LACP,
      bond: { mode: "802.3ad", portOrder: ["eno3", "eno1", "eno2"] },
    });
    const plan = planWorld(world);
    // 52:54:00:00:00:00 and 52:54:00:00:01:00: 0x525400 ^ 0x000000 and 0x525400 ^ 0x000100, modulo 3.
    assert.deepEqual(
      plan.vnics.map(({ mac, via }) => [mac, via]),
      plan.vnics.map(({ mac }) => [
        mac,
        ["eno3", "eno1", "eno2"][hashOf({ mac, vlanIds: [0] }) % 3],
      ]),
    );
    assert.match(plan.vnics[0]?.reasons.join() ?? "", /bonding's own hash/);
    const kinds = new Set([...plan.kernel.values()].map(({ kind }) => kind));
    for (const kind of ["port-queue", "uplink-action", "port-action", "reflection", "promiscuity"])
      assert.ok(!kinds.has(kind as "vnic"), kind);
  });

  it("foresees the hash as the driver computes it", () => {
    const of = (mac: string, vlanId: number) => hashOf({ mac: mac as Mac, vlanIds: [vlanId] });
    assert.equal(of("52:54:00:12:34:56", 0), 0x525400 ^ 0x123456);
    assert.equal(of("52:54:00:12:34:56", 100), 0x525400 ^ 0x123456 ^ 100);
    assert.equal(of("fe:ff:ff:00:00:01", 4094), 0xfeffff ^ 0x000001 ^ 4094);
  });

  it("by redirect places vNICs, and at a loss retargets the lost home's shared action", () => {
    const world = buildWorld({ ...redirecting, uplinks: TWO.uplinks });
    const plan = planWorld(world);
    assert.deepEqual(
      plan.vnics.map(({ home }) => home),
      ["eno1", "eno2"],
    );
    const [loss] = planLosses(world, plan).losses;
    assert.ok(loss !== undefined);
    const changed = diffKernel(plan.kernel, loss.plan.kernel).flatMap(({ op, object }) =>
      object.kind === "port-action" ? [[op, object.toIfindex]] : [],
    );
    // eno1's vNICs go by eno2, whose interface index is 3.
    assert.deepEqual(changed, [["change", 3]]);
  });

  it("by redirect leads nobody to a port outside the active aggregator", () => {
    const uplinks = [{ name: "eno1", distributing: false }, { name: "eno2" }];
    const plan = planWorld(buildWorld({ ...redirecting, uplinks }));
    assert.deepEqual(
      plan.vnics.map(({ via }) => via),
      ["eno2", "eno2"],
    );
    assert.match(plan.teams[0]?.reasons.join() ?? "", /eno1: LACP has not agreed/);
  });
});

describe("a macvtap", () => {
  it("has its reflected frames left alone, and is lifted past inactive ports as others are", () => {
    const world = buildWorld({ ...TWO, domains: [{ name: "a", vnics: [{}] }] });
    const [domain] = world.domains;
    assert.ok(domain !== undefined);
    const vnics = domain.vnics.map((vnic) => ({ ...vnic, isMacvtap: true }));
    const { kernel } = planWorld({ ...world, domains: [{ ...domain, vnics }] });
    const kinds = new Set([...kernel.values()].map(({ kind }) => kind));
    assert.deepEqual([kinds.has("reflection"), kinds.has("redirect")], [false, true]);
  });
});
