/** `uplinkctl config show`: which files are read, and what holds, and who says so. */
import type { Command } from "commander";
import { annotateSources } from "../policy/config-source.ts";
import { writeConfig } from "../policy/config-text.ts";
import { loadAll } from "../policy/load.ts";
import { type CommandContext, command } from "./command.ts";

/** Adds the command. */
export function registerConfig(program: Command, context: CommandContext): void {
  const { print, printJson } = context;
  const config = program.command("config").description("the configuration");
  command(config, "show", "show which files are read, and what holds", SHOW_HELP)
    .option("--effective", "what holds, with every default filled in, and the source of each value")
    .option("--dir <directory>", "instead of /etc/uplinkd")
    .action((options: { effective?: true; dir?: string; json?: true }) => {
      const loaded = loadAll(options.dir ?? context.configDirectory);
      const { files, policies } = loaded;
      const { text, values } = annotateSources(writeConfig(loaded.config), loaded.texts);
      if (options.json) {
        const named = Object.fromEntries(policies);
        printJson({ files, config: loaded.config, policies: named, values });
      } else if (options.effective) {
        const names = [...policies.keys()].join(", ") || "none";
        print([text.trimEnd(), `# policies: ${names}`]);
      } else print(files.length === 0 ? ["no files: the defaults hold"] : files);
    });
}

const SHOW_HELP = `
Reads the files, not the daemon: after a change, this is what it will have once it has
read them (systemctl reload uplinkd). Behind each value stands the file and line that
gives it, or that it is a default; it is YAML that uplinkd reads.

Examples:
  uplinkctl config show
  uplinkctl config show --effective
  uplinkctl config show --json --dir ./etc | jq '.values[] | select(.source != null)'`;
