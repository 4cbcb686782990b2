import assert from "node:assert/strict";
import { EventLog } from "../../../src/daemon/events.ts";
import type { ToldEvent } from "../../../src/model/event.ts";

describe("the log", () => {
  it("keeps so many events and no more", () => {
    const log = new EventLog(
      () => 0,
      () => undefined,
    );
    for (let count = 0; count < 5000; count += 1) log.tell("debug", "overrun", "y");
    assert.equal(log.page(0).events.length, 2000);
    assert.equal(log.page(0).missed, true);
  });

  it("numbers what one change of the plan brought about alike", () => {
    const told: ToldEvent[] = [];
    const log = new EventLog(
      () => 0,
      (event) => told.push(event),
    );
    log.tell("notice", "ready", "a");
    log.revise();
    log.tell("warning", "team-degraded", "b");
    log.tell("info", "vnic-moved", "c");
    log.revise();
    log.tell("notice", "team-ok", "d");
    assert.deepEqual(
      told.map(({ revision }) => revision),
      [0, 1, 1, 2],
    );
  });
});
