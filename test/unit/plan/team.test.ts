import assert from "node:assert/strict";
import { diffKernel } from "../../../src/diff/diff.ts";
import type { KernelMap } from "../../../src/model/kernel.ts";
import { actionIndex } from "../../../src/model/layout.ts";
import { applied, planLosses, withLoss } from "../../../src/plan/loss.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import {
  actionOf,
  buildWorld,
  type DomainSpec,
  GBIT,
  MBIT,
  macOf,
  NOW,
  rateOn,
  vnicOf,
  type WorldSpec,
  withUplink,
} from "../world.ts";

const TWO = [{ name: "eno1" }, { name: "eno2" }];

/** High on eno1 with 6 gbit, low on eno2 that wants 8 gbit. */
function pair(
  low: Partial<DomainSpec["vnics"][number]>,
  more: Partial<DomainSpec> = {},
): WorldSpec {
  return {
    uplinks: TWO,
    domains: [
      {
        name: "a",
        vnics: [
          {
            priority: "high",
            bandwidth: { reservationBitsPerSecond: 6 * GBIT },
            demand: 6 * GBIT,
            home: "eno1",
          },
        ],
      },
      {
        name: "b",
        vnics: [
          {
            priority: "low",
            failover: { action: "pause" },
            demand: 8 * GBIT,
            home: "eno2",
            ...low,
          },
        ],
        ...more,
      },
    ],
  };
}

function afterLoss(spec: WorldSpec, lost: string, passedMs: number) {
  const world = withLoss(buildWorld(spec), "bond0", [lost]);
  return { ...world, nowMs: NOW + passedMs };
}

function leafOf(kernel: KernelMap, device: string, minor: number) {
  const leaf = kernel.get(`leaf ${device} 7570:${minor.toString(16)}`);
  assert.equal(leaf?.kind, "leaf");
  return leaf?.kind === "leaf" ? leaf.queue.type : null;
}

describe("standby classes", () => {
  it("hold beforehand what the displaced get beside the residents", () => {
    const plan = planWorld(buildWorld(pair({})));
    assert.equal(rateOn(plan, "a", "eno1"), 6 * GBIT);
    assert.equal(rateOn(plan, "a", "eno2"), 6 * GBIT);
  });

  it("hold less where the residents have reserved the rest", () => {
    const plan = planWorld(buildWorld(pair({ bandwidth: { reservationBitsPerSecond: 7 * GBIT } })));
    assert.equal(rateOn(plan, "b", "eno2"), 7 * GBIT);
    const standby = rateOn(plan, "a", "eno2");
    assert.ok(standby <= 3 * GBIT && standby > 3 * GBIT - 100);
  });

  it("are cut by priority once the plan for the loss is applied, and the vNIC marked beforehand", () => {
    const world = buildWorld(pair({ bandwidth: { reservationBitsPerSecond: 7 * GBIT } }));
    const { plan, losses } = planLosses(world, planWorld(world));
    assert.equal(vnicOf(plan, "a").survivesOneLoss, true);
    assert.equal(vnicOf(plan, "b").survivesOneLoss, false);
    const loss = losses.find((candidate) => candidate.uplink === "eno1");
    assert.ok(loss);
    assert.equal(rateOn(loss.plan, "a", "eno2"), 6 * GBIT);
    assert.ok(rateOn(loss.plan, "b", "eno2") < 4 * GBIT + 1);
  });

  it("discard beforehand where the policy discards at the loss of its home", () => {
    const plan = planWorld(buildWorld(pair({ failover: { action: "discard" } })));
    const { minor } = vnicOf(plan, "b");
    assert.equal(leafOf(plan.kernel, "eno2", minor), "fq_codel");
    assert.equal(leafOf(plan.kernel, "eno1", minor), "blackhole");
  });

  it("don't discard while the home is only drained", () => {
    const world = withUplink(
      buildWorld(pair({ failover: { action: "discard" }, demand: 1 * GBIT })),
      "eno2",
      { drainedAtMs: NOW },
    );
    const plan = planWorld(world);
    assert.equal(actionOf(plan, "b"), "none");
    assert.equal(leafOf(plan.kernel, "eno1", vnicOf(plan, "b").minor), "fq_codel");
  });
});

describe("claim 8: each of two vNICs goes by its own uplink, and by the other's when its own is lost", () => {
  for (const [lost, domain, other] of [
    ["eno1", "a", "eno2"],
    ["eno2", "b", "eno1"],
  ] as const) {
    it(`${domain} when ${lost} is lost`, () => {
      const world = buildWorld(pair({ demand: 1 * GBIT }));
      const whole = planWorld(world);
      assert.equal(vnicOf(whole, domain).via, lost);
      const { losses } = planLosses(world, whole);
      const plan = losses.find((loss) => loss.uplink === lost)?.plan;
      assert.ok(plan);
      assert.equal(vnicOf(plan, domain).via, other);
      assert.equal(vnicOf(plan, domain === "a" ? "b" : "a").via, other);
    });
  }
});

