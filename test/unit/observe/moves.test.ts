import assert from "node:assert/strict";
import type { Plan } from "../../../src/model/plan.ts";
import { type MoveMemory, observeMoves } from "../../../src/observe/moves.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, macOf, NOW, withUplink } from "../world.ts";

const whole = buildWorld({
  uplinks: [{ name: "eno1" }, { name: "eno2" }],
  domains: [{ name: "web1", vnics: [{ home: "eno1" }] }],
});
const lost = withUplink(whole, "eno1", { carrier: false, bondUp: false, lostAtMs: NOW });
const home = planWorld(whole);
const away = planWorld(lost);
const NONE: MoveMemory = new Map();

const movesOf = (memory: MoveMemory) => memory.get(macOf(0)) ?? [];

describe("the memory of moves", () => {
  it("tells a move that had to be from one that nobody forced", () => {
    const forced = observeMoves(NONE, lost, home, away);
    assert.deepEqual(movesOf(forced), [{ atMs: NOW, voluntary: false }]);
    const back = observeMoves(forced, { ...whole, nowMs: NOW + 1000 }, away, home);
    assert.deepEqual(movesOf(back), [
      { atMs: NOW, voluntary: false },
      { atMs: NOW + 1000, voluntary: true },
    ]);
  });

  it("takes what the kernel's filters say for the place before the first plan", () => {
    assert.deepEqual(movesOf(observeMoves(NONE, lost, null, away)), [
      { atMs: NOW, voluntary: false },
    ]);
    assert.deepEqual(movesOf(observeMoves(NONE, whole, null, home)), []);
  });

  it("counts neither a beginning nor a time without any usable uplink", () => {
    const nowhere: Plan = { ...away, vnics: away.vnics.map((vnic) => ({ ...vnic, via: null })) };
    assert.deepEqual(movesOf(observeMoves(NONE, lost, home, nowhere)), []);
    const fresh = buildWorld({
      uplinks: [{ name: "eno1" }],
      domains: [{ name: "a", vnics: [{}] }],
    });
    assert.deepEqual(movesOf(observeMoves(NONE, fresh, null, planWorld(fresh))), []);
  });

  it("forgets moves after three minutes, and vNICs that are gone", () => {
    const moved = observeMoves(NONE, lost, home, away);
    const later = { ...lost, nowMs: NOW + 180_000 };
    assert.deepEqual(movesOf(observeMoves(moved, later, away, away)), []);
    const empty = { ...away, vnics: [] };
    assert.equal(observeMoves(moved, lost, away, empty).size, 0);
  });
});
