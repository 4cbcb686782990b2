import assert from "node:assert/strict";
import type { Run } from "../../../src/daemon/loop.ts";
import { WhatIf } from "../../../src/daemon/what-if.ts";
import type { World } from "../../../src/model/world.ts";
import { applied, withLoss } from "../../../src/plan/loss.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, type DomainSpec, GBIT, NOW, type WorldSpec } from "../world.ts";

const spec: WorldSpec = {
  uplinks: [{ name: "eno1" }, { name: "eno2" }],
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
      vnics: [{ priority: "low", failover: { action: "pause" }, demand: 8 * GBIT, home: "eno2" }],
    },
  ],
};

const whatIf = (world: World) =>
  new WhatIf({ imagine: () => world, last: { plan: planWorld(world) } as Run });
const actionIn = (answer: ReturnType<WhatIf["simulate"]>, name: string) =>
  answer.domains.find((domain) => domain.name === name)?.action;

describe("a what-if of the live host", () => {
  it("gives what the plan after the loss gives, grace times elapsed, and changes nothing", () => {
    const world = buildWorld(spec);
    const present = whatIf(world).simulate([]);
    assert.deepEqual([present.condition, actionIn(present, "b")], ["ok", "none"]);
    const answer = whatIf(world).simulate(["eno2"]);
    assert.equal(answer.condition, "degraded");
    assert.equal(actionIn(answer, "b"), "pause");
    const lost = withLoss(applied(world, planWorld(world)), "bond0", ["eno2"]);
    const plan = planWorld({ ...lost, nowMs: NOW + 60_000 });
    assert.deepEqual(
      answer.vnics.map(({ home, homeBeforeLoss }) => [homeBeforeLoss, home]),
      plan.vnics.map(({ home, via }) => [home, via]),
    );
  });

  it("judges anew, by what it wanted, whom we have paused for a loss of today", () => {
    const [a, b] = spec.domains as readonly [DomainSpec, DomainSpec];
    const world = buildWorld({
      ...spec,
      domains: [a, { ...b, phase: "paused", vnics: [{ ...b.vnics[0], demand: 0, latched: null }] }],
    });
    const mac = world.domains[1]?.vnics[0]?.mac ?? "";
    const pausedByUs = {
      domain: "b",
      uuid: "",
      sinceMs: NOW,
      reason: "",
      demandBitsPerSecond: { [mac]: 8 * GBIT },
    };
    const paused = {
      ...world,
      domains: world.domains.map((domain) =>
        domain.name === "b" ? { ...domain, pausedByUs } : domain,
      ),
    };
    assert.equal(actionIn(whatIf(paused).simulate(["eno2"]), "b"), "pause");
    assert.equal(whatIf(paused).simulate([]).vnics[1]?.expectedBitsPerSecond, 8 * GBIT);
  });

  it("leaves out teams that aren't managed, and knows nothing before the first look", () => {
    const world = buildWorld(spec);
    const unmanaged = { ...world, teams: world.teams.map((team) => ({ ...team, bond: null })) };
    assert.deepEqual(whatIf(unmanaged).uplinkNames(), []);
    assert.deepEqual(whatIf(world).uplinkNames(), ["eno1", "eno2"]);
    const blind = new WhatIf({ imagine: () => null, last: null });
    assert.deepEqual([blind.uplinkNames(), blind.simulate([]).condition], [[], "refused"]);
  });
});
