/** JSON schemas for editors, made from what the parser uses: `node src/policy/schemas.ts` writes them. */
import { writeFileSync } from "node:fs";
import * as z from "zod";
import { configFileSchema } from "./config-file.ts";
import { policyFileSchema } from "./policy-file.ts";

/** @returns the text of each file of policies/schema, by its name */
export function editorSchemas(): ReadonlyMap<string, string> {
  return new Map([
    ["policy.json", toText(policyFileSchema)],
    ["uplinkd.json", toText(configFileSchema)],
  ]);
}

function toText(schema: z.ZodType): string {
  // Of what is written in the file (rates as text), not of what becomes of it.
  const json = z.toJSONSchema(schema, { io: "input", target: "draft-7" });
  // Short lists on one line, as the formatter wants them.
  const text = JSON.stringify(json, null, 2).replaceAll(
    /\[\n\s+([^[\]{}]*?)\n\s+\]/g,
    (_, items: string) => `[${items.replaceAll(/\n\s+/g, " ")}]`,
  );
  return `${text}\n`;
}

if (import.meta.main) {
  for (const [name, text] of editorSchemas()) {
    writeFileSync(new URL(`../../policies/schema/${name}`, import.meta.url), text);
  }
}
