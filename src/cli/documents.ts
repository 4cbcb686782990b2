/** What each command prints with --json. Its keys are a promise to scripts: they are added, never renamed. */
import * as z from "zod";
import {
  confirmDocument,
  drainDocument,
  enableDocument,
  eventDocument,
  eventPageDocument,
  explanationDocument,
  holdDocument,
  networkPolicyDocument,
  releaseDocument,
  simulationDocument,
  statusDocument,
} from "../control/documents.ts";
import type { Finding } from "./doctor.ts";
import type { SetAnswer } from "./set.ts";

const finding: z.ZodType<Finding> = z.object({
  check: z.string().describe("Stable: kernel, bond, speed, hook, libvirt, permissions, daemon."),
  state: z.enum(["ok", "warning", "failed"]),
  object: z.string(),
  message: z.string(),
  remedy: z.string().describe("What mends it; empty where it is ok."),
});

const fileCheck = z.object({
  file: z.string(),
  kind: z.enum(["policy", "config", "directory"]),
  ok: z.boolean(),
  errors: z.array(
    z.object({
      file: z.string(),
      line: z.int().describe("From 1; 0 where the place isn't known."),
      column: z.int(),
      path: z.string().describe("The path of keys: failover.grace."),
      message: z.string(),
    }),
  ),
});

const annotation = z.array(z.string()).describe("The annotation's lines; empty: none.");
const setDocument: z.ZodType<SetAnswer> = z.object({
  domain: z.string(),
  written: z.boolean().describe("False where nothing differs, or nothing was to be written."),
  definitions: z.array(
    z.object({ definition: z.enum(["live", "stored"]), before: annotation, after: annotation }),
  ),
});

/** Rates in bits per second, times in milliseconds, as the keys say. */
const freely = z.record(z.string(), z.unknown());

/** By the words of the command. */
export const COMMAND_DOCUMENTS: Readonly<Record<string, z.ZodType>> = {
  status: statusDocument,
  top: statusDocument,
  explain: explanationDocument,
  events: eventPageDocument,
  "events --follow": eventDocument,
  simulate: simulationDocument,
  enable: enableDocument,
  confirm: confirmDocument,
  observe: releaseDocument,
  release: releaseDocument,
  hold: holdDocument,
  unhold: holdDocument,
  drain: drainDocument,
  undrain: drainDocument,
  set: setDocument,
  unset: setDocument,
  doctor: z.object({ findings: z.array(finding) }),
  "policy check": z.object({ files: z.array(fileCheck) }),
  "config show": z.object({
    files: z.array(z.string()),
    config: freely.describe("What holds, every default filled in."),
    policies: z.record(z.string(), freely),
    values: z.array(
      z.object({
        path: z.string().describe("In the words of uplinkd.yaml: teams[bond0].headroom."),
        value: z.unknown(),
        source: z
          .object({ file: z.string(), line: z.int() })
          .nullable()
          .describe("Who gives it; null: a default."),
      }),
    ),
  }),
  "policy show": z.object({
    policies: z.array(z.object({ file: z.string().nullable(), policy: networkPolicyDocument })),
  }),
};
