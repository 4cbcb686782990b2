import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { editorSchemas } from "../../../src/policy/schemas.ts";

describe("the editors' schemas", () => {
  for (const [name, text] of editorSchemas()) {
    it(`are current: ${name} (node src/policy/schemas.ts writes it)`, () => {
      const file = new URL(`../../../policies/schema/${name}`, import.meta.url);
      assert.equal(readFileSync(file, "utf8"), text);
    });
  }

  it("refuse unknown keys, as the parser does", () => {
    for (const text of editorSchemas().values()) {
      assert.equal(JSON.parse(text).additionalProperties, false);
    }
  });
});
