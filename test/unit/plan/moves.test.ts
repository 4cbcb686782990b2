import assert from "node:assert/strict";
import { planLosses } from "../../../src/plan/loss.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, NOW, type UplinkSpec, type VnicSpec, vnicOf } from "../world.ts";

const TWO: UplinkSpec[] = [{ name: "eno1" }, { name: "eno2" }];
const moved = (...secondsAgo: number[]) =>
  secondsAgo.map((ago) => ({ atMs: NOW - ago * 1000, voluntary: true }));

function planOf(vnic: VnicSpec, uplinks = TWO) {
  const world = buildWorld({ uplinks, domains: [{ name: "web1", vnics: [vnic] }] });
  return { world, plan: planWorld(world) };
}

describe("a vNIC that has moved", () => {
  const away = { home: "eno1", via: "eno2" };

  it("goes home after one voluntary move, and stays after two, until the first is 3 minutes old", () => {
    assert.equal(vnicOf(planOf({ ...away, recentMoves: moved(60) }).plan, "web1").via, "eno1");
    const { plan } = planOf({ ...away, recentMoves: moved(60, 10) });
    const vnic = vnicOf(plan, "web1");
    assert.deepEqual([vnic.home, vnic.via], ["eno1", "eno2"]);
    assert.match(vnic.reasons.join(), /stays on eno2: it moved twice/);
    assert.equal(plan.nextWakeAtMs, NOW + 120_000);
    const later = planOf({ ...away, recentMoves: moved(180, 10) });
    assert.equal(vnicOf(later.plan, "web1").via, "eno1");
  });

  it("does not follow a preference either, when it has moved twice", () => {
    const wish = { home: "eno1", placement: { prefer: ["eno2"] } };
    assert.equal(vnicOf(planOf(wish).plan, "web1").via, "eno2");
    const held = vnicOf(planOf({ ...wish, recentMoves: moved(60, 10) }).plan, "web1");
    assert.deepEqual([held.home, held.via], ["eno1", "eno1"]);
  });

  it("is not held by moves that had to be", () => {
    const forced = moved(60, 50, 40).map((move) => ({ ...move, voluntary: false }));
    const { plan } = planOf({ ...away, recentMoves: [...forced, ...moved(10)] });
    assert.equal(vnicOf(plan, "web1").via, "eno1");
  });

  it("leaves a lost uplink all the same, by a filter that leads to the one that carries it", () => {
    const { world, plan } = planOf({ ...away, recentMoves: moved(60, 10) });
    const queueOf = (kernel: typeof plan.kernel, device: string) => {
      const filter = [...kernel.values()].find((object) => object.kind === "vnic");
      const action = kernel.get(`uplink-action ${filter?.actionIndex.toString(16)}`);
      const port = kernel.get(`port-queue ${device}`);
      return (
        action?.kind === "uplink-action" &&
        port?.kind === "port-queue" &&
        action.queueId === port.queueId
      );
    };
    assert.ok(queueOf(plan.kernel, "eno2"));
    const loss = planLosses(world, plan).losses.find(({ uplink }) => uplink === "eno2");
    assert.ok(loss !== undefined && vnicOf(loss.plan, "web1").via === "eno1");
    assert.ok(queueOf(loss.plan.kernel, "eno1"));
  });

  it("is not discarded while it waits to go home, though its policy discards at a loss", () => {
    const { plan } = planOf({
      ...away,
      failover: { action: "discard" },
      recentMoves: moved(60, 10),
    });
    const leaf = plan.kernel.get("leaf eno2 7570:10");
    assert.equal(leaf?.kind === "leaf" && leaf.queue.type, "fq_codel");
    assert.equal(plan.domains[0]?.action, "none");
  });
});
