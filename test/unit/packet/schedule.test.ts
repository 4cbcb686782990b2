import assert from "node:assert/strict";
import fc from "fast-check";
import type { AnnouncementRules } from "../../../src/model/config.ts";
import { AnnouncementSchedule, type Carried } from "../../../src/packet/schedule.ts";
import { macOf } from "../world.ts";

const RULES: AnnouncementRules = { count: 3, intervalMs: 500 };
const FIRST = macOf(1);

function carried(uplink: string | null, more: Partial<Carried> = {}): Carried {
  return { mac: FIRST, uplink, before: null, vlanIds: [0], guest: "here", rank: 2, ...more };
}

describe("the schedule of announcements", () => {
  let schedule: AnnouncementSchedule;
  beforeEach(() => {
    schedule = new AnnouncementSchedule();
  });

  /** What is sent from `fromMs` on until nothing waits, each as `time mac-number uplink`. */
  function play(fromMs: number, untilMs = fromMs + 600_000): string[] {
    const sent: string[] = [];
    let nowMs = fromMs;
    for (;;) {
      for (const { mac, uplink } of schedule.take(RULES, nowMs))
        sent.push(`${nowMs} ${Number.parseInt(mac.slice(12, 14), 16)} ${uplink}`);
      const next = schedule.nextAtMs(nowMs);
      if (next === null || next > untilMs) return sent;
      nowMs = next;
    }
  }

  it("announces nothing that stays where it was when it was first seen", () => {
    schedule.note([carried("eno1"), carried("eno2", { mac: macOf(2) })], RULES, 0);
    schedule.note([carried("eno1"), carried("eno2", { mac: macOf(2) })], RULES, 1000);
    assert.deepEqual(play(1000), []);
  });

  it("announces a move at once by the new uplink, and again as often as configured", () => {
    schedule.note([carried("eno1")], RULES, 0);
    schedule.note([carried("eno2")], RULES, 100);
    schedule.note([carried("eno2")], RULES, 150);
    assert.deepEqual(play(150), ["150 1 eno2", "650 1 eno2", "1150 1 eno2"]);
  });

  it("announces what moved while nobody looked", () => {
    schedule.note([carried("eno2", { before: "eno1" })], RULES, 0);
    assert.equal(play(0).length, 3);
  });

  it("gives up what is left for an uplink that it has left again", () => {
    schedule.note([carried("eno1")], RULES, 0);
    schedule.note([carried("eno2")], RULES, 0);
    assert.deepEqual(play(0, 100), ["0 1 eno2"]);
    schedule.note([carried("eno1")], RULES, 200);
    assert.deepEqual(play(200), ["200 1 eno1", "700 1 eno1", "1200 1 eno1"]);
    schedule.note([carried(null)], RULES, 2000);
    schedule.note([carried("eno2")], RULES, 2100);
    schedule.note([carried(null)], RULES, 2200);
    assert.deepEqual(play(2200), []);
  });

  it("says each frame's VLANs, and whether it is the first of its move", () => {
    schedule.note([carried("eno1", { vlanIds: [7, 8] })], RULES, 0);
    schedule.note([carried("eno2", { vlanIds: [7, 8] })], RULES, 0);
    const told = [0, 500].flatMap((nowMs) => schedule.take(RULES, nowMs));
    assert.deepEqual(
      told.map(({ vlanIds, first }) => [vlanIds, first]),
      [
        [[7, 8], true],
        [[7, 8], false],
      ],
    );
  });

  it("waits with a guest that stands still until it goes on", () => {
    schedule.note([carried("eno1")], RULES, 0);
    schedule.note([carried("eno2", { guest: "silent" })], RULES, 100);
    assert.deepEqual(play(100), []);
    schedule.note([carried("eno2")], RULES, 5000);
    assert.equal(play(5000).length, 3);
  });

  it("never announces a guest that runs elsewhere or hasn't begun, nor its beginning here", () => {
    schedule.note([carried("eno1", { guest: "elsewhere" })], RULES, 0);
    schedule.note([carried("eno2", { guest: "elsewhere" })], RULES, 100);
    assert.deepEqual(play(100), []);
    schedule.note([carried("eno2")], RULES, 200);
    assert.deepEqual(play(200), []);
    // One that begins to migrate in the middle of its repetitions.
    schedule.note([carried("eno1")], RULES, 300);
    assert.deepEqual(play(300, 400), ["300 1 eno1"]);
    schedule.note([carried("eno1", { guest: "elsewhere" })], RULES, 400);
    assert.deepEqual(play(400), []);
  });

  it("sends nothing when switched off, and nothing late when switched on again", () => {
    schedule.note([carried("eno1")], RULES, 0);
    schedule.note([carried("eno2")], null, 100);
    assert.deepEqual(schedule.take(null, 100), []);
    schedule.note([carried("eno2")], RULES, 200);
    assert.deepEqual(play(200), []);
  });

  it("forgets who is gone: a namesake later begins anew", () => {
    schedule.note([carried("eno1")], RULES, 0);
    schedule.note([], RULES, 100);
    schedule.note([carried("eno2")], RULES, 200);
    assert.deepEqual(play(200), []);
  });

  it("keeps its pace: many wait for the next turn, the important ones first, each once before any twice", () => {
    const all = (uplink: string) =>
      Array.from({ length: 40 }, (_, index) =>
        carried(uplink, { mac: macOf(index), rank: index < 20 ? 3 : 0 }),
      );
    schedule.note(all("eno1"), RULES, 0);
    schedule.note(all("eno2"), RULES, 0);
    const sent = play(0).map((line) => line.split(" "));
    const firstRound = sent.slice(0, 40);
    assert.equal(new Set(firstRound.map(([, number]) => number)).size, 40);
    assert.ok(firstRound.slice(0, 20).every(([, number]) => Number(number) >= 20));
    assert.deepEqual(
      [15, 16, 31, 32, 39].map((index) => firstRound[index]?.[0]),
      ["0", "10", "10", "20", "20"],
    );
    assert.equal(sent.length, 120);
  });

  it("waits after four moves in 180 s, then announces where the vNIC is by then", () => {
    schedule.note([carried("eno1")], RULES, 0);
    const sent: string[] = [];
    for (let move = 1; move <= 7; move++) {
      const nowMs = move * 3000;
      schedule.note([carried(move % 2 === 1 ? "eno2" : "eno1")], RULES, nowMs);
      sent.push(...play(nowMs, nowMs + 2999));
    }
    assert.equal(sent.length, 12);
    assert.deepEqual(play(21_000)[0], "183000 1 eno2");
  });

  it("never moves a MAC more than four times in any 180 s, whatever happens", () => {
    const step = fc.record({
      afterMs: fc.integer({ min: 0, max: 60_000 }),
      uplink: fc.constantFrom("eno1", "eno2", "eno3", null),
      guest: fc.constantFrom("here" as const, "here" as const, "silent" as const),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const fresh = new AnnouncementSchedule();
        const moves: number[] = [];
        let at: string | null = null;
        let nowMs = 0;
        for (const { afterMs, uplink, guest } of steps) {
          const untilMs = nowMs + afterMs;
          fresh.note([carried(uplink, { guest })], RULES, nowMs);
          for (let time: number | null = nowMs; time !== null && time <= untilMs; ) {
            for (const sent of fresh.take(RULES, time)) {
              if (sent.uplink !== at && at !== null) moves.push(time);
              at = sent.uplink;
            }
            time = fresh.nextAtMs(time);
          }
          nowMs = untilMs;
        }
        for (const [index, atMs] of moves.entries())
          assert.ok((moves[index + 4] ?? Number.POSITIVE_INFINITY) - atMs >= 180_000);
      }),
    );
  });
});
