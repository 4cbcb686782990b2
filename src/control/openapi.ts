/** The API's description (OpenAPI 3.1), made of its operations and of the documents' shapes. */
import * as z from "zod";
import { VERSION } from "../model/version.ts";
import { errorDocument } from "./documents.ts";
import { OPERATIONS, type Operation } from "./operations.ts";

/** Of every operation; 404 and 409 where something is named that isn't there, or may not be. */
const REFUSALS = {
  "400": "The request is wrong.",
  "403": "This socket is for reading.",
  "404": "What it names isn't there.",
  "406": "No version of the API that the caller knows.",
  "409": "It would break something; the message says what.",
  "500": "An error inside the daemon.",
  "504": "No answer in time.",
} as const;

/** @returns the whole description, as plain data */
export function describeApi(): object {
  const schemas: Record<string, object> = { Error: schemaOf(errorDocument) };
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of OPERATIONS) {
    const { answer } = operation;
    if (answer !== null) schemas[answer.name] ??= schemaOf(answer.document);
    paths[operation.path] = {
      ...paths[operation.path],
      [operation.method.toLowerCase()]: describeOperation(operation),
    };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "uplinkd",
      version: VERSION,
      description:
        "HTTP over /run/uplinkd/control.sock (root's) and read.sock (GET only, for the group uplinkd). Keys and paths are added, never renamed. A caller may name the versions that it knows in the header uplinkd-api; every answer names its own.",
    },
    paths,
    components: { schemas },
  };
}

/** A shape as JSON schema: keys that it doesn't know may be there, since later versions add some. */
export function schemaOf(document: z.ZodType): object {
  const { $schema: _, ...schema } = z.toJSONSchema(document, { io: "input" });
  return schema;
}

function describeOperation({ answer, parameters, path, summary }: Operation): object {
  const words = path.split("/").filter((word) => word !== "" && word !== "v1" && word[0] !== "{");
  const content =
    answer === null
      ? { "text/plain": { schema: { type: "string" } } }
      : {
          "application/json": { schema: { $ref: `#/components/schemas/${answer.name}` } },
          ...(parameters.some(({ name }) => name === "follow") && {
            "text/event-stream": { schema: { type: "string" } },
          }),
        };
  const refusal = { "application/json": { schema: { $ref: "#/components/schemas/Error" } } };
  return {
    operationId: words.join("-"),
    summary,
    parameters: parameters.map(({ description, in: place, name, repeated }) => ({
      name,
      in: place,
      description,
      required: place === "path",
      schema: repeated === true ? { type: "array", items: { type: "string" } } : { type: "string" },
      ...(repeated === true && { explode: true }),
    })),
    responses: {
      "200": { description: "The answer.", content },
      ...Object.fromEntries(
        Object.entries(REFUSALS).map(([code, description]) => [
          code,
          { description, content: refusal },
        ]),
      ),
    },
  };
}
