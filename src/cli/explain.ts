/** `uplinkctl explain`: why a domain has what it has. */
import type { Command } from "commander";
import { type CommandContext, command } from "./command.ts";
import { renderExplanation } from "./explain-view.ts";

/** Adds the command. */
export function registerExplain(program: Command, context: CommandContext): void {
  const { client, layout, print, printJson } = context;
  command(program, "explain", "tell why a domain has what it has", HELP)
    .argument("<domain>", "the domain's name, as virsh list shows it")
    .action(async (domain: string, { json }: { json?: true }) => {
      const explanation = await client.explain(domain);
      if (json) printJson(explanation);
      else print(renderExplanation(explanation, layout));
    });
}

const HELP = `
Examples:
  uplinkctl explain web1
  uplinkctl explain web1 --json | jq '.vnics[].reasons'`;
