import assert from "node:assert/strict";
import type { RebalanceRules } from "../../../src/model/config.ts";
import type { Plan } from "../../../src/model/plan.ts";
import type { World } from "../../../src/model/world.ts";
import { applied, planLosses } from "../../../src/plan/loss.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import {
  buildWorld,
  type DomainSpec,
  GBIT,
  macOf,
  NOW,
  type VnicSpec,
  vnicOf,
  type WorldSpec,
  withUplink,
} from "../world.ts";

const ON: RebalanceRules = { mode: "on", threshold: 0.1, coolDownMs: 300_000 };
const TWO = [{ name: "eno1" }, { name: "eno2" }];

/** Three domains on eno1 that send 4, 3 and 2 gbit/s, nobody on eno2; both have 10 gbit/s. */
const SKEWED: readonly DomainSpec[] = [
  { name: "large", vnics: [{ home: "eno1", demand: 4 * GBIT }] },
  { name: "middle", vnics: [{ home: "eno1", demand: 3 * GBIT }] },
  { name: "small", vnics: [{ home: "eno1", demand: 2 * GBIT }] },
];

function worldOf(spec: Partial<WorldSpec> = {}, rules: RebalanceRules = ON): World {
  const { config, ...rest } = spec;
  return buildWorld({
    uplinks: TWO,
    domains: SKEWED,
    ...rest,
    config: { rebalance: rules, ...config },
  });
}

function change(name: string, wish: VnicSpec, others = SKEWED): DomainSpec[] {
  return others.map((domain) =>
    domain.name === name ? { name, vnics: [{ ...domain.vnics[0], ...wish }] } : domain,
  );
}

/** Where the large one may not go. */
const WITHOUT_LARGE = [
  ["middle", "eno1", "eno2", "made"],
  ["small", "eno1", "eno2", "made"],
];

const balanceOf = (plan: Plan) => plan.teams[0]?.balance ?? null;
const movedBy = (plan: Plan) =>
  (balanceOf(plan)?.moves ?? []).map(({ domain, from, to, state }) => [domain, from, to, state]);

