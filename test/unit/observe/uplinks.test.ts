import assert from "node:assert/strict";
import fc from "fast-check";
import type { LinkState } from "../../../src/model/link.ts";
import {
  type HoldDown,
  holdDownOf,
  observeUplinks,
  type UplinkMemories,
} from "../../../src/observe/uplinks.ts";

const CONFIG: HoldDown = { holdDownMs: 30_000, holdDownMaxMs: 600_000 };

const link = (carrier: boolean, carrierDowns = 0): LinkState => ({
  name: "eno1",
  ifindex: 2,
  adminUp: true,
  carrier,
  carrierDowns,
  mac: null,
  masterIfindex: 9,
  lowerIfindex: null,
  kind: null,
  vlanId: null,
  promiscuous: false,
  txQueues: 1,
  speedBitsPerSecond: 1e9,
  bond: null,
  port: { bondUp: carrier, queueId: 1, active: true, aggregator: null },
});

/** Plays a sequence of carrier states at times in seconds, the first of which is the daemon's first look. */
function play(moments: readonly (readonly [number, boolean])[], config = CONFIG) {
  let memories: UplinkMemories = new Map();
  const told: string[] = [];
  const holds: (number | null)[] = [];
  for (const [second, carrier] of moments) {
    const links = new Map([["eno1", link(carrier)]]);
    const seen = observeUplinks(memories, links, ["eno1"], config, second * 1000);
    memories = seen.memories;
    told.push(...seen.changes.map(({ change, reason }) => `${change}: ${reason}`));
    const memory = memories.get("eno1");
    const isBack = memory !== undefined && memory.returnedAtMs !== null;
    holds.push(isBack ? holdDownOf(memory.flaps, config) / 1000 : null);
  }
  return { memory: memories.get("eno1"), told, holds };
}

/** Lost and back again, `count` times from second 100 on, each time after `everyS` seconds. */
const flapping = (count: number, everyS: number) =>
  Array.from(
    { length: 2 * count },
    (_, index) => [100 + (index * everyS) / 2, index % 2 === 1] as const,
  );

describe("an uplink's memory", () => {
  it("keeps out for the hold-down what is lost once, however often in its life", () => {
    const { holds } = play([[0, true], ...flapping(5, 2000)]);
    assert.deepEqual(new Set(holds), new Set([null, 30]));
  });

  it("keeps out twice as long each time what comes and goes, up to the bound, and says so", () => {
    const { holds, told } = play([[0, true], ...flapping(7, 60)]);
    assert.deepEqual(
      holds.filter((hold) => hold !== null),
      [30, 60, 120, 240, 480, 600, 600],
    );
    assert.equal(told[1], "returned: carrier is back");
    assert.equal(
      told[5],
      "returned: carrier is back; lost 3 times in short order, so it is kept out for 2m",
    );
  });

  it("is at the bound after a minute with 20 flaps, and counts it all as one outage", () => {
    const { memory, holds } = play([[0, true], ...flapping(20, 3)]);
    assert.equal(holds.at(-1), 600);
    assert.equal(memory?.lostAtMs, 100_000);
  });

  it("forgets what is behind an uplink that stayed in service for the longest hold-down", () => {
    const back = 100 + 3 * 3 - 1.5;
    const calm = back + 120 + 600;
    const again = [
      [calm, false],
      [calm + 1, true],
    ] as const;
    const flaps = flapping(3, 3);
    assert.equal(play([[0, true], ...flaps, ...again]).holds.at(-1), 30);
    const sooner = again.map(([second, carrier]) => [second - 1, carrier] as const);
    assert.equal(play([[0, true], ...flaps, ...sooner]).holds.at(-1), 240);
  });

  it("sees a loss between two looks by the kernel's count", () => {
    const look = (memories: UplinkMemories, carrierDowns: number, nowMs: number) =>
      observeUplinks(
        memories,
        new Map([["eno1", link(true, carrierDowns)]]),
        ["eno1"],
        CONFIG,
        nowMs,
      );
    const first = look(new Map(), 7, 0);
    assert.deepEqual([first.changes, first.memories.get("eno1")?.returnedAtMs], [[], null]);
    const calm = look(first.memories, 7, 1000);
    const blip = look(calm.memories, 8, 2000);
    assert.deepEqual(
      blip.changes.map(({ change, reason }) => `${change}: ${reason}`),
      ["lost: no carrier for a moment", "returned: carrier is back"],
    );
    const again = look(blip.memories, 12, 3000).memories.get("eno1");
    assert.deepEqual([again?.lostAtMs, again?.returnedAtMs, again?.flaps], [2000, 3000, 1]);
  });

  it("damps without a hold-down, too, and not at all where the bound is the hold-down", () => {
    const none = { holdDownMs: 0, holdDownMaxMs: 10_000 };
    const dampedHolds = play([[0, true], ...flapping(6, 3)], none).holds;
    assert.deepEqual(
      dampedHolds.filter((hold) => hold !== null),
      [0, 2, 4, 8, 10, 10],
    );
    const off = { holdDownMs: 2000, holdDownMaxMs: 2000 };
    assert.deepEqual(new Set(play([[0, true], ...flapping(6, 3)], off).holds), new Set([null, 2]));
  });

  it("never keeps out for less than the hold-down nor for longer than the bound, whatever happens", () => {
    const moments = fc
      .array(fc.tuple(fc.integer({ min: 0, max: 900 }), fc.boolean()), { maxLength: 60 })
      .map((steps) => {
        let second = 0;
        return steps.map(([passed, carrier]) => {
          second += passed;
          return [second, carrier] as const;
        });
      });
    fc.assert(
      fc.property(moments, (sequence) => {
        for (const hold of play(sequence).holds)
          assert.ok(hold === null || (hold >= 30 && hold <= 600), `${hold}`);
      }),
    );
  });
});
