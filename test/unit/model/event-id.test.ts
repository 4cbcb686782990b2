import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import * as errors from "../../../src/model/errors.ts";
import { eventOfError } from "../../../src/model/event-id.ts";

describe("the ids of the log", () => {
  it("cover every kind of error, and what is no known kind is a bug", () => {
    const source = readFileSync(new URL("../../../src/model/errors.ts", import.meta.url), "utf8");
    const kinds = [...source.matchAll(/readonly kind = "(\w+)"/g)].map(([, kind = ""]) => kind);
    assert.ok(kinds.length >= Object.keys(errors).length - 1);
    for (const kind of kinds) assert.equal(eventOfError(kind), kind);
    assert.equal(eventOfError("toString"), "bug");
  });
});
