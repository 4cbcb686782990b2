import assert from "node:assert/strict";
import type { BondMode } from "../../../src/model/world.ts";
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
