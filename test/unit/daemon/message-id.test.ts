import assert from "node:assert/strict";
import { messageIdOf } from "../../../src/daemon/message-id.ts";
import { EVENT_IDS } from "../../../src/model/event-id.ts";

describe("the ids of the log", () => {
  it("have a MESSAGE_ID each that stays the same in every version", () => {
    const all = EVENT_IDS.map(messageIdOf);
    assert.equal(new Set(all).size, EVENT_IDS.length);
    for (const id of all) assert.match(id, /^[0-9a-f]{32}$/);
    // What scripts and journald's catalogue hold on to.
    assert.equal(messageIdOf("uplink-lost"), "426e57458c857ea5979e8e5378ef3949");
  });
});
