import assert from "node:assert/strict";
import fc from "fast-check";
import { diffKernel } from "../../../src/diff/diff.ts";
import { type KernelMap, kernelKey } from "../../../src/model/kernel.ts";
import { DEFAULT_MINOR, HOST_CLASS_MINORS, ROOT_MINOR } from "../../../src/model/layout.ts";
import type { Plan } from "../../../src/model/plan.ts";
import { PRIORITIES } from "../../../src/model/policy.ts";
import type { World } from "../../../src/model/world.ts";
import { hostLines, hostReservation } from "../../../src/plan/host.ts";
import { applied, planLosses, withLoss } from "../../../src/plan/loss.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { NOW } from "../world.ts";
import { worlds } from "./arbitrary.ts";
import { assertWhole, classAt } from "./whole.ts";

const RUNS = { numRuns: 300 };

const HOST_MINORS = [DEFAULT_MINOR, ...Object.values(HOST_CLASS_MINORS)];

/** The sum of rates of an uplink's host classes and of the vNICs that `carries` says it carries. */
function sumOn(
  kernel: KernelMap,
  plan: Plan,
  uplink: string,
  carries: (via: string | null) => boolean,
) {
  let sum = 0;
  for (const minor of HOST_MINORS) {
    const host = kernel.get(kernelKey(classAt(uplink, minor)));
    if (host?.kind === "class") sum += host.rateBitsPerSecond;
  }
  for (const vnic of plan.vnics) {
    if (!carries(vnic.via)) continue;
    sum += vnic.classes.find((grant) => grant.uplink === uplink)?.reservationBitsPerSecond ?? 0;
  }
  return sum;
}

/** The kernel's map without what a plan only holds while it is to change. */
function standing(kernel: KernelMap) {
  return [...kernel].filter(([, object]) => object.kind !== "active-port");
}

/** Our pauses as the daemon records them. */
function carryOut(world: World, plan: Plan): World {
  const actions = new Map(plan.domains.map((domain) => [domain.domain, domain]));
  return {
    ...world,
    domains: world.domains.map((domain) => {
      const wish = actions.get(domain.name);
      if (wish?.action === "resume") return { ...domain, phase: "running", pausedByUs: null };
      if (wish?.action !== "pause" || wish.dueAtMs > world.nowMs || domain.pausedByUs !== null)
        return domain;
      const demands = domain.vnics.flatMap((vnic) =>
        vnic.latchedDemandBitsPerSecond === null
          ? []
          : [[vnic.mac, vnic.latchedDemandBitsPerSecond] as const],
      );
      return {
        ...domain,
        phase: "paused",
        pausedByUs: {
          domain: domain.name,
          uuid: domain.uuid,
          sinceMs: world.nowMs,
          reason: "",
          demandBitsPerSecond: Object.fromEntries(demands),
        },
        // What is paused sends nothing.
        vnics: domain.vnics.map((vnic) => ({ ...vnic, demandBitsPerSecond: 0 })),
      };
    }),
  };
}

function pausedIn(world: World): string[] {
  return world.domains.filter((domain) => domain.pausedByUs !== null).map((domain) => domain.name);
}