describe("evening out a team's load", () => {
  it("moves the fewest vNICs that do, and says why", () => {
    const plan = planWorld(worldOf());
    assert.deepEqual(movedBy(plan), [["large", "eno1", "eno2", "made"]]);
    const { home, via, reasons } = vnicOf(plan, "large");
    assert.deepEqual([home, via], ["eno2", "eno2"]);
    assert.match(
      reasons.join(),
      /moved from eno1 to eno2 with its 4gbit: eno1 was used by 90 %, eno2 by 0 %, even is 45 %/,
    );
    assert.equal(vnicOf(plan, "small").home, "eno1");
  });

  it("then holds still", () => {
    const world = worldOf();
    const plan = planWorld(world);
    const later = { ...applied(world, plan), nowMs: NOW + 600_000 };
    const again = planWorld(later);
    assert.deepEqual(movedBy(again), []);
    assert.match(balanceOf(again)?.reason ?? "", /even to 5 %, 10 % are allowed/);
    assert.deepEqual([...again.kernel.keys()], [...plan.kernel.keys()]);
  });

  it("does nothing unless asked, and only shows it where only that is asked", () => {
    const off = planWorld(worldOf({}, { ...ON, mode: "off" }));
    assert.equal(balanceOf(off), null);
    assert.equal(vnicOf(off, "large").home, "eno1");
    assert.equal(off.nextWakeAtMs, null);
    const suggest = planWorld(worldOf({}, { ...ON, mode: "suggest" }));
    assert.deepEqual(movedBy(suggest), [["large", "eno1", "eno2", "suggested"]]);
    assert.equal(vnicOf(suggest, "large").home, "eno1");
    assert.deepEqual([...suggest.kernel], [...off.kernel]);
  });

  it("leaves alone what is even within the threshold", () => {
    const world = worldOf({}, { ...ON, threshold: 0.5 });
    assert.deepEqual(movedBy(planWorld(world)), []);
  });

  it("weighs by speed, and counts what the host sends by the active port", () => {
    const uplinks = [
      { name: "eno1", speedBitsPerSecond: 1 * GBIT },
      { name: "eno2", speedBitsPerSecond: 10 * GBIT },
    ];
    const domains = ["a", "b", "c", "d"].map((name) => ({
      name,
      vnics: [{ home: "eno1", demand: 0.2 * GBIT }],
    }));
    const moved = (spec: Partial<WorldSpec>) =>
      movedBy(planWorld(worldOf({ uplinks, domains, ...spec })));
    // 0.8 of 11 gbit/s is 7 %: at most 17 % of eno1 is left, so all must go.
    assert.equal(moved({}).length, 4);
    const three = domains.slice(0, 3).map((domain, index) => ({
      ...domain,
      vnics: [{ home: index === 0 ? "eno1" : "eno2", demand: 0.13 * GBIT }],
    }));
    assert.equal(moved({ domains: three }).length, 0);
    assert.equal(moved({ domains: three, hostDemand: 0.1 * GBIT }).length, 1);
  });

  it("honours what policies prefer and whom they keep apart, also among what moves", () => {
    const preferred = change("large", { placement: { prefer: ["eno1"] } });
    assert.deepEqual(movedBy(planWorld(worldOf({ domains: preferred }))), WITHOUT_LARGE);
    const third = [
      ...change("large", { placement: { apart: ["there"] } }),
      { name: "there", vnics: [{ home: "eno2", demand: 0 }] },
    ];
    const apart = planWorld(worldOf({ domains: third }));
    assert.equal(vnicOf(apart, "large").home, "eno1");
    assert.deepEqual(movedBy(apart), WITHOUT_LARGE);
  });

  it("never moves a high priority onto the active port", () => {
    const high = SKEWED.map(({ name, vnics }) => ({
      name,
      vnics: vnics.map((vnic) => ({ ...vnic, priority: "high" as const })),
    }));
    assert.deepEqual(movedBy(planWorld(worldOf({ domains: high, active: "eno2" }))), []);
    assert.equal(movedBy(planWorld(worldOf({ domains: high, active: "eno1" }))).length, 1);
  });

  it("leaves a vNIC where it is until its cool-down is over, however it came there", () => {
    const moves = (agoMs: number, voluntary: boolean) =>
      change("large", { recentMoves: [{ atMs: NOW - agoMs, voluntary }] });
    for (const voluntary of [true, false]) {
      const resting = planWorld(worldOf({ domains: moves(299_000, voluntary) }));
      assert.deepEqual(movedBy(resting), WITHOUT_LARGE);
      const rested = planWorld(worldOf({ domains: moves(300_000, voluntary) }));
      assert.deepEqual(movedBy(rested), [["large", "eno1", "eno2", "made"]]);
    }
  });

  it("measures anew for three windows after any move in the team", () => {
    const waits = planWorld(worldOf({ lastMoveAtMs: NOW - 29_000 }));
    assert.deepEqual(movedBy(waits), []);
    assert.match(balanceOf(waits)?.reason ?? "", /uneven by 45 %.*measured anew for 1s/);
    assert.equal(waits.nextWakeAtMs, NOW + 10_000);
    assert.equal(movedBy(planWorld(worldOf({ lastMoveAtMs: NOW - 30_000 }))).length, 1);
  });

  it("counts who isn't measured yet by the reservation, and doesn't move it", () => {
    const fresh = SKEWED.map(({ name, vnics }) => ({
      name,
      vnics: vnics.map(({ demand, ...vnic }) => ({
        ...vnic,
        bandwidth: { reservationBitsPerSecond: demand ?? 0 },
      })),
    }));
    const plan = planWorld(worldOf({ domains: fresh }));
    assert.deepEqual(movedBy(plan), []);
    assert.equal(balanceOf(plan)?.uplinks[0]?.utilisation, 0.9);
    const young = change("large", { measuredForMs: 9000 });
    assert.deepEqual(movedBy(planWorld(worldOf({ domains: young }))), WITHOUT_LARGE);
  });

  it("moves nothing while an uplink is lost, held or drained, nor in a what-if", () => {
    const lost = withUplink(worldOf(), "eno2", { carrier: false, lostAtMs: NOW });
    assert.deepEqual(movedBy(planWorld(lost)), []);
    assert.match(balanceOf(planWorld(lost))?.reason ?? "", /waits for eno2: no carrier/);
    const drained = withUplink(worldOf(), "eno2", { drainedAtMs: NOW });
    assert.deepEqual(movedBy(planWorld(drained)), []);
    assert.equal(balanceOf(planWorld({ ...worldOf(), hypothetical: true })), null);
  });

  it("never moves a reservation to where it doesn't fit", () => {
    const domains = [
      ...change("large", { bandwidth: { reservationBitsPerSecond: 5 * GBIT } }),
      {
        name: "quiet",
        vnics: [{ home: "eno2", demand: 0, bandwidth: { reservationBitsPerSecond: 6 * GBIT } }],
      },
    ];
    const plan = planWorld(worldOf({ domains }));
    assert.deepEqual(movedBy(plan), WITHOUT_LARGE);
  });

  it("never moves one where the loss of another uplink would then break a reservation", () => {
    const reserved = (home: string, gbit: number, demand: number): VnicSpec => ({
      home,
      demand,
      bandwidth: { reservationBitsPerSecond: gbit * GBIT },
    });
    // Whichever is lost, the others take its 4 in; with 8 together on one of them nobody could.
    const uplinks = [{ name: "eno1" }, { name: "eno2" }, { name: "eno3" }];
    const domains = [
      { name: "a", vnics: [reserved("eno1", 4, 4 * GBIT), reserved("eno1", 1, 0)] },
      { name: "b", vnics: [reserved("eno1", 2, 4 * GBIT)] },
      { name: "c", vnics: [reserved("eno2", 6, 0)] },
      { name: "d", vnics: [reserved("eno3", 6, 0)] },
    ];
    const world = worldOf({ uplinks, domains });
    const plan = planWorld(world);
    const broken = (one: Plan) =>
      one.vnics.filter((vnic) => !vnic.survivesOneLoss).map(({ mac }) => mac);
    const still = planWorld(worldOf({ uplinks, domains }, { ...ON, mode: "off" }));
    const before = new Set(broken(planLosses(world, still).plan));
    for (const mac of broken(planLosses(world, plan).plan)) assert.ok(before.has(mac), mac);
  });

  it("sees a queue that has emptied although nothing else has changed", () => {
    const world = worldOf({ domains: change("large", { backlogBytes: 20_000 }) });
    const emptied = world.domains.map((domain) => ({
      ...domain,
      vnics: domain.vnics.map((vnic) => ({ ...vnic, backlogBytes: 0 })),
    }));
    const plan = planWorld({ ...world, domains: emptied }, planWorld(world));
    assert.deepEqual(movedBy(plan), [["large", "eno1", "eno2", "made"]]);
  });

  it("waits for an empty queue, looks again soon, and does so for two seconds", () => {
    const busy = change("large", { backlogBytes: 20_000 });
    const first = planWorld(worldOf({ domains: busy }));
    assert.deepEqual(movedBy(first), [["large", "eno1", "eno2", "waiting"]]);
    assert.equal(vnicOf(first, "large").home, "eno1");
    assert.equal(first.nextWakeAtMs, NOW + 100);
    const still = worldOf({ domains: busy, movesWaitSinceMs: NOW - 1900 });
    assert.deepEqual(movedBy(planWorld(still)), [["large", "eno1", "eno2", "waiting"]]);
    const over = worldOf({ domains: busy, movesWaitSinceMs: NOW - 2000 });
    assert.deepEqual(movedBy(planWorld(over)), [["large", "eno1", "eno2", "made"]]);
    const empty = worldOf({ movesWaitSinceMs: NOW - 100 });
    assert.deepEqual(movedBy(planWorld(empty)), [["large", "eno1", "eno2", "made"]]);
  });

  it("plans losses for what will be where it moves to", () => {
    const world = worldOf();
    const plan = planWorld(world);
    const { losses } = planLosses(world, plan);
    const ofTarget = losses.find(({ uplink }) => uplink === "eno2");
    assert.ok(ofTarget !== undefined);
    const { home, via } = vnicOf(ofTarget.plan, "large");
    assert.deepEqual([home, via], ["eno2", "eno1"]);
    assert.equal(plan.vnics.length, 3);
    assert.ok(plan.vnics.some(({ mac }) => mac === macOf(0)));
  });
});
