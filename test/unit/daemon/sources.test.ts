import assert from "node:assert/strict";
import { describeSources, SourceWatch, sourceReasons } from "../../../src/daemon/sources.ts";
import type { SourceCount } from "../../../src/model/source-count.ts";
import { buildWorld } from "../world.ts";
import { fakeLog } from "./fake.ts";

const world = buildWorld({
  uplinks: [{ name: "eno1" }],
  domains: [{ name: "web1", vnics: [{}] }],
  passedOnFrom: [
    { name: "vnet0", ifindex: 30, bridged: "tap" },
    { name: "eth5", ifindex: 31, bridged: "other" },
    { name: "virbr0", ifindex: 32 },
  ],
  config: { sources: { forged: "drop", unregistered: "log" } },
});
const [team] = world.teams;
assert.ok(team !== undefined);

function count(fromIfindex: number, kind: SourceCount["kind"], frames: bigint): SourceCount {
  return { bond: "bond0", fromIfindex, kind, frames };
}

describe("frames with addresses that aren't their senders'", () => {
  it("are told of with whose tap they came by", () => {
    const counts = [
      count(30, "forged", 7n),
      count(31, "unregistered", 3n),
      // What is routed is counted where the host has classes, and judged nowhere.
      count(32, "unregistered", 9n),
      { ...count(30, "forged", 1n), bond: "bond1" },
    ];
    assert.deepEqual(describeSources(team, world, counts), {
      forged: "drop",
      unregistered: "log",
      interfaces: [
        { device: "vnet0", domain: "web1", forgedFrames: 7, unregisteredFrames: 0 },
        { device: "eth5", domain: null, forgedFrames: 0, unregisteredFrames: 3 },
      ],
    });
  });

  it("are one line a minute and interface, whatever is sent, with what has come since the last", () => {
    const { log } = fakeLog();
    const watch = new SourceWatch();
    const note = (frames: bigint, nowMs: number) => {
      const sources = describeSources(team, world, [count(30, "forged", frames)]);
      watch.note(sources === null ? [] : [sources], nowMs, log);
    };
    note(5n, 0);
    note(9n, 59_000);
    note(12n, 60_000);
    note(12n, 200_000);
    // A filter that was made anew counts from nothing.
    note(2n, 300_000);
    assert.deepEqual(
      log.page(0).events.map(({ id, fields }) => [id, fields.frames]),
      [5, 7, 2].map((frames) => ["source-forged", frames]),
    );
  });

  it("can't be told of a macvtap, and explain says so", () => {
    const vnic = world.domains[0]?.vnics[0];
    assert.ok(vnic !== undefined);
    assert.match(sourceReasons(vnic, team)[0] ?? "", /by vnet0.*dropped.*counted/);
    assert.match(sourceReasons({ ...vnic, isMacvtap: true }, team)[0] ?? "", /isn't dropped/);
    assert.match(sourceReasons({ ...vnic, tap: "vnet9" }, team)[0] ?? "", /not judged/);
  });
});
