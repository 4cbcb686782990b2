/** `uplinkctl policy check` and `policy show`: the named policies. */
import { statSync } from "node:fs";
import type { Command } from "commander";
import { clip } from "../model/units.ts";
import { checkFile, type FileCheck } from "../policy/check.ts";
import { type CommandContext, command } from "./command.ts";

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