describe("any plan", () => {
  it("grants at most the capacity, now and with the daemon dead after any single loss", () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const plan = planWorld(world);
        const usable = plan.teams[0]?.uplinks.filter((uplink) => uplink.usable) ?? [];
        for (const { name, capacityBitsPerSecond } of usable) {
          const now = sumOn(plan.kernel, plan, name, (via) => via === name);
          assert.ok(now <= capacityBitsPerSecond, `${name} carries ${now}`);
          for (const lost of usable) {
            if (lost.name === name) continue;
            const after = sumOn(
              plan.kernel,
              plan,
              name,
              (via) => via === name || via === lost.name,
            );
            assert.ok(
              after <= capacityBitsPerSecond,
              `${name} carries ${after} without ${lost.name}`,
            );
          }
        }
      }),
      RUNS,
    );
  });

  it("grants at most the capacity of whichever uplink comes back first where all are lost", () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const [team] = world.teams;
        assert.ok(team !== undefined);
        const names = team.uplinks.map((uplink) => uplink.name);
        const plan = planWorld(withLoss(world, team.config.name, names));
        assert.equal(plan.teams[0]?.condition, "isolated");
        for (const name of names) {
          const root = plan.kernel.get(kernelKey(classAt(name, ROOT_MINOR)));
          const back = sumOn(plan.kernel, plan, name, () => true);
          if (root?.kind === "class") assert.ok(back <= root.rateBitsPerSecond, `${name}: ${back}`);
        }
      }),
      RUNS,
    );
  });

  it("keeps each of the host's reservations on every uplink, as long as all of them fit there", () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const plan = planWorld(world);
        const { losses } = planLosses(world, plan);
        const config = world.teams[0]?.config;
        assert.ok(config !== undefined);
        const lines = hostLines(config);
        for (const { teams, kernel } of [plan, ...losses.map((loss) => loss.plan)]) {
          for (const { name, usable, capacityBitsPerSecond } of teams[0]?.uplinks ?? []) {
            if (!usable || hostReservation(config) > 0.85 * capacityBitsPerSecond) continue;
            for (const { minor, share } of lines) {
              const found = kernel.get(kernelKey(classAt(name, minor)));
              const rate = found?.kind === "class" ? found.rateBitsPerSecond : 0;
              assert.ok(rate + 8 > share.reservationBitsPerSecond, `${name} ${minor}: ${rate}`);
            }
          }
        }
      }),
      RUNS,
    );
  });

  it("grants at most the capacity after each single loss once the plan for it is applied", () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const { losses } = planLosses(world, planWorld(world));
        for (const { plan } of losses) {
          for (const { name, usable, capacityBitsPerSecond } of plan.teams[0]?.uplinks ?? []) {
            if (!usable) continue;
            assert.ok(
              sumOn(plan.kernel, plan, name, (via) => via === name) <= capacityBitsPerSecond,
            );
          }
        }
      }),
      RUNS,
    );
  });

  it("keeps no lower priority above its floor while it cuts a higher one's reservation", () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const plan = planWorld(world);
        const reservations = new Map(
          world.domains.flatMap((domain) =>
            domain.vnics.map(
              (vnic) => [vnic.mac, vnic.policy.bandwidth.reservationBitsPerSecond] as const,
            ),
          ),
        );
        const floor = Math.max(8, world.teams[0]?.config.floorBitsPerSecond ?? 0);
        const silent = new Set(
          plan.domains
            .filter((domain) => domain.action === "discard")
            .map((domain) => domain.domain),
        );
        for (const cut of plan.vnics) {
          const rate = rateOf(cut);
          if (rate === null || silent.has(cut.domain)) continue;
          // Whole bytes, and a byte for each class.
          if (rate + 8 * (plan.vnics.length + 2) >= (reservations.get(cut.mac) ?? 0)) continue;
          for (const other of plan.vnics) {
            if (other.via !== cut.via) continue;
            if (PRIORITIES.indexOf(other.priority) <= PRIORITIES.indexOf(cut.priority)) continue;
            assert.ok((rateOf(other) ?? 0) <= floor, `${other.mac} keeps ${rateOf(other)}`);
          }
        }
      }),
      RUNS,
    );

    function rateOf({ via, classes }: Plan["vnics"][number]): number | null {
      return classes.find((grant) => grant.uplink === via)?.reservationBitsPerSecond ?? null;
    }
  });

  it("expects no more on an uplink than its capacity, and no more for a vNIC than its limit", () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const plan = planWorld(world);
        for (const { name, capacityBitsPerSecond } of plan.teams[0]?.uplinks ?? []) {
          const there = plan.vnics.filter((vnic) => vnic.via === name);
          const sum = there.reduce((total, vnic) => total + vnic.expectedBitsPerSecond, 0);
          assert.ok(sum <= capacityBitsPerSecond);
        }
        for (const vnic of plan.vnics) {
          const grant = vnic.classes.find(({ uplink }) => uplink === vnic.via);
          assert.ok(vnic.expectedBitsPerSecond < (grant?.limitBitsPerSecond ?? 0) + 8);
        }
      }),
      RUNS,
    );
  });

  it("is the same for the same world", () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const first = planWorld(world);
        const second = planWorld(structuredClone(world));
        assert.deepEqual(second, first);
        assert.deepEqual([...second.kernel], [...first.kernel]);
      }),
      RUNS,
    );
  });

  it("is a fixed point: applied and planned again, it has nothing to change", () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const plan = planWorld(world);
        const after = applied(world, plan);
        const again = planWorld(after);
        assert.deepEqual(standing(again.kernel), standing(plan.kernel));
        assert.deepEqual(diffKernel(after.kernel, again.kernel), []);
      }),
      RUNS,
    );
  });

  it("doesn't depend on the order in which the kernel's objects are found", () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const after = applied(world, planWorld(world));
        const reversed = { ...after, kernel: new Map([...after.kernel].reverse()) };
        assert.deepEqual(planWorld(reversed), planWorld(after));
      }),
      RUNS,
    );
  });

  it("gives every filter's class on every uplink, and the default class everywhere", () => {
    fc.assert(
      fc.property(worlds(), (world) => assertWhole(planWorld(world).kernel)),
      RUNS,
    );
  });
});

