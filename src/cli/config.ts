/** `uplinkctl config show`: which files are read, and what holds. */
import type { Command } from "commander";
import { writeConfig } from "../policy/config-text.ts";
import { loadAll } from "../policy/load.ts";
import { type CommandContext, command } from "./command.ts";

/** Adds the command. */
export function registerConfig(program: Command, context: CommandContext): void {
  const { print, printJson } = context;
  const config = program.command("config").description("the configuration");
  command(config, "show", "show which files are read, and what holds", SHOW_HELP)
    .option("--effective", "what holds, with every default filled in")
    .option("--dir <directory>", "instead of /etc/uplinkd")
    .action((options: { effective?: true; dir?: string; json?: true }) => {
      const loaded = loadAll(options.dir ?? context.configDirectory);
      const policies = Object.fromEntries(loaded.policies);
      if (options.json) printJson({ files: loaded.files, config: loaded.config, policies });
      else if (options.effective) {
        const names = [...loaded.policies.keys()].join(", ") || "none";
        print([writeConfig(loaded.config).trimEnd(), `# policies: ${names}`]);
      } else print(loaded.files.length === 0 ? ["no files: the defaults hold"] : loaded.files);
    });
}

const SHOW_HELP = `
Reads the files, not the daemon: after a change, this is what it will have.

Examples:
  uplinkctl config show
  uplinkctl config show --effective
  uplinkctl config show --effective --json --dir ./etc`;
