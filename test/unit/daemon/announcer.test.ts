import assert from "node:assert/strict";
import { Announcer } from "../../../src/daemon/announcer.ts";
import type { Run } from "../../../src/daemon/loop.ts";
import type { World } from "../../../src/model/world.ts";
import { planLosses } from "../../../src/plan/loss.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { VirtualClock } from "../../simulation/clock.ts";
import { buildWorld, macOf, NOW, withUplink } from "../world.ts";
import { fakeLog } from "./fake.ts";

const whole = buildWorld({
  uplinks: [{ name: "eno1" }, { name: "eno2" }],
  domains: [
    { name: "web1", vnics: [{ home: "eno1" }] },
    { name: "db1", phase: "incoming", vnics: [{ home: "eno1" }] },
    { name: "db2", vnics: [{ home: "eno2" }] },
  ],
});
const lost = withUplink(whole, "eno1", { carrier: false, bondUp: false, lostAtMs: NOW });

function runOf(world: World): Run {
  const planned = planLosses(world, planWorld(world));
  return {
    world,
    plan: planned.plan,
    losses: planned.losses,
    moves: new Map(),
    sourceCounts: [],
    inboundCounts: [],
    steps: [],
  };
}

describe("the announcer", () => {
  /** Each frame as `ifindex mac`. */
  let sent: string[];
  let refusal: string | null;
  let lines: string[];
  let announcer: Announcer;
  let clock: VirtualClock;
  const pass = (durationMs: number) => clock.advance(durationMs, () => Promise.resolve());

  beforeEach(() => {
    clock = new VirtualClock();
    sent = [];
    refusal = null;
    const told = fakeLog();
    lines = told.lines;
    announcer = new Announcer({
      frames: {
        send: (ifindex, frame) => {
          if (refusal === null)
            sent.push(`${ifindex} ${Buffer.from(frame).toString("hex", 6, 12)}`);
          return refusal;
        },
        close: () => undefined,
      },
      log: told.log,
      clock,
      rules: () => ({ count: 2, intervalMs: 20 }),
    });
    announcer.follow(whole, planWorld(whole));
  });
  afterEach(() => announcer.close());

  const web1 = macOf(0).replaceAll(":", "");

  it("announces running guests that a loss moved, and nobody else, as often as configured", async () => {
    announcer.follow(lost, planWorld(lost));
    assert.deepEqual(sent, [`3 ${web1}`]);
    await pass(60);
    assert.deepEqual(sent, [`3 ${web1}`, `3 ${web1}`]);
    assert.deepEqual(lines, [`<6>announced: domain web1 ${macOf(0)} announced by eno2`]);
  });

  it("does so by the plan prepared for the loss, and has then nothing left to do", () => {
    announcer.anticipate(runOf(whole), "eno1");
    assert.deepEqual(sent, [`3 ${web1}`]);
    announcer.follow(lost, planWorld(lost));
    assert.equal(sent.length, 1);
  });

  it("tells once that an uplink takes no frames, and goes on", async () => {
    refusal = "network is down (ENETDOWN)";
    announcer.follow(lost, planWorld(lost));
    await pass(60);
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? "", /^<4>announce-failed: uplink eno2.*ENETDOWN/);
    refusal = null;
    announcer.follow(whole, planWorld(whole));
    assert.deepEqual(sent, [`2 ${web1}`]);
  });
});
