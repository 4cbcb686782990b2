import assert from "node:assert/strict";
import fc from "fast-check";
import { actionIndex, parseActionIndex } from "../../../src/model/layout.ts";

describe("the index of a shared action", () => {
  it("tells bond, home and via again after a restart", () => {
    const port = fc.integer({ min: 0, max: 15 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0xfffff }), port, port, (bondIfindex, home, via) => {
        const parsed = parseActionIndex(actionIndex(bondIfindex, home, via));
        assert.deepEqual(parsed, { bondIfindex, home, via });
      }),
    );
  });

  it("is no other program's", () => {
    assert.equal(parseActionIndex(1), null);
    assert.equal(parseActionIndex(0x80000000), null);
  });
});
