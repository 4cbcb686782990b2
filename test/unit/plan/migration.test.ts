import assert from "node:assert/strict";
import type { HostClass } from "../../../src/model/host-traffic.ts";
import type { DomainPlan } from "../../../src/model/plan.ts";
import type { NetworkWish } from "../../../src/model/policy.ts";
import type { World } from "../../../src/model/world.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, type DomainSpec, GBIT, MBIT, NOW, PLAIN_CONFIG } from "../world.ts";

const RACK2 = { name: "rack2", uri: "qemu+tls://rack2/system", migrateUri: null };
const RACK3 = { name: "rack3", uri: "qemu+tls://rack3/system", migrateUri: null };
const LOST = { carrier: false, bondUp: false, lostAtMs: NOW - 60_000 };

/** Wants 8 Gbit/s, and may be moved. */
const bulk = (
  name: string,
  wish: NetworkWish = {},
  more: Partial<DomainSpec> = {},
): DomainSpec => ({
  name,
  vnics: [
    {
      priority: "low",
      ...wish,
      failover: { action: "migrate", graceMs: 1000, ...wish.failover },
      home: "eno2",
      latched: 8 * GBIT,
    },
  ],
  ...more,
});

/** Of two uplinks of 10 Gbit/s one is lost; `vital` keeps 6 Gbit/s. */
function degraded(domains: readonly DomainSpec[], config: Partial<World["config"]> = {}): World {
  const vital: DomainSpec = {
    name: "vital",
    vnics: [
      {
        priority: "high",
        bandwidth: { reservationBitsPerSecond: 6 * GBIT },
        home: "eno1",
        latched: 6 * GBIT,
      },
    ],
  };
  const world = buildWorld({
    uplinks: [{ name: "eno1" }, { name: "eno2", ...LOST }],
    domains: [vital, ...domains],
  });
  return { ...world, config: { ...PLAIN_CONFIG, destinations: [RACK2, RACK3], ...config } };
}

function plansOf(world: World): ReadonlyMap<string, DomainPlan> {
  return new Map(planWorld(world).domains.map((plan) => [plan.domain, plan]));
}

const planOf = (world: World, name: string) => plansOf(world).get(name) as DomainPlan;

