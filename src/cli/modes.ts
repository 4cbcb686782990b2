/** `uplinkctl enable`, `confirm`, `observe`, `release`: whether anything is enforced. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { EnablePart, ReleaseAnswer } from "../control/api.ts";
import { describeScope } from "../model/scope.ts";
import { formatDuration, parseDuration, UnitError } from "../model/units.ts";
import { type CommandContext, command } from "./command.ts";
import { withProgress } from "./progress.ts";
import { writeProblem } from "./status-view.ts";

/** Adds the commands. */
export function registerModes(program: Command, context: CommandContext): void {
  const { client, layout, print, printJson, end } = context;

  const tellRelease = (answer: ReleaseAnswer, mode: string, json: true | undefined) => {
    if (json) printJson(answer);
    else {
      const problems = answer.problems.flatMap((problem) => writeProblem(problem, layout, ""));
      const verdict =
        problems.length === 0 ? mode : layout.paint("red", `${mode}, but not everything:`);
      print([...answer.steps, verdict, ...problems]);
    }
    if (answer.problems.length > 0) end(1);
  };

  command(
    program,
    "release",
    "restore the host to what it was before uplinkd",
    RELEASE_HELP,
  ).action(async ({ json }: { json?: true }) => {
    const withoutDaemon = () =>
      withProgress(context.stderr, "the host is released", context.releaseWithoutDaemon);
    const answer = (await client.release()) ?? (await withoutDaemon());
    tellRelease(answer, "released", json);
  });

  command(program, "observe", "release the host, and go on showing", OBSERVE_HELP).action(
    async ({ json }: { json?: true }) => tellRelease(await client.observe(), "observing", json),
  );

  command(program, "enable", "put the plan in force", ENABLE_HELP)
    .option("--confirm <time>", "roll back by itself unless confirmed in time", parseTime)
    .addOption(new Option("--team <team>", "this team only").conflicts("domain"))
    .option("--domain <domain>", "this domain only, as a canary")
    .action(async (options: EnableOptions) => {
      const answer = await client.enable(options.confirm ?? null, partOf(options));
      if (options.json) printJson(answer);
      else {
        const problems = answer.problems.flatMap((problem) => writeProblem(problem, layout, ""));
        const part = answer.scope.kind === "host" ? "" : `, ${describeScope(answer.scope)} only`;
        print([
          `${answer.mode}${part}`,
          ...tellProbation(answer.confirmByMs, options.confirm),
          ...problems,
        ]);
      }
      if (answer.problems.length > 0) end(1);
    });

  command(program, "confirm", "keep what was enabled with --confirm", CONFIRM_HELP).action(
    async ({ json }: { json?: true }) => {
      const answer = await client.confirm();
      if (json) printJson(answer);
      else print([answer.confirmed ? "confirmed" : "nothing waits for a confirmation"]);
      if (!answer.confirmed) end(1);
    },
  );

  function tellProbation(confirmByMs: number | null, wanted: number | undefined): string[] {
    if (confirmByMs !== null) {
      const left = formatDuration(Math.max(0, confirmByMs - context.nowMs()));
      return [`rolls back in ${left} unless you say: uplinkctl confirm`];
    }
    return wanted === undefined ? [] : ["was enforcing already: there is nothing to confirm"];
  }
}

interface EnableOptions {
  readonly confirm?: number;
  readonly team?: string;
  readonly domain?: string;
  readonly json?: true;
}

function partOf({ domain, team }: EnableOptions): EnablePart {
  if (team !== undefined) return { kind: "team", team };
  return domain === undefined ? { kind: "host" } : { kind: "domain", domain };
}

function parseTime(text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    if (error instanceof UnitError) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

const RELEASE_HELP = `
Takes away what uplinkd put into the kernel and puts back what it changed; traffic flows
on. Works without the daemon, too. The daemon stays out until 'uplinkctl enable'. Ends
with 1 if something could not be put back.

Example:
  uplinkctl release`;

const OBSERVE_HELP = `
As release, but the daemon says so of itself: it plans, shows in status and explain what
would be, and changes nothing until 'uplinkctl enable'. So it is after installing, too.

Example:
  uplinkctl observe`;

const ENABLE_HELP = `
Puts the plan in force, after installing or after a release. With --confirm it is taken
away again after that time, also if the daemon was restarted meanwhile, unless 'uplinkctl
confirm' comes first: who loses the way to the host needs to do nothing. With --team or
--domain only that is shaped, and everything else goes on as the host's own traffic; a
later 'enable' without them adds the rest. Ends with 1 if some of the plan could not be
put in force.

Examples:
  uplinkctl enable
  uplinkctl enable --domain web1 --confirm 60s
  uplinkctl enable --confirm 60s`;

const CONFIRM_HELP = `
Ends with 1 where nothing waits for it.

Example:
  uplinkctl confirm`;
