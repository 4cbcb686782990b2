/** `uplinkctl policy check` and `policy show`: the named policies. */
import { statSync } from "node:fs";
import type { Command } from "commander";
import { FALLBACK_POLICY, mergePolicy, type NetworkPolicy } from "../model/policy.ts";
import { clip, formatRate } from "../model/units.ts";
import { nearestWord } from "../model/word.ts";
import { checkFile, type FileCheck } from "../policy/check.ts";
import { type LoadedConfig, loadAll } from "../policy/load.ts";
import { type CommandContext, command } from "./command.ts";
import { writePolicy } from "./explain-view.ts";
import { Failure } from "./failure.ts";
import { type Layout, printable, renderTable, wrap } from "./table.ts";

/** A named policy with every gap filled, and its file; null: none, what holds without any. */
interface ShownPolicy {
  readonly file: string | null;
  readonly policy: NetworkPolicy;
}

/** Adds the commands. */
export function registerPolicy(program: Command, context: CommandContext): void {
  const policy = program.command("policy").description("named policies");
  command(policy, "check", "check policy and configuration files", CHECK_HELP)
    .argument("<file...>", "policy files, uplinkd.yaml, drop-ins, or a whole directory")
    .action((files: string[], { json }: { json?: true }) => {
      const checks = files.map((file) => checkFile(file, isDirectory(file)));
      if (checks.some((check) => check.errors.length > 0)) context.end(2);
      if (json) {
        context.printJson({ files: checks.map(checkDocument) });
        return;
      }
      for (const { file, kind, errors } of checks) {
        if (errors.length === 0) context.print([`${clip(file, 500)}: ${kind} ok`]);
        for (const error of errors) context.stderr.write(`${error.describe()}\n`);
      }
    });
  command(policy, "show", "show what each named policy gives", SHOW_HELP)
    .argument("[policy...]", "their names; all without any")
    .option("--dir <directory>", "instead of /etc/uplinkd")
    .action((names: string[], options: { dir?: string; json?: true }) => {
      const policies = pick(readPolicies(loadAll(options.dir ?? context.configDirectory)), names);
      if (options.json) context.printJson({ policies });
      else if (names.length === 0) context.print(renderPolicies(policies, context.layout));
      else context.print(policies.flatMap((shown) => renderPolicy(shown, context.layout)));
    });
}

/** By name; `default` is there also without a file. */
function readPolicies({ policies, policyFiles }: LoadedConfig): readonly ShownPolicy[] {
  const named = [...policies].map(([policy, wish]) => ({
    file: policyFiles.get(policy) ?? null,
    policy: mergePolicy(FALLBACK_POLICY, { ...wish, policy }),
  }));
  const fallback = policies.has("default") ? [] : [{ file: null, policy: FALLBACK_POLICY }];
  return [...fallback, ...named].toSorted((a, b) => a.policy.policy.localeCompare(b.policy.policy));
}

/** @throws Failure for a name that no policy has */
function pick(all: readonly ShownPolicy[], names: readonly string[]): readonly ShownPolicy[] {
  if (names.length === 0) return all;
  const known = all.map(({ policy }) => policy.policy);
  return names.map((name) => {
    const found = all.find(({ policy }) => policy.policy === name);
    if (found !== undefined) return found;
    const meant = nearestWord(name, known);
    throw new Failure(2, {
      kind: "not-found",
      object: `policy ${clip(name)}`,
      message: "there is no such policy",
      remedy: meant === null ? `there are ${known.join(", ")}` : `did you mean '${meant}'?`,
    });
  });
}

function renderPolicies(policies: readonly ShownPolicy[], layout: Layout): string[] {
  const columns = [
    { title: "POLICY", leastWidth: 7 },
    { title: "PRIORITY" },
    { title: "RESERVATION", align: "right" },
    { title: "LIMIT", align: "right" },
    { title: "SHARES", align: "right" },
    { title: "ON FAILURE" },
    { title: "FILE", leastWidth: 10 },
  ] as const;
  const rows = policies.map(({ file, policy: { bandwidth, failover, policy, priority } }) => [
    policy,
    priority,
    bandwidth.reservationBitsPerSecond === 0 ? "-" : formatRate(bandwidth.reservationBitsPerSecond),
    bandwidth.limitBitsPerSecond === null ? "-" : formatRate(bandwidth.limitBitsPerSecond),
    String(bandwidth.shares),
    failover.action,
    file ?? "none",
  ]);
  return renderTable(columns, rows, layout);
}

function renderPolicy({ file, policy }: ShownPolicy, layout: Layout): string[] {
  return [
    ...wrap(writePolicy(policy), layout, "", "  "),
    `  ${file === null ? "without a file: what holds where none says otherwise" : printable(file)}`,
  ];
}

function checkDocument({ file, kind, errors }: FileCheck): object {
  const places = errors.map((error) => ({
    file: error.file,
    line: error.line,
    column: error.column,
    path: error.path,
    message: error.message,
  }));
  return { file, kind, ok: errors.length === 0, errors: places };
}

function isDirectory(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

const CHECK_HELP = `
Mistakes are told as FILE:LINE:COLUMN: KEY: MESSAGE, and the command ends with 2.

Examples:
  uplinkctl policy check policies/*.yaml
  uplinkctl policy check /etc/uplinkd`;

const SHOW_HELP = `
Every gap is filled by what holds without a policy. Reads the files, not the daemon.

Examples:
  uplinkctl policy show
  uplinkctl policy show gold silver`;