describe("claims 14 and 50: a domain that its degraded team can't serve", () => {
  it("is moved to the first destination, with what reservations leave", () => {
    const plan = planOf(degraded([bulk("batch")]), "batch");
    assert.equal(plan.action, "migrate");
    assert.equal(plan.migration?.destination, "rack2");
    const bandwidth = plan.migration?.bandwidthBitsPerSecond ?? 0;
    assert.ok(bandwidth > 3.9 * GBIT && bandwidth <= 4 * GBIT, `${bandwidth}`);
  });

  it("is moved within the limit of the host's migration class, where there is one", () => {
    const world = degraded([bulk("batch")]);
    const [team] = world.teams;
    assert.ok(team !== undefined);
    const migration: HostClass = {
      name: "migration",
      reservationBitsPerSecond: 500 * MBIT,
      limitBitsPerSecond: GBIT,
      shares: 100,
      priority: "low",
      matches: [],
    };
    const limited = { ...team, config: { ...team.config, hostClasses: [migration] } };
    const plan = planOf({ ...world, teams: [limited] }, "batch");
    assert.equal(plan.migration?.bandwidthBitsPerSecond, GBIT);
    const free = { ...migration, limitBitsPerSecond: null };
    const wide = { ...team, config: { ...team.config, hostClasses: [free] } };
    // Its own reservation is among what is left for it.
    const rate = planOf({ ...world, teams: [wide] }, "batch").migration?.bandwidthBitsPerSecond;
    assert.ok(rate !== undefined && rate > 3.9 * GBIT && rate <= 4 * GBIT, `${rate}`);
  });

  it("goes where its own policy says first, and never where no configuration says", () => {
    const destinations = ["nowhere", "rack3", "rack2"];
    const world = degraded([bulk("batch", { failover: { destinations } })]);
    assert.equal(planOf(world, "batch").migration?.destination, "rack3");
  });

  it("is asked of the next destination after a refusal, then paused, then throttled", () => {
    const uuid = "00000000-0000-4000-8000-000000000001";
    const refusal = (destination: string, untilMs = NOW + 1) => ({
      ...{ uuid, destination, untilMs },
      reason: "no room",
    });
    const refused = (refusals: readonly ReturnType<typeof refusal>[], wish: NetworkWish = {}) =>
      planOf(degraded([bulk("batch", wish, { refusals })]), "batch");
    const next = refused([refusal("rack2")]);
    assert.deepEqual([next.action, next.migration?.destination], ["migrate", "rack3"]);
    const last = refused([refusal("rack2"), refusal("rack3")]);
    assert.deepEqual([last.action, last.migration], ["pause", null]);
    assert.match(last.reasons.join(), /paused, not moved: rack2 didn't take it \(no room\), rack3/);
    const capped = refused([refusal("rack2"), refusal("rack3")], {
      failover: { neverPause: true },
    });
    assert.equal(capped.action, "throttle");
    const again = refused([refusal("rack2", NOW), refusal("rack3")]);
    assert.equal(again.migration?.destination, "rack2", "a refusal ends");
  });

  it("is paused where the configuration has no destination", () => {
    const plan = planOf(degraded([bulk("batch")], { destinations: [] }), "batch");
    assert.equal(plan.action, "pause");
    assert.match(plan.reasons.join(), /uplinkd.yaml has no destinations/);
  });

  it("is never moved while it is held, or another manager's", () => {
    for (const more of [{ held: true }, { owner: "nova" }]) {
      const plan = planOf(degraded([bulk("batch", {}, more)]), "batch");
      assert.deepEqual([plan.action, plan.migration], ["throttle", null]);
    }
  });

  it("is left alone with no usable uplink at all", () => {
    const world = degraded([bulk("batch")]);
    const teams = world.teams.map((team) => ({
      ...team,
      uplinks: team.uplinks.map((uplink) => ({ ...uplink, ...LOST })),
    }));
    const plan = planOf({ ...world, teams }, "batch");
    assert.deepEqual([plan.action, plan.migration], ["none", null]);
  });

  it("isn't moved before its grace time has passed", () => {
    const world = degraded([bulk("batch", { failover: { graceMs: 60_001 } })]);
    const plan = planOf(world, "batch");
    assert.deepEqual([plan.action, plan.migration, plan.dueAtMs], ["migrate", null, NOW + 1]);
  });

  it("waits while as many as allowed are under way, lowest priority first", () => {
    const domains = [bulk("a", { priority: "normal" }), bulk("b"), bulk("c")];
    const moved = (concurrent: 1 | 2) => {
      const migration = { ...PLAIN_CONFIG.migration, concurrent };
      const plans = plansOf(degraded(domains, { migration }));
      return ["a", "b", "c"].map((name) => plans.get(name)?.migration?.destination ?? null);
    };
    assert.deepEqual(moved(1), [null, "rack2", null]);
    assert.deepEqual(moved(2), [null, "rack2", "rack2"]);
    const waits = planOf(degraded(domains), "c");
    assert.match(waits.reasons.join(), /to rack2, and waits: 1 is moved at a time/);
  });

  it("is sent no faster than configured, and waits where less is left than libvirt can be told", () => {
    const limited = { ...PLAIN_CONFIG.migration, bandwidthBitsPerSecond: 500 * MBIT };
    const slow = planOf(degraded([bulk("batch")], { migration: limited }), "batch");
    assert.equal(slow.migration?.bandwidthBitsPerSecond, 500 * MBIT);
    const greedy = bulk("greedy", {
      priority: "high",
      bandwidth: { reservationBitsPerSecond: 4 * GBIT },
      failover: { action: "throttle" },
    });
    const full = planOf(degraded([bulk("batch"), greedy]), "batch");
    assert.deepEqual([full.action, full.migration], ["migrate", null]);
    assert.match(
      full.reasons.join(),
      /waits: reservations leave .* libvirt's least is 8\.3[0-9]*mbit/,
    );
  });
});

describe("a migration that is under way", () => {
  const migration = {
    ...{ domain: "batch", uuid: "00000000-0000-4000-8000-000000000001", destination: "rack2" },
    ...{ sinceMs: NOW - 1000, bandwidthBitsPerSecond: 500 * MBIT, reason: "" },
  };

  it("goes on although it is no longer needed, and ends at its time limit", () => {
    const world = degraded([bulk("batch", {}, { migration })]);
    const teams = world.teams.map((team) => ({
      ...team,
      uplinks: team.uplinks.map((uplink) => ({
        ...uplink,
        carrier: true,
        bondUp: true,
        lostAtMs: null,
      })),
    }));
    const whole = { ...world, teams };
    const plan = planOf(whole, "batch");
    assert.deepEqual(
      [plan.action, plan.migration?.destination, plan.migration?.bandwidthBitsPerSecond],
      ["migrate", "rack2", 500 * MBIT],
    );
    const endsAtMs = migration.sinceMs + PLAIN_CONFIG.migration.timeoutMs;
    assert.equal(planWorld(whole).nextWakeAtMs, endsAtMs);
    const late = planOf({ ...whole, nowMs: endsAtMs }, "batch");
    assert.deepEqual([late.action, late.migration], ["none", null]);
    assert.match(late.reasons.join(), /its migration to rack2 is aborted: it takes longer than 5m/);
  });

  it("is aborted when an operator holds the domain", () => {
    const plan = planOf(degraded([bulk("batch", {}, { migration, held: true })]), "batch");
    assert.deepEqual([plan.action, plan.migration], ["throttle", null]);
    assert.match(plan.reasons.join(), /aborted: held by an operator/);
  });

  it("keeps the place of the only one", () => {
    const plans = plansOf(degraded([bulk("batch", {}, { migration }), bulk("other")]));
    assert.equal(plans.get("other")?.migration, null);
    assert.equal(plans.get("batch")?.migration?.destination, "rack2");
  });
});
