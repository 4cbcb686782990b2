import assert from "node:assert/strict";
import fc from "fast-check";
import { diffKernel } from "../../../src/diff/diff.ts";
import { differingKeys } from "../../../src/model/kernel-delta.ts";
import type { Plan } from "../../../src/model/plan.ts";
import type { Step } from "../../../src/model/step.ts";
import type { DomainState, VnicState, World } from "../../../src/model/world.ts";
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
    "has another limit",
    "has another priority",
    "prefers another uplink",
    "wants to be apart",
    "arrives",
    "is attached otherwise",
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
    case "has another limit":
      return [withPolicy(domain, (policy) => ({ ...policy, bandwidth: LIMITED }))];
    case "has another priority":
      return [withPolicy(domain, (policy) => ({ ...policy, priority: "critical" }))];
    case "prefers another uplink":
      return [withPolicy(domain, (policy) => ({ ...policy, placement: PREFERS_LAST }))];
    case "wants to be apart":
      return [withPolicy(domain, (policy) => ({ ...policy, placement: APART_FROM_FIRST }))];
    // Its memory arrives, or has arrived: its filters wait for that.
    case "arrives":
      return [{ ...domain, phase: domain.phase === "incoming" ? "running" : "incoming" }];
    case "is attached otherwise":
      return [
        {
          ...domain,
          vnics: domain.vnics.map((vnic) => ({ ...vnic, isMacvtap: !vnic.isMacvtap })),
        },
      ];
    // As the daemon does at every look: another object that says the same.
    case "is copied":
      return [{ ...domain, vnics: domain.vnics.map((vnic) => ({ ...vnic })) }];
    default:
      return [domain];
  }
}

/** The same a moment later, one domain wanting something else. */
function withDemand(world: World, at: number, demandBitsPerSecond: number): World {
  const domains = world.domains.map((domain, index) =>
    index === at
      ? { ...domain, vnics: domain.vnics.map((vnic) => ({ ...vnic, demandBitsPerSecond })) }
      : domain,
  );
  return { ...world, nowMs: world.nowMs + 1, domains };
}

const PREFERS_LAST = { prefer: ["eno3", "eno2"], apart: [] };
const APART_FROM_FIRST = { prefer: [], apart: ["vm0", "vm1"] };

const LIMITED = {
  reservationBitsPerSecond: 8_000_000,
  limitBitsPerSecond: 16_000_000,
  shares: 300,
  burstBytes: null,
};

function withPolicy(
  domain: DomainState,
  change: (policy: VnicState["policy"]) => VnicState["policy"],
): DomainState {
  const vnics = domain.vnics.map((vnic) => ({ ...vnic, policy: change(vnic.policy) }));
  return { ...domain, vnics };
}

/** Steps of which the order within a rank doesn't matter, comparable. */
function sorted(steps: readonly Step[]): string[] {
  return steps.map((step) => `${step.op} ${JSON.stringify(step.object)}`).sort();
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

  it("has the kernel objects of the one made from nothing, as a change of the earlier one's, and so have its losses", () => {
    let changes = 0;
    fc.assert(
      fc.property(successions(), ([before, after]) => {
        const earlier = planLosses(before, planWorld(before)).plan;
        const base = earlier.kernel;
        const quick = planLosses(after, planWorld(after, earlier));
        const plain = planLosses(after, planWorld(after));
        if (differingKeys(base, quick.plan.kernel) !== null) changes += 1;
        assert.deepEqual(tell(quick.plan), tell(plain.plan));
        assert.equal(quick.plan.kernel.size, plain.plan.kernel.size);
        assert.deepEqual(
          sorted(diffKernel(base, quick.plan.kernel)),
          sorted(diffKernel(new Map(base), plain.plan.kernel)),
        );
        for (const [place, { plan }] of quick.losses.entries()) {
          const loss = plain.losses[place]?.plan.kernel ?? new Map();
          assert.deepEqual(new Map(plan.kernel), new Map(loss));
          assert.deepEqual(
            sorted(diffKernel(quick.plan.kernel, plan.kernel)),
            sorted(diffKernel(new Map(plain.plan.kernel), new Map(loss))),
          );
        }
      }),
      RUNS,
    );
    assert.ok(changes > 20, `only ${changes} were told as changes`);
  });

  it("goes on so from event to event, however much has changed since the first", () => {
    let world = seededWorld(3);
    let plan = planWorld(world);
    for (let event = 0; event < 60; event += 1) {
      const at = event % world.domains.length;
      const fate = ["has another limit", "goes", "wants more", "has another priority"][event % 4];
      const domains = world.domains.flatMap((domain, index) =>
        index === at ? become(domain, event < 20 ? fate : "wants more") : [domain],
      );
      world = { ...applied(world, plan), nowMs: world.nowMs + 1, domains };
      const next = planWorld(world, plan);
      assert.deepEqual(new Map(next.kernel), new Map(planWorld(world).kernel));
      assert.deepEqual(
        sorted(diffKernel(plan.kernel, next.kernel)),
        sorted(diffKernel(new Map(plan.kernel), new Map(next.kernel))),
      );
      plan = next;
    }
  });

  it("is so while only what domains want changes, with each loss", () => {
    for (let seed = 0; seed < 25; seed += 1) {
      let world = seededWorld(seed);
      let plan = planWorld(world);
      for (let event = 0; event < 6; event += 1) {
        if (event === 2) world = applied(world, plan);
        const demand = ((seed * 31 + event) * 104_729_777) % 900_000_000;
        world = withDemand(world, (seed + event) % world.domains.length, demand);
        const quick = planLosses(world, planWorld(world, plan));
        const plain = planLosses(world, planWorld(world));
        assert.deepEqual(tell(quick.plan), tell(plain.plan));
        assert.deepEqual(
          quick.losses.map((loss) => tell(loss.plan)),
          plain.losses.map((loss) => tell(loss.plan)),
        );
        plan = quick.plan;
      }
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
