import assert from "node:assert/strict";
import { EventLog } from "../../../src/daemon/events.ts";

describe("the log", () => {
  it("is one line an event, without anything that a terminal or journald would obey", () => {
    const lines: string[] = [];
    const log = new EventLog(
      () => 0,
      (line) => lines.push(line),
    );
    const name = "web\n<0>panic: all is lost\r\u001b[2J\u009b31m\u2028\u0000";
    log.tell("info", "domain-stopped", `domain ${name} stopped`);
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? "", /^<6>domain-stopped: [^\p{Cc}\u2028\u2029]*\n$/u);
  });

  it("keeps so many events and no more", () => {
    const log = new EventLog(
      () => 0,
      () => undefined,
    );
    for (let count = 0; count < 5000; count += 1) log.tell("debug", "x", "y");
    assert.equal(log.page(0).events.length, 2000);
    assert.equal(log.page(0).missed, true);
  });
});
