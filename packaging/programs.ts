/** The two programs as they describe themselves, and all that is made from that: manual pages and completion. */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { buildProgram } from "../src/cli/program.ts";
import { buildDaemonProgram } from "../src/daemon/program.ts";
import { VERSION } from "../src/model/version.ts";
import { renderManual } from "./manual.ts";

/** uplinkctl's commands, for looking at, not for running. */
export function describeUplinkctl(): Command {
  const nowhere = { write: () => true };
  return buildProgram(
    {
      version: VERSION,
      environment: {},
      stdout: nowhere,
      stderr: nowhere,
      nowMs: () => 0,
      openLibvirt: () => Promise.reject(new Error("only described")),
      openScreen: null,
      ask: async () => false,
      releaseWithoutDaemon: async () => ({ steps: [], problems: [] }),
    },
    () => undefined,
  );
}

/** @param dateSeconds the pages' date, seconds since 1970 @returns each page's text by its file name */
export function projectManual(dateSeconds: number): ReadonlyMap<string, string> {
  const read = (file: string) =>
    readFileSync(new URL(`../policies/${file}`, import.meta.url), "utf8");
  return renderManual({
    uplinkctl: describeUplinkctl(),
    uplinkd: buildDaemonProgram(),
    configSchema: read("schema/uplinkd.json"),
    policySchema: read("schema/policy.json"),
    configExample: read("uplinkd.yaml.example"),
    policyExample: read("default.yaml"),
    dateSeconds,
  });
}
