import assert from "node:assert/strict";
import { Prober } from "../../../src/daemon/prober.ts";
import type { Mac } from "../../../src/model/mac.ts";
import { type ProbeRules, probeBlock, probeMac } from "../../../src/model/probe.ts";
import { VirtualClock } from "../../simulation/clock.ts";
import { type Cut, Network, TARGET_MAC } from "../../simulation/network.ts";
import { buildWorld, type UplinkSpec } from "../world.ts";
import { fakeLog } from "./fake.ts";

const BLOCK = probeBlock("0123456789abcdef0123456789abcdef");
const INTERVAL_MS = 1000;
/** The goal: a dead path is known within three intervals. */
const LIMIT_MS = 3 * INTERVAL_MS;
const GATEWAY = "192.0.2.1";
const OTHER = "192.0.2.2";
const OUT: Cut = { out: true, in: false };
const IN: Cut = { out: false, in: true };
const BOTH: Cut = { out: true, in: true };

const target = (address: string, vlanId = 0) => ({ address, vlanId, sources: {} });
const rulesOf = (rules: Partial<ProbeRules> = {}): ProbeRules => ({
  intervalMs: INTERVAL_MS,
  losses: 3,
  targets: [target(GATEWAY)],
  require: "any",
  betweenVlanIds: [0],
  ...rules,
});

/** A host with so many uplinks, ifindex 2 and up, whose gateways answer. */
class Scene {
  readonly clock = new VirtualClock();
  readonly network = new Network();
  readonly lines: string[];
  /** What was said to be dead, and when. */
  readonly told: { readonly atMs: number; readonly dead: readonly string[] }[] = [];
  readonly prober: Prober;
  readonly #rules: ProbeRules | null;
  readonly #count: number;

  constructor(count = 2, rules: ProbeRules | null = rulesOf()) {
    this.#count = count;
    this.#rules = rules;
    const { log, lines } = fakeLog();
    this.lines = lines;
    for (const address of ["192,0,2,1", "192,0,2,2"]) this.network.targets.add(address);
    this.prober = new Prober({
      frames: this.network,
      listen: (ifindex, mac) => this.network.listen(ifindex, mac),
      log,
      clock: this.clock,
      block: BLOCK,
      hostMacs: () => new Set(),
      changed: (dead) => this.told.push({ atMs: this.clock.now(), dead }),
    });
    this.follow();
  }

  /** As the loop does after each run. */
  follow(changed: Readonly<Record<string, Partial<UplinkSpec>>> = {}, rules = this.#rules): void {
    const uplinks = Array.from({ length: this.#count }, (_, index): UplinkSpec => {
      const name = `eno${index + 1}`;
      return { name, probeMac: probeMac(BLOCK, index + 1), ...changed[name] };
    });
    this.prober.follow(buildWorld({ uplinks, config: { probes: rules } }));
  }

  wait(ms: number): Promise<void> {
    return this.clock.advance(ms, () => Promise.resolve());
  }

  cut(uplink: number, cut: Cut | null): void {
    if (cut === null) this.network.cuts.delete(uplink + 1);
    else this.network.cuts.set(uplink + 1, cut);
  }

  get dead(): readonly string[] {
    return [...this.prober.paths].flatMap(([name, { healthy }]) => (healthy ? [] : [name]));
  }
}

