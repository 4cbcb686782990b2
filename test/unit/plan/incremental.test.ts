import assert from "node:assert/strict";
import fc from "fast-check";
import type { Plan } from "../../../src/model/plan.ts";
import type { DomainState, World } from "../../../src/model/world.ts";
import { applied, planLosses, withLoss } from "../../../src/plan/loss.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { worlds } from "./arbitrary.ts";
import { seededWorld } from "./seeded.ts";

const RUNS = { numRuns: 100 };

function tell(plan: Plan) {
  return { ...plan, kernel: new Map(plan.kernel) };
}

/** A world and what becomes of it: domains go, come, change places or in something, and it may lose an uplink. */
function successions(): fc.Arbitrary<readonly [World, World]> {
  const fate = fc.constantFrom(
    "stays",
    "stays",
    "stays",
    "stays",
    "goes",
    "wants more",
    "is copied",
  );
  return fc
    .tuple(worlds(), fc.array(fate, { maxLength: 20 }), fc.boolean(), fc.boolean())
    .map(([world, fates, loses, settles]) => {
      const before = settles ? applied(world, planWorld(world)) : world;
      const domains = before.domains.flatMap((domain, index) => become(domain, fates[index]));
      const after = { ...before, nowMs: before.nowMs + 1000, domains };
      return [before, loses ? withLoss(after, "bond0", ["eno2"]) : after] as const;
    });
}

function become(domain: DomainState, fate: string | undefined): DomainState[] {
  switch (fate) {
    case "goes":
      return [];
    case "wants more":
      return [
        {
          ...domain,
          vnics: domain.vnics.map((vnic) => ({ ...vnic, demandBitsPerSecond: 777_777_777 })),
        },
      ];
    // As the daemon does at every look: another object that says the same.
    case "is copied":
      return [{ ...domain, vnics: domain.vnics.map((vnic) => ({ ...vnic })) }];
    default:
      return [domain];
  }
}

describe("a plan made from an earlier one", () => {
  it("is the one made from nothing, and so are the plans for its losses", () => {
    fc.assert(
      fc.property(successions(), ([before, after]) => {
        const earlier = planLosses(before, planWorld(before)).plan;
        const quick = planLosses(after, planWorld(after, earlier));
        const plain = planLosses(after, planWorld(after));
        assert.deepEqual(tell(quick.plan), tell(plain.plan));
        assert.deepEqual(
          quick.losses.map((loss) => tell(loss.plan)),
          plain.losses.map((loss) => tell(loss.plan)),
        );
      }),
      RUNS,
    );
  });

  it("is so whatever the earlier world was", () => {
    let earlier: Plan | null = null;
    for (let seed = 0; seed < 200; seed += 1) {
      const world = seededWorld(seed);
      const plan: Plan = planWorld(world, earlier);
      assert.deepEqual(tell(plan), tell(planWorld(world)));
      earlier = plan;
    }
  });

  it("shares what is said of a vNIC that nothing has changed for", () => {
    const world = seededWorld(3);
    const settled = applied(world, planWorld(world));
    const plan = planWorld(settled);
    const again = planWorld({ ...settled, nowMs: settled.nowMs + 1 }, plan);
    assert.ok(plan.vnics.length > 0);
    for (const [index, vnic] of again.vnics.entries()) assert.equal(vnic, plan.vnics[index]);
  });
});

describe("the plan for a loss", () => {
  it("is that of the world with the plan applied and the uplink lost", () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const plan = planWorld(world);
        const after = applied(world, plan);
        for (const loss of planLosses(world, plan).losses) {
          const plain = planWorld(withLoss(after, loss.team, [loss.uplink]));
          assert.deepEqual(tell(loss.plan), tell(plain));
        }
      }),
      RUNS,
    );
  });
});
