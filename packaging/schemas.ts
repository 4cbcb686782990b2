/**
 * What scripts and other programs read of uplinkd, written down: the API's description, and a JSON schema of what
 * each command prints with --json. `node packaging/schemas.ts` writes the files; a unit test says when it is due.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { COMMAND_DOCUMENTS } from "../src/cli/documents.ts";
import { describeApi, schemaOf } from "../src/control/openapi.ts";

/** Below the repository. */
export const SCHEMA_FOLDER = "docs/reference/schema";

/** @returns the text of each file of {@link SCHEMA_FOLDER}, by its name */
export function publishedSchemas(): ReadonlyMap<string, string> {
  const commands = Object.entries(COMMAND_DOCUMENTS).map(([command, document]) => {
    const schema = {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      title: `uplinkctl ${command} --json`,
      ...schemaOf(document),
    };
    return [`${command.replaceAll(/ -*/g, "-")}.json`, toText(schema)] as const;
  });
  return new Map([["openapi.json", toText(describeApi())], ...commands]);
}

function toText(json: object): string {
  return `${JSON.stringify(json, null, 1)}\n`;
}

if (import.meta.main) {
  const folder = new URL(`../${SCHEMA_FOLDER}/`, import.meta.url);
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of publishedSchemas()) writeFileSync(new URL(name, folder), text);
}
