import assert from "node:assert/strict";
import type { ClassCounters } from "../../../src/model/kernel.ts";
import { type LoadMemory, NO_LOADS, observeLoads } from "../../../src/observe/demand.ts";

const counter = (device: string, minor: number, sentBytes: number, more = {}): ClassCounters => ({
  ...{
    device,
    minor,
    sentBytes: BigInt(sentBytes),
    sentPackets: BigInt(Math.floor(sentBytes / 1000)),
  },
  ...{ drops: 0, backlogBytes: 0, queuedPackets: 0, ...more },
});
const teamOf = (windowMs: number) => (device: string) =>
  device === "other0" ? null : { team: device === "wide0" ? "wide" : "bond0", windowMs };

/** Samples a second apart, after a first one at second 1. */
function sample(seconds: readonly (readonly ClassCounters[])[], windowMs = 1000): LoadMemory {
  return seconds.reduce(
    (memory, counters, index) =>
      observeLoads(memory, counters, teamOf(windowMs), (index + 1) * 1000),
    NO_LOADS,
  );
}

describe("measured load", () => {
  it("sums a vNIC's classes over its team's uplinks, and all classes of an uplink", () => {
    const first = [counter("eno1", 0x10, 0), counter("eno2", 0x10, 0), counter("eno1", 0xfff0, 0)];
    const second = [
      counter("eno1", 1, 9_000_000),
      counter("eno1", 0x10, 125_000, { backlogBytes: 3000 }),
      counter("eno2", 0x10, 250_000, { drops: 25, backlogBytes: 500 }),
      counter("eno1", 0xfff0, 1_000_000, { drops: 5 }),
      counter("other0", 0x10, 77_000),
    ];
    const { loads } = sample([first, second]);
    const vnic = loads.get("bond0 10");
    assert.equal(vnic?.sentBitsPerSecond, 3e6);
    // What was dropped was as large as what was sent; a fiftieth is left out.
    assert.equal(Math.round(vnic?.demandBitsPerSecond ?? 0), (3e6 + 200e3) * 0.98);
    assert.deepEqual([vnic?.backlogBytes, vnic?.drops, vnic?.sinceMs], [3500, 25, 1000]);
    assert.equal(loads.get("uplink: eno1")?.sentBitsPerSecond, 9e6);
    assert.equal(loads.get("uplink: eno2")?.sentBitsPerSecond, 2e6);
    assert.ok(!loads.has("uplink: other0"));
  });

  it("averages over the team's own window: 63 % of a step after one, 95 % after three", () => {
    const steps = (count: number) =>
      Array.from({ length: count + 2 }, (_, index) => [
        counter("eno1", 0x10, Math.max(0, index - 1) * 125_000),
      ]);
    const shareAfter = (windows: number) =>
      (sample(steps(windows * 4), 4000).loads.get("bond0 10")?.sentBitsPerSecond ?? 0) / 1e6;
    assert.ok(Math.abs(shareAfter(1) - 0.632) < 0.001);
    assert.ok(Math.abs(shareAfter(3) - 0.95) < 0.001);
  });

  it("begins anew with a class that was made anew, and goes on with its uplink", () => {
    const before = sample([[counter("eno1", 0x10, 0)], [counter("eno1", 0x10, 125_000)]]);
    const { loads } = observeLoads(before, [counter("eno1", 0x10, 10)], teamOf(1000), 3000);
    assert.ok(!loads.has("bond0 10"));
    assert.equal(loads.get("uplink: eno1")?.sentBitsPerSecond, 1e6);
  });
});