describe("probing a team's uplinks", () => {
  it("finds nothing wrong while all answer, and asks by unicast once it knows who answers", async () => {
    const scene = new Scene();
    await scene.wait(60_000);
    assert.deepEqual(scene.dead, []);
    assert.deepEqual(scene.told, []);
    const { sent } = scene.network;
    const broadcasts = sent.filter(({ to }) => to.startsWith("ff"));
    assert.deepEqual(
      broadcasts.map(({ ifindex }) => ifindex),
      [2, 3],
    );
    assert.ok(sent.some(({ to }) => to === TARGET_MAC));
    // Each uplink: one to the gateway and one to the other uplink an interval.
    assert.ok(sent.length <= 2 * 2 * 61, `${sent.length} frames in a minute`);
    assert.deepEqual(
      new Set(sent.map(({ from }) => from)),
      new Set([1, 2].map((n) => probeMac(BLOCK, n) as Mac)),
    );
  });

  for (const [name, cut] of [
    ["both ways", BOTH],
    ["outgoing", OUT],
    ["incoming", IN],
  ] as const) {
    for (let phase = 0; phase < INTERVAL_MS; phase += 170) {
      it(`knows within 3 intervals that a path is dead, ${name}, ${phase} ms after a round`, async () => {
        const scene = new Scene();
        await scene.wait(10_000 + phase);
        const atMs = scene.clock.now();
        scene.cut(2, cut);
        await scene.wait(LIMIT_MS);
        assert.deepEqual(scene.dead, ["eno2"]);
        assert.deepEqual(
          scene.told.map(({ dead }) => dead),
          [["eno2"]],
        );
        assert.ok((scene.told[0]?.atMs ?? 0) - atMs <= LIMIT_MS);
        assert.match(
          scene.prober.paths.get("eno2")?.reason ?? "",
          /no answer by it from 192.0.2.1, which eno1 has/,
        );
      });
    }

    it(`tells which of two is at fault without any target, ${name}, where others can be heard`, async () => {
      const scene = new Scene(2, rulesOf({ targets: [] }));
      scene.network.flooding = true;
      await scene.wait(10_000);
      scene.cut(1, cut);
      await scene.wait(LIMIT_MS);
      assert.deepEqual(scene.dead, ["eno1"]);
    });

    it(`tells which of three is at fault without any target, ${name}, in a silent network`, async () => {
      const scene = new Scene(3, rulesOf({ targets: [] }));
      await scene.wait(10_000);
      scene.cut(1, cut);
      await scene.wait(LIMIT_MS);
      assert.deepEqual(scene.dead, ["eno1"]);
    });
  }

  it("blames nobody where of two uplinks nothing else is heard", async () => {
    const scene = new Scene(2, rulesOf({ targets: [] }));
    await scene.wait(10_000);
    scene.cut(1, BOTH);
    await scene.wait(60_000);
    assert.deepEqual(scene.dead, []);
    assert.ok(scene.lines.some((line) => line.includes("paths-unknown:")));
  });

  it("moves nothing when all look dead, and says so once", async () => {
    const scene = new Scene();
    await scene.wait(10_000);
    scene.cut(1, BOTH);
    scene.cut(2, BOTH);
    await scene.wait(120_000);
    assert.deepEqual(scene.dead, []);
    assert.deepEqual(scene.told, []);
    assert.equal(scene.lines.filter((line) => line.includes("paths-unknown:")).length, 1);
    scene.cut(1, null);
    await scene.wait(LIMIT_MS);
    assert.deepEqual(scene.dead, ["eno2"], "one of them works again: the other doesn't");
  });

  it("takes the loss of a target for no loss of an uplink", async () => {
    const scene = new Scene(2, rulesOf({ targets: [target(GATEWAY), target(OTHER)] }));
    await scene.wait(10_000);
    scene.network.targets.delete("192,0,2,1");
    await scene.wait(60_000);
    assert.deepEqual(scene.dead, []);
    scene.network.targets.delete("192,0,2,2");
    await scene.wait(60_000);
    assert.deepEqual(scene.dead, []);
    assert.ok(scene.lines.some((line) => line.includes("target-silent: team bond0: 192.0.2.1")));
    scene.network.targets.add("192,0,2,1");
    await scene.wait(10_000);
    assert.deepEqual(scene.dead, [], "nor its return");
  });

  it("knows a dead path also while every target is gone", async () => {
    const scene = new Scene();
    await scene.wait(10_000);
    scene.network.targets.clear();
    scene.network.flooding = true;
    await scene.wait(10_000);
    scene.cut(2, BOTH);
    await scene.wait(LIMIT_MS);
    assert.deepEqual(scene.dead, ["eno2"]);
  });

  it("takes a path back when it was good three times in a row", async () => {
    const scene = new Scene();
    await scene.wait(10_000);
    scene.cut(2, BOTH);
    await scene.wait(20_000);
    assert.deepEqual(scene.dead, ["eno2"]);
    scene.cut(2, null);
    await scene.wait(1900);
    assert.deepEqual(scene.dead, ["eno2"], "one good round proves nothing yet");
    await scene.wait(2000);
    assert.deepEqual(scene.dead, []);
  });

  it("wants a link that came back to prove its path first", async () => {
    const scene = new Scene();
    await scene.wait(10_000);
    scene.network.down.add(3);
    scene.follow({ eno2: { carrier: false } });
    assert.deepEqual(scene.dead, ["eno2"]);
    scene.network.down.delete(3);
    scene.cut(2, BOTH);
    scene.follow();
    await scene.wait(60_000);
    assert.deepEqual(scene.dead, ["eno2"], "its switch port has carrier and does not forward");
    scene.cut(2, null);
    await scene.wait(4000);
    assert.deepEqual(scene.dead, []);
  });

  it("bears with two lost rounds", async () => {
    const scene = new Scene();
    await scene.wait(10_200);
    for (let round = 0; round < 20; round += 1) {
      scene.cut(2, BOTH);
      await scene.wait(900);
      scene.cut(2, null);
      await scene.wait(1600);
    }
    assert.deepEqual(scene.told, []);
  });

  it("asks twice as often while it isn't decided, and no more after that", async () => {
    const scene = new Scene();
    await scene.wait(10_000);
    scene.cut(2, BOTH);
    await scene.wait(20_000);
    const before = scene.network.sent.length;
    await scene.wait(60_000);
    assert.ok(scene.network.sent.length - before <= 2 * 2 * 61);
  });

  it("finds another router that took the address over", async () => {
    const scene = new Scene(2, rulesOf({ betweenVlanIds: [] }));
    await scene.wait(10_000);
    scene.network.targets.clear();
    await scene.wait(5000);
    const before = scene.network.sent.length;
    await scene.wait(5000);
    const asked = scene.network.sent.slice(before).map(({ to }) => to);
    assert.deepEqual(new Set(asked), new Set(["ff:ff:ff:ff:ff:ff"]));
  });

  it("ends, and knows nothing any more, when it is no longer configured", async () => {
    const scene = new Scene();
    await scene.wait(10_000);
    scene.cut(2, BOTH);
    await scene.wait(10_000);
    scene.follow({}, null);
    assert.deepEqual(scene.dead, []);
    const { length } = scene.network.sent;
    await scene.wait(60_000);
    assert.equal(scene.network.sent.length, length);
  });
});
