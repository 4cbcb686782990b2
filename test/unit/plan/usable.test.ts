import assert from "node:assert/strict";
import { judgeUplinks } from "../../../src/plan/usable.ts";
import { buildWorld, GBIT, NOW, type UplinkSpec } from "../world.ts";

function judge(...uplinks: UplinkSpec[]) {
  const [team] = buildWorld({ uplinks, config: { headroom: 0.07 } }).teams;
  assert.ok(team);
  return judgeUplinks(team, NOW);
}

describe("an uplink", () => {
  it("offers its speed less headroom", () => {
    assert.equal(judge({ name: "eno1" })[0]?.capacityBitsPerSecond, 9.3 * GBIT);
  });

  it("waits for its hold-down after a return, while there is another", () => {
    const [back, other] = judge({ name: "eno1", returnedAtMs: NOW - 10_000 }, { name: "eno2" });
    assert.deepEqual([back?.usable, back?.heldUntilMs], [false, NOW + 20_000]);
    assert.match(back?.reason ?? "", /hold-down for 20s more/);
    assert.equal(other?.usable, true);
    assert.equal(judge({ name: "eno1", returnedAtMs: NOW - 30_000 })[0]?.usable, true);
  });

  it("is taken during its hold-down where there is no other", () => {
    const [back, lost] = judge(
      { name: "eno1", returnedAtMs: NOW - 10_000 },
      { name: "eno2", carrier: false },
    );
    assert.deepEqual([back?.usable, lost?.usable], [true, false]);
  });

  it("is taken though drained, and though its path seems dead, before nothing is", () => {
    const lost: UplinkSpec = { name: "eno3", carrier: false };
    const [drained, dead] = judge(
      { name: "eno1", drainedAtMs: NOW },
      { name: "eno2", healthy: false },
      lost,
    );
    assert.deepEqual([drained?.usable, dead?.usable], [true, false]);
    assert.equal(judge({ name: "eno2", healthy: false }, lost)[0]?.usable, true);
  });

  it("that is drained fails nobody, nor when its cable is pulled then", () => {
    for (const carrier of [true, false]) {
      const [drained] = judge({ name: "eno1", drainedAtMs: NOW, carrier }, { name: "eno2" });
      assert.deepEqual([drained?.usable, drained?.lost], [false, false]);
      assert.match(drained?.reason ?? "", /^drained by an operator, /);
    }
  });

  it("of unknown speed is refused with advice", () => {
    const [unknown] = judge({ name: "eno1", speedBitsPerSecond: null });
    assert.equal(unknown?.managed, false);
    assert.match(unknown?.reason ?? "", /state it in uplinkd.yaml/);
  });

  it("that was there and left the bond counts as lost; one that never was doesn't", () => {
    assert.equal(judge({ name: "eno1", inBond: false, lostAtMs: NOW })[0]?.lost, true);
    assert.equal(judge({ name: "eno1", inBond: false })[0]?.lost, false);
  });
});
