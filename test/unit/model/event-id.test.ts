import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as errors from "../../../src/model/errors.ts";
import { EVENT_IDS, eventOfError, messageIdOf } from "../../../src/model/event-id.ts";

describe("the ids of the log", () => {
  it("have a MESSAGE_ID each that stays the same in every version", () => {
    const all = EVENT_IDS.map(messageIdOf);
    assert.equal(new Set(all).size, EVENT_IDS.length);
    for (const id of all) assert.match(id, /^[0-9a-f]{32}$/);
    // What scripts and journald's catalogue hold on to.
    assert.equal(messageIdOf("uplink-lost"), "426e57458c857ea5979e8e5378ef3949");
  });

  it("cover every kind of error, and what is no known kind is a bug", () => {
    const source = readFileSync(new URL("../../../src/model/errors.ts", import.meta.url), "utf8");
    const kinds = [...source.matchAll(/readonly kind = "(\w+)"/g)].map(([, kind = ""]) => kind);
    assert.ok(kinds.length >= Object.keys(errors).length - 1);
    for (const kind of kinds) assert.equal(eventOfError(kind), kind);
    assert.equal(eventOfError("toString"), "bug");
  });
});
