import assert from "node:assert/strict";
import { inboundCounts, inboundReasons } from "../../../src/daemon/inbound.ts";
import type { InboundCount } from "../../../src/model/inbound-count.ts";
import type { VnicState } from "../../../src/model/world.ts";
import { buildWorld, macOf } from "../world.ts";

const world = buildWorld({
  uplinks: [{ name: "eno1" }],
  domains: [{ name: "web1", vnics: [{}] }],
});
const found = world.domains[0]?.vnics[0];
assert.ok(found !== undefined);
const inbound = { limitBitsPerSecond: 80e6, burstBytes: null };
const vnic: VnicState = { ...found, policy: { ...found.policy, inbound } };
const count: InboundCount = {
  ...{ bond: "bond0", mac: macOf(0) },
  ...{ arrivedBytes: 5_000_000_000, droppedPackets: 31 },
};
const runOf = (...counts: readonly InboundCount[]) => ({ world, inboundCounts: counts });

describe("what is told of an inbound limit", () => {
  it("is what its own filter counted: not another vNIC's, nor one on another bond", () => {
    const others = [
      { ...count, bond: "bond1" },
      { ...count, mac: macOf(1) },
    ];
    assert.deepEqual(inboundCounts(vnic, runOf(...others, count)), {
      inboundBytes: 5_000_000_000,
      inboundDrops: 31,
    });
    assert.deepEqual(inboundCounts(vnic, runOf(...others)), {});
  });

  it("is said in words, and without counts while none stands in the kernel", () => {
    const [limited, counted] = inboundReasons(vnic, runOf(count));
    assert.match(limited ?? "", /limited to 80mbit.*never guaranteed/);
    assert.match(counted ?? "", /5000000000 bytes.*31 packets/);
    assert.equal(inboundReasons(vnic, runOf()).length, 1);
    assert.match(inboundReasons({ ...vnic, team: null }, runOf())[0] ?? "", /isn't shaped/);
    assert.deepEqual(inboundReasons(found, runOf(count)), []);
  });
});
