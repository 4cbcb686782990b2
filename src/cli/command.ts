/** What every command of uplinkctl has. */
import type { Command } from "commander";

/** Adds a command with `--json` and its help's end. */
export function command(parent: Command, name: string, description: string, help: string): Command {
  return parent
    .command(name)
    .description(description)
    .option("--json", "machine-readable output, with stable keys")
    .addHelpText("after", help);
}
