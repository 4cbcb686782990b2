import assert from "node:assert/strict";
import type { World } from "../../../src/model/world.ts";
import { judgeDrain } from "../../../src/plan/drain.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, type DomainSpec, GBIT, NOW, vnicOf, withUplink } from "../world.ts";

const reserve = (name: string, gbit: number, home: string, priority: "low" | "high" = "low") =>
  ({
    name,
    vnics: [{ bandwidth: { reservationBitsPerSecond: gbit * GBIT }, home, priority }],
  }) satisfies DomainSpec;

const host = (...domains: DomainSpec[]): World =>
  buildWorld({ uplinks: [{ name: "eno1" }, { name: "eno2" }], domains });

function judge(world: World, uplink: string) {
  const [team] = world.teams;
  assert.ok(team);
  return judgeDrain(world, team, uplink);
}

describe("a drain", () => {
  it("is welcome where the others have room", () => {
    assert.deepEqual(judge(host(reserve("a", 6, "eno1"), reserve("b", 4, "eno2")), "eno2"), []);
  });

  it("is told what it breaks, lowest priority first, and only what it breaks", () => {
    const world = host(
      reserve("a", 8, "eno1", "high"),
      reserve("b", 4, "eno2"),
      reserve("c", 0, "eno2"),
    );
    assert.deepEqual(judge(world, "eno2"), [
      "domain b 52:54:00:00:01:00 would keep 2gbit of its reservation of 4gbit",
    ]);
    const broken = host(reserve("a", 12, "eno1"), reserve("c", 0, "eno2"));
    assert.deepEqual(judge(broken, "eno2"), []);
  });

  it("is unwelcome where there is no other uplink in service", () => {
    const lost = withUplink(host(), "eno1", { carrier: false, lostAtMs: NOW });
    assert.deepEqual(judge(lost, "eno2"), ["no other uplink is usable"]);
    const drained = withUplink(host(), "eno1", { drainedAtMs: NOW });
    assert.deepEqual(judge(drained, "eno2"), ["no other uplink is usable"]);
  });

  it("moves everything and the active port, and leaves classes for what falls back", () => {
    const world = withUplink(host(reserve("a", 6, "eno1"), reserve("b", 3, "eno2")), "eno1", {
      drainedAtMs: NOW,
    });
    const plan = planWorld(world);
    assert.deepEqual([vnicOf(plan, "a").home, vnicOf(plan, "a").via], ["eno1", "eno2"]);
    assert.deepEqual(plan.kernel.get("active-port bond0"), {
      kind: "active-port",
      bond: "bond0",
      port: "eno2",
    });
    for (const domain of ["a", "b"]) {
      const { minor } = vnicOf(plan, domain);
      assert.ok(plan.kernel.has(`class eno1 7570:${minor.toString(16)}`), domain);
    }
  });
});