describe("the kernel's objects for a loss", () => {
  it("retarget a lost port's vNICs by its one shared action, and leave their filters alone", () => {
    const domains = Array.from({ length: 5 }, (_, index) => ({
      name: `vm${index}`,
      vnics: [{ demand: 1 * MBIT, home: "eno2" }],
    }));
    const world = buildWorld({ uplinks: TWO, domains });
    const plan = planWorld(world);
    const { losses } = planLosses(world, plan);
    const loss = losses.find((candidate) => candidate.uplink === "eno2");
    const steps = diffKernel(plan.kernel, loss?.plan.kernel ?? new Map());
    const [first] = steps;
    assert.deepEqual(first?.op === "change" && first.object, {
      kind: "uplink-action",
      index: actionIndex(9, 2, 2),
      queueId: 1,
    });
    assert.deepEqual(
      steps.filter((step) => step.object.kind === "vnic"),
      [],
    );
  });

  it("move the active port when it is the one that is lost, and only then", () => {
    const world = buildWorld({
      uplinks: [...TWO, { name: "eno3", speedBitsPerSecond: 25 * GBIT }],
    });
    const plan = planWorld(world);
    assert.equal(plan.kernel.has("active-port bond0"), false);
    const moves = planLosses(world, plan).losses.map((loss) =>
      loss.plan.kernel.get("active-port bond0"),
    );
    assert.deepEqual(moves, [
      { kind: "active-port", bond: "bond0", port: "eno3" },
      undefined,
      undefined,
    ]);
  });

  it("give a guest whose memory still arrives its classes and nothing else", () => {
    const { kernel } = planWorld(
      buildWorld({ uplinks: TWO, domains: [{ name: "a", phase: "incoming", vnics: [{}] }] }),
    );
    const kinds = new Set([...kernel.values()].map((object) => object.kind));
    assert.ok(kernel.has("class eno2 7570:10"));
    for (const kind of ["vnic", "reflection", "redirect"] as const) assert.ok(!kinds.has(kind));
  });

  it("take a new class number when the priority changes, since HTB would keep the old one's prio", () => {
    const world = buildWorld(pair({}));
    const before = applied(world, planWorld(world));
    const changed = {
      ...before,
      domains: before.domains.map((domain) => ({
        ...domain,
        vnics: domain.vnics.map((vnic) => ({
          ...vnic,
          policy: { ...vnic.policy, priority: "normal" as const },
        })),
      })),
    };
    const minors = new Set(
      before.domains.flatMap(({ vnics }) => vnics.map((v) => v.kernel?.minor)),
    );
    for (const vnic of planWorld(changed).vnics) assert.ok(!minors.has(vnic.minor));
  });

  it("take numbers of their own when the priorities of all change at once", () => {
    const domains = Array.from({ length: 20 }, (_, index) => ({ name: `vm${index}`, vnics: [{}] }));
    const world = buildWorld({ uplinks: TWO, domains });
    const before = applied(world, planWorld(world));
    const critical = before.domains.map((domain) => ({
      ...domain,
      vnics: domain.vnics.map((vnic) => ({
        ...vnic,
        policy: { ...vnic.policy, priority: "critical" as const },
      })),
    }));
    const minors = planWorld({ ...before, domains: critical }).vnics.map(({ minor }) => minor);
    assert.equal(new Set(minors).size, domains.length, minors.join(" "));
  });
});

