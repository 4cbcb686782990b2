import assert from "node:assert/strict";
import { DurationLog } from "../../../src/daemon/durations.ts";

describe("durations", () => {
  let seconds: number;
  let log: DurationLog;

  beforeEach(() => {
    seconds = 100;
    log = new DurationLog(() => seconds);
  });

  it("are counted by their upper bounds, what is beyond all of them too", () => {
    for (const each of [0.0001, 0.0002, 7]) log.noteFailover(each);
    const { buckets, count, sumSeconds } = log.read().failover;
    const countOf = (bound: number) =>
      buckets.find(({ boundSeconds }) => boundSeconds === bound)?.count;
    assert.deepEqual([countOf(0.0001), countOf(0.00025), countOf(1), count], [1, 2, 2, 3]);
    assert.ok(Math.abs(sumSeconds - 7.0003) < 1e-9);
  });

  it("are from a part's begin to its end", () => {
    const ends = log.begin("apply");
    seconds += 0.02;
    ends();
    const { apply, plan } = log.read();
    assert.ok(Math.abs(apply.sumSeconds - 0.02) < 1e-9);
    assert.deepEqual([apply.count, plan.count], [1, 0]);
  });

  it("of a team's conditions add up, until it is gone, and again when it is back", () => {
    const be = (condition: "ok" | "degraded") => log.noteConditions([{ name: "bond0", condition }]);
    be("ok");
    seconds += 10;
    be("degraded");
    seconds += 5;
    be("degraded");
    seconds += 1;
    assert.deepEqual(log.read().conditions, [
      { team: "bond0", condition: "ok", seconds: 10 },
      { team: "bond0", condition: "degraded", seconds: 6 },
    ]);
    log.noteConditions([]);
    seconds += 100;
    be("ok");
    seconds += 2;
    assert.deepEqual(log.read().conditions, [
      { team: "bond0", condition: "ok", seconds: 12 },
      { team: "bond0", condition: "degraded", seconds: 6 },
    ]);
  });
});
