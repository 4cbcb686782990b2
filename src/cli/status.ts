/** `uplinkctl status`: what is. */
import type { Command } from "commander";
import { type CommandContext, command } from "./command.ts";
import { renderStatus } from "./status-view.ts";

/** Adds the command. */
export function registerStatus(program: Command, context: CommandContext): void {
  const { client, layout, nowMs, print, printJson } = context;
  command(program, "status", "show teams, uplinks, domains and problems", HELP).action(
    async ({ json }: { json?: true }) => {
      const status = await client.status();
      if (json) printJson(status);
      else print(renderStatus(status, nowMs(), layout));
    },
  );
}

const HELP = `
A vNIC that sends by another uplink than its home is shown as HOME>UPLINK. Rates are
bits per second. Below the domains stands what each reservation is worth once an uplink
is lost: it holds with any one uplink lost, or it is best effort when degraded.

Examples:
  uplinkctl status
  uplinkctl status --json | jq '.domains[] | select(.pausedByUs) | .name'`;
