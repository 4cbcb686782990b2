import assert from "node:assert/strict";
import fc from "fast-check";
import type { Plan } from "../../../src/model/plan.ts";
import type { World } from "../../../src/model/world.ts";
import { applied } from "../../../src/plan/loss.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { NOW, withUplink } from "../world.ts";
import { worlds } from "./arbitrary.ts";

const RUNS = { numRuns: 100 };

/** Something that happens to an uplink. */
interface Event {
  readonly uplink: string;
  readonly change: "lost" | "back" | "drained" | "undrained";
}

function happen(world: World, { uplink, change }: Event): World {
  switch (change) {
    case "lost":
      return withUplink(world, uplink, { carrier: false, bondUp: false, lostAtMs: NOW });
    // Past its hold-down.
    case "back":
      return withUplink(world, uplink, { carrier: true, bondUp: true });
    case "drained":
      return withUplink(world, uplink, { drainedAtMs: NOW });
    case "undrained":
      return withUplink(world, uplink, { drainedAtMs: null });
  }
}

/** Plans and applies after each event, as the loop does. */
function live(
  world: World,
  events: readonly Event[],
): { readonly world: World; readonly plan: Plan } {
  let now = applied(world, planWorld(world));
  for (const event of events) {
    now = happen(now, event);
    now = applied(now, planWorld(now));
  }
  return { world: now, plan: planWorld(now) };
}

const standing = (plan: Plan) =>
  [...plan.kernel].filter(([, object]) => object.kind !== "active-port");

const uplinksOf = (world: World) =>
  world.teams.flatMap((team) => team.uplinks.map((uplink) => uplink.name));

/** One event an uplink at most, in two orders. */
const losses = (world: World) =>
  fc.subarray(uplinksOf(world), { minLength: 1 }).chain((names) =>
    fc.record({
      events: fc.tuple(
        ...names.map((uplink) =>
          fc.record({
            uplink: fc.constant(uplink),
            change: fc.constantFrom("lost" as const, "drained" as const),
          }),
        ),
      ),
      order: fc.shuffledSubarray(
        names.map((_name, index) => index),
        { minLength: names.length },
      ),
    }),
  );

const withLosses = worlds(true).chain((world) =>
  losses(world).map(({ events, order }) => ({
    world,
    events,
    shuffled: order.flatMap((index) => events[index] ?? []),
  })),
);

const opposite = ({ uplink, change }: Event): Event => ({
  uplink,
  change: change === "lost" ? "back" : "undrained",
});

describe("the order of events", () => {
  it("doesn't matter for what is usable, where homes are, and who is at home", () => {
    fc.assert(
      fc.property(withLosses, ({ world, events, shuffled }) => {
        const [one, other] = [live(world, events).plan, live(world, shuffled).plan];
        const usable = (plan: Plan) =>
          plan.teams.map(({ condition, uplinks }) => [
            condition,
            uplinks.map((uplink) => uplink.usable),
          ]);
        assert.deepEqual(usable(one), usable(other));
        const homes = (plan: Plan) =>
          plan.vnics.map(({ home, via, mac }) => [mac, home, via === home]);
        assert.deepEqual(homes(one), homes(other));
      }),
      RUNS,
    );
  });

  it("leaves no trace: once all is back, the kernel is what it was before the first", () => {
    fc.assert(
      fc.property(withLosses, ({ world, events, shuffled }) => {
        const before = standing(live(world, []).plan);
        const after = live(world, [...events, ...shuffled.map(opposite)]);
        assert.deepEqual(standing(after.plan), before);
        assert.ok(after.plan.domains.every(({ action }) => action === "none"));
      }),
      RUNS,
    );
  });

  it("doesn't matter for an uplink that flaps: the final state is the plan for the final world", () => {
    fc.assert(
      fc.property(worlds(true), fc.integer({ min: 1, max: 20 }), (world, count) => {
        const [uplink = ""] = uplinksOf(world);
        const flaps = Array.from({ length: 2 * count }, (_, index) => ({
          uplink,
          change: index % 2 === 0 ? ("lost" as const) : ("back" as const),
        }));
        assert.deepEqual(standing(live(world, flaps).plan), standing(live(world, []).plan));
      }),
      { numRuns: 30 },
    );
  });
});

describe("a placement that stands", () => {
  it("moves nobody because loads change", () => {
    const demands = fc.array(fc.integer({ min: 0, max: 20e9 }), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(worlds(true), demands, (world, loads) => {
        const now = live(world, []).world;
        const homes = (plan: Plan) =>
          new Map(plan.vnics.map(({ mac, home, via }) => [mac, [home, via]]));
        const before = homes(planWorld(now));
        let next = 0;
        const loaded = now.domains.map((domain) => ({
          ...domain,
          vnics: domain.vnics.map((vnic) => ({
            ...vnic,
            demandBitsPerSecond: loads[next++ % loads.length] ?? 0,
          })),
        }));
        const after = homes(planWorld({ ...now, domains: loaded }));
        assert.deepEqual(after, before);
      }),
      RUNS,
    );
  });
});