describe("degradation", () => {
  it("claim 10, 11: is due after its grace time, counted from the loss", () => {
    const early = planWorld(afterLoss(pair({}), "eno1", 4000));
    const wish = early.domains.find(({ domain }) => domain === "b");
    assert.deepEqual([wish?.action, wish?.dueAtMs], ["pause", NOW + 5000]);
    assert.equal(early.nextWakeAtMs, NOW + 5000);
    // Until then it has what is left.
    assert.equal(vnicOf(early, "b").expectedBitsPerSecond, 4 * GBIT);
  });

  it("counts the grace time of a drain from the drain", () => {
    const world = withUplink(buildWorld(pair({ latched: 8 * GBIT, demand: 8 * GBIT })), "eno2", {
      drainedAtMs: NOW,
    });
    const wish = planWorld(world).domains.find((domain) => domain.domain === "b");
    assert.deepEqual([wish?.action, wish?.dueAtMs], ["pause", NOW + 5000]);
  });

  it("resumes at once whom an operator holds", () => {
    const world = afterLoss(
      pair({ latched: 8 * GBIT }, { held: true, phase: "paused" }),
      "eno2",
      1,
    );
    const pausedByUs = {
      domain: "b",
      uuid: "",
      sinceMs: NOW,
      reason: "",
      demandBitsPerSecond: {},
    };
    const domains = world.domains.map((domain) =>
      domain.name === "b" ? { ...domain, pausedByUs } : domain,
    );
    const wish = planWorld({ ...world, domains }).domains.find((domain) => domain.domain === "b");
    assert.deepEqual([wish?.action, wish?.reasons], ["resume", ["held by an operator"]]);
  });

  it("does nothing to anybody without a loss", () => {
    const plan = planWorld(buildWorld(pair({ latched: 20 * GBIT })));
    assert.deepEqual(
      plan.domains.map(({ action }) => action),
      ["none", "none"],
    );
  });

  it("claim 13: judges by the demand before the loss, not by what is left of it", () => {
    const world = afterLoss(pair({ demand: 3 * GBIT, latched: 8 * GBIT }), "eno1", 6000);
    assert.equal(actionOf(planWorld(world), "b"), "pause");
    const modest = afterLoss(pair({ demand: 3 * GBIT, latched: 3 * GBIT }), "eno1", 6000);
    assert.equal(actionOf(planWorld(modest), "b"), "none");
  });

  it("leaves alone who is held, exempt, another manager's, or not running, and says so", () => {
    const cases: [Partial<DomainSpec>, RegExp][] = [
      [{ held: true }, /held by an operator/],
      [{ exempt: "a person resumed it" }, /a person resumed it/],
      [{ owner: "nova" }, /nova manages it/],
      [{ phase: "starting" }, /it is starting/],
    ];
    for (const [more, why] of cases) {
      const plan = planWorld(afterLoss(pair({}, more), "eno1", 6000));
      assert.equal(actionOf(plan, "b"), "throttle");
      assert.match(plan.domains[1]?.reasons.join() ?? "", why);
    }
  });

  it("claim 30: discards the low priority at once when its own uplink is lost; the high one goes on", () => {
    const plan = planWorld(afterLoss(pair({ failover: { action: "discard" } }), "eno2", 0));
    const wish = plan.domains[1];
    assert.deepEqual([wish?.action, wish?.dueAtMs], ["discard", NOW]);
    assert.equal(leafOf(plan.kernel, "eno1", vnicOf(plan, "b").minor), "blackhole");
    assert.equal(vnicOf(plan, "a").expectedBitsPerSecond, 6 * GBIT);
    assert.equal(vnicOf(plan, "b").expectedBitsPerSecond, 0);
  });

  it("gives what a paused domain had reserved to the others, and back once it is to be resumed", () => {
    const spec = pair(
      { bandwidth: { reservationBitsPerSecond: 8 * GBIT }, demand: 0, priority: "high" },
      { phase: "paused", pausedByUs: pauseOf("b", 8 * GBIT) },
    );
    const world = afterLoss(spec, "eno1", 6000);
    const plan = planWorld(world);
    assert.equal(actionOf(plan, "b"), "pause");
    assert.equal(rateOn(plan, "a", "eno2"), 6 * GBIT);
    const back = planWorld(withUplink(world, "eno1", { carrier: true, bondUp: true }));
    assert.equal(actionOf(back, "b"), "resume");
    assert.equal(rateOn(back, "b", "eno2"), 8 * GBIT);
  });

  it("resumes after the longest pause whatever the load", () => {
    const spec = pair(
      { demand: 0, failover: { action: "pause", maxPauseMs: 3000 } },
      { phase: "paused", pausedByUs: pauseOf("b", 8 * GBIT) },
    );
    const early = planWorld(afterLoss(spec, "eno1", 2000));
    assert.equal(actionOf(early, "b"), "pause");
    assert.equal(early.nextWakeAtMs, NOW + 3000);
    const late = planWorld(afterLoss(spec, "eno1", 3000));
    assert.equal(actionOf(late, "b"), "resume");
    assert.match(late.domains[1]?.reasons[0] ?? "", /the longest pause allowed/);
  });

  it("pauses nobody while nothing is usable, and resumes nobody either", () => {
    const all = (world: ReturnType<typeof afterLoss>) => withLoss(world, "bond0", ["eno1", "eno2"]);
    assert.equal(actionOf(planWorld(all(afterLoss(pair({}), "eno1", 6000))), "b"), "none");
    const paused = pair({ demand: 0 }, { phase: "paused", pausedByUs: pauseOf("b", 8 * GBIT) });
    assert.equal(actionOf(planWorld(all(afterLoss(paused, "eno1", 6000))), "b"), "pause");
  });

  function pauseOf(domain: string, demand: number) {
    return {
      domain,
      uuid: "",
      sinceMs: NOW,
      reason: "",
      demandBitsPerSecond: { [macOf(1)]: demand },
    };
  }
});

describe("a vNIC whose tap its bridge has lost", () => {
  it("is told with its mend until it is back, and keeps its class", () => {
    const world = buildWorld(pair({}));
    const [a, b] = world.domains;
    assert.ok(a !== undefined && b !== undefined);
    const vnics = b.vnics.map((vnic) => ({ ...vnic, detachedFrom: "br0" }));
    const lost = { ...world, domains: [a, { ...b, vnics }] };
    const whole = planWorld(world);
    const told = planWorld(lost, whole);
    assert.deepEqual(whole.problems, []);
    assert.deepEqual(
      told.problems.map(({ object, remedy }) => [object, remedy]),
      [[`domain b ${macOf(1)}`, `ip link set dev ${b.vnics[0]?.tap} master br0`]],
    );
    assert.deepEqual(told.vnics, whole.vnics);
    assert.deepEqual(planWorld(world, told).problems, []);
  });
});