describe("the plan for a loss", () => {
  it("moves only what the lost uplink carried, and leaves every home where it is", () => {
    fc.assert(
      fc.property(worlds(), (world) => {
        const plan = planWorld(world);
        const { losses } = planLosses(world, plan);
        for (const loss of losses) {
          // With no other left, one that waits is taken, and that is another question.
          if (plan.teams[0]?.uplinks.filter((uplink) => uplink.usable).length === 1) continue;
          for (const vnic of loss.plan.vnics) {
            const before = plan.vnics.find((candidate) => candidate.mac === vnic.mac);
            if (before === undefined) continue;
            assert.equal(vnic.home, before.home);
            if (before.via === before.home && before.via !== loss.uplink)
              assert.equal(vnic.via, before.via);
          }
        }
      }),
      RUNS,
    );
  });

  it("brings everything back home once the uplink is back and past its hold-down", () => {
    fc.assert(
      fc.property(worlds(true), fc.constantFrom("eno1", "eno2"), (world, lost) => {
        const whole = applied(world, planWorld(world));
        const degraded = withLoss(whole, "bond0", [lost]);
        const after = applied(degraded, planWorld(degraded));
        const back: World = {
          ...after,
          teams: after.teams.map((team) => ({ ...team, uplinks: whole.teams[0]?.uplinks ?? [] })),
        };
        for (const vnic of planWorld(back).vnics) {
          const home = planWorld(whole).vnics.find(({ mac }) => mac === vnic.mac)?.home;
          assert.equal(vnic.via, home);
        }
      }),
      RUNS,
    );
  });
});

describe("pauses", () => {
  it("don't flap: what is paused by a plan is kept paused by the next ones, and nobody follows", () => {
    fc.assert(
      fc.property(worlds(true), fc.constantFrom("eno1", "eno2"), (world, lost) => {
        const whole = applied(world, planWorld(world));
        let now: World = { ...withLoss(whole, "bond0", [lost]), nowMs: NOW + 10_000 };
        now = carryOut(applied(now, planWorld(now)), planWorld(now));
        const paused = pausedIn(now);
        for (let round = 1; round <= 3; round += 1) {
          now = { ...now, nowMs: NOW + 10_000 + round * 1000 };
          const plan = planWorld(now);
          now = carryOut(applied(now, plan), plan);
          assert.deepEqual(pausedIn(now), paused);
        }
      }),
      RUNS,
    );
  });

  it("end all when the team is whole again", () => {
    fc.assert(
      fc.property(worlds(true), (world) => {
        const whole = applied(world, planWorld(world));
        const degraded: World = { ...withLoss(whole, "bond0", ["eno1"]), nowMs: NOW + 10_000 };
        const plan = planWorld(degraded);
        const paused = carryOut(applied(degraded, plan), plan);
        const back = { ...paused, teams: whole.teams };
        assert.deepEqual(pausedIn(carryOut(back, planWorld(back))), []);
      }),
      RUNS,
    );
  });
});
