import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { publishedSchemas, SCHEMA_FOLDER } from "../../../packaging/schemas.ts";

describe("the published schemas", () => {
  const folder = new URL(`../../../${SCHEMA_FOLDER}/`, import.meta.url);

  for (const [name, text] of publishedSchemas()) {
    it(`are current: ${name} (node packaging/schemas.ts writes it)`, () => {
      assert.equal(readFileSync(new URL(name, folder), "utf8"), text);
    });
  }

  it("are all there is in their folder", () => {
    assert.deepEqual(readdirSync(folder).sort(), [...publishedSchemas().keys()].sort());
  });
});
