/** uplinkctl's commands: what they take, what they print, how they end. */
import { statSync } from "node:fs";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import type { ReleaseAnswer } from "../control/api.ts";
import { PolicyErrors } from "../model/errors.ts";
import { clip } from "../model/units.ts";
import { checkFile, type FileCheck } from "../policy/check.ts";
import { writeConfig } from "../policy/config-text.ts";
import { loadAll } from "../policy/load.ts";
import { ControlClient } from "./client.ts";
import { command } from "./command.ts";
import { registerDoctor } from "./doctor.ts";
import { renderEvent } from "./event-view.ts";
import { renderExplanation } from "./explain-view.ts";
import { type ExitCode, Failure, toFailure } from "./failure.ts";
import { registerModes } from "./modes.ts";
import { registerSimulate } from "./simulate.ts";
import { renderStatus } from "./status-view.ts";
import { registerSteering } from "./steering.ts";
import { type Layout, painted, plain } from "./table.ts";

/** Where the sockets and the configuration are, unless the environment says otherwise. */
const RUN_DIRECTORY = "/run/uplinkd";
const CONFIG_DIRECTORY = "/etc/uplinkd";
/** Between two tries of a follower to find the daemon again, milliseconds. */
const RECONNECT_MS = 1000;

/** What a command needs of the world around it. */
export interface Surroundings {
  readonly version: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdout: { write(text: string): unknown; isTTY?: boolean; columns?: number };
  readonly stderr: { write(text: string): unknown };
  readonly nowMs: () => number;
  /** Restores the host from the saved state where no daemon is there to do it. */
  readonly releaseWithoutDaemon: () => Promise<ReleaseAnswer>;
}

/**
 * Runs one command.
 * @param args without interpreter and script
 * @returns its exit code; errors have been told by then, without a stack
 */
export async function runUplinkctl(
  args: readonly string[],
  around: Surroundings,
): Promise<ExitCode> {
  const isJson = args.includes("--json");
  try {
    let exitCode: ExitCode = 0;
    await buildProgram(around, (code) => {
      exitCode = code;
    }).parseAsync(args, { from: "user" });
    return exitCode;
  } catch (error) {
    // Commander has told its own errors already; help and version end this way, too.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const failure = toFailure(error);
    tellFailure(failure, isJson, around);
    const { UPLINKD_DEBUG: debug } = around.environment;
    if (debug && error instanceof Error) around.stderr.write(`${error.stack}\n`);
    return failure.exitCode;
  }
}

/**
 * All commands; manual pages and completion are made from them.
 * @param end called with the exit code where it isn't 0 and nothing is thrown
 */
export function buildProgram(around: Surroundings, end: (exitCode: ExitCode) => void): Command {
  const { UPLINKD_RUN_DIR: runDirectory } = around.environment;
  const client = new ControlClient(runDirectory || RUN_DIRECTORY);
  const layout = layoutOf(around);
  const print = (lines: readonly string[]) => around.stdout.write(`${lines.join("\n")}\n`);
  const printJson = (document: unknown) =>
    around.stdout.write(`${JSON.stringify(document, null, 2)}\n`);

  const program = new Command("uplinkctl")
    .description("Shows and steers what uplinkd does with this host's physical NICs.")
    .version(around.version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => around.stdout.write(text),
      writeErr: (text) => around.stderr.write(text),
      getOutHelpWidth: () => layout.width,
      getErrHelpWidth: () => layout.width,
    })
    .addHelpText("after", PROGRAM_HELP);

  command(program, "status", "show teams, uplinks, domains and problems", STATUS_HELP).action(
    async ({ json }: { json?: true }) => {
      const status = await client.status();
      if (json) printJson(status);
      else print(renderStatus(status, around.nowMs(), layout));
    },
  );

  command(program, "explain", "tell why a domain has what it has", EXPLAIN_HELP)
    .argument("<domain>", "the domain's name, as virsh list shows it")
    .action(async (domain: string, { json }: { json?: true }) => {
      const explanation = await client.explain(domain);
      if (json) printJson(explanation);
      else print(renderExplanation(explanation, layout));
    });

  command(program, "events", "show what happened, oldest first", EVENTS_HELP)
    .option("--since <sequence>", "only events after this sequence number", parseSequence, 0)
    .option("--follow", "go on with what happens, until interrupted")
    .action(async (options: { since: number; follow?: true; json?: true }) => {
      if (options.follow) {
        await followEvents(client, options, around, layout);
        return;
      }
      const page = await client.events(options.since);
      if (options.json) printJson(page);
      else if (page.events.length > 0)
        print(page.events.map((event) => renderEvent(event, layout)));
    });

  registerModes(program, { client, layout, print, printJson, end, ...around });

  registerDoctor(program, {
    client,
    layout,
    version: around.version,
    runDirectory: runDirectory || RUN_DIRECTORY,
    configDirectory: around.environment["UPLINKD_CONFIG_DIR"] || CONFIG_DIRECTORY,
    print,
    printJson,
    end,
  });

  const { stdout, stderr } = around;
  registerSimulate(program, { stdout, stderr, client, layout, end });

  registerSteering(program, { client, print, printJson });

  const policy = group(program, "policy", "named policies");
  command(policy, "check", "check policy and configuration files", CHECK_HELP)
    .argument("<file...>", "policy files, uplinkd.yaml, drop-ins, or a whole directory")
    .action((files: string[], { json }: { json?: true }) => {
      const checks = files.map((file) => checkFile(file, isDirectory(file)));
      if (checks.some((check) => check.errors.length > 0)) end(2);
      if (json) {
        printJson({ files: checks.map(checkDocument) });
        return;
      }
      for (const { file, kind, errors } of checks) {
        if (errors.length === 0) print([`${clip(file, 500)}: ${kind} ok`]);
        for (const error of errors) around.stderr.write(`${error.describe()}\n`);
      }
    });

  const config = group(program, "config", "the configuration");
  command(config, "show", "show which files are read, and what holds", CONFIG_HELP)
    .option("--effective", "what holds, with every default filled in")
    .option("--dir <directory>", "instead of /etc/uplinkd")
    .action((options: { effective?: true; dir?: string; json?: true }) => {
      const { UPLINKD_CONFIG_DIR: configured } = around.environment;
      const loaded = loadAll(options.dir ?? (configured || CONFIG_DIRECTORY));
      const policies = Object.fromEntries(loaded.policies);
      if (options.json) printJson({ files: loaded.files, config: loaded.config, policies });
      else if (options.effective) {
        const names = [...loaded.policies.keys()].join(", ") || "none";
        print([writeConfig(loaded.config).trimEnd(), `# policies: ${names}`]);
      } else print(loaded.files.length === 0 ? ["no files: the defaults hold"] : loaded.files);
    });

  return program;
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

function group(parent: Command, name: string, description: string): Command {
  return parent.command(name).description(description);
}

/** Follows across restarts of the daemon; only the first try may fail. */
async function followEvents(
  client: ControlClient,
  options: { readonly since: number; readonly json?: true },
  around: Surroundings,
  layout: Layout,
): Promise<never> {
  let since = options.since;
  let hasConnected = false;
  for (;;) {
    try {
      for await (const event of client.followEvents(since)) {
        if (event === "missed") {
          around.stderr.write("uplinkctl: some events are no longer in the daemon's memory\n");
          continue;
        }
        since = event.sequence;
        const line = options.json ? JSON.stringify(event) : renderEvent(event, layout);
        around.stdout.write(`${line}\n`);
      }
      around.stderr.write("uplinkctl: the daemon went away; waiting for it\n");
      hasConnected = true;
    } catch (error) {
      if (!hasConnected || !(error instanceof Failure) || error.exitCode !== 3) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
  }
}

/** Colour and width only where a terminal shows them; https://no-color.org. */
function layoutOf(around: Surroundings): Layout {
  const { NO_COLOR: noColour, TERM: terminal, COLUMNS: columns } = around.environment;
  const isTerminal = around.stdout.isTTY === true;
  const stated = /^\d{2,4}$/.test(columns ?? "") ? Number(columns) : undefined;
  return {
    width: stated ?? (isTerminal ? (around.stdout.columns ?? 80) : Number.POSITIVE_INFINITY),
    paint: isTerminal && !noColour && terminal !== "dumb" ? painted : plain,
  };
}

function tellFailure(failure: Failure, isJson: boolean, around: Surroundings): void {
  const { kind, object, message, remedy } = failure;
  if (isJson) {
    around.stderr.write(`${JSON.stringify({ error: { kind, object, message, remedy } })}\n`);
    return;
  }
  // Errors of files are as compilers write them, so that editors find the place.
  if (failure.cause instanceof PolicyErrors) around.stderr.write(`${message}\n`);
  else around.stderr.write(`uplinkctl: ${object === "uplinkctl" ? "" : `${object}: `}${message}\n`);
  if (remedy !== "") around.stderr.write(`  ${remedy}\n`);
}

function parseSequence(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is a whole number, as --json shows it.");
}

function isDirectory(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

const PROGRAM_HELP = `
Exit codes: 0 done, 1 failed, 2 wrong input, 3 daemon not reachable.
Environment: NO_COLOR, UPLINKD_RUN_DIR (/run/uplinkd), UPLINKD_CONFIG_DIR (/etc/uplinkd),
UPLINKD_STATE_DIR (/var/lib/uplinkd).

Examples:
  uplinkctl status                 what each VM was promised, and what it gets
  uplinkctl explain web1           why
  uplinkctl simulate --fail eno1   what would happen, before it does
  uplinkctl events --follow        what happens, as it happens
  uplinkctl policy check gold.yaml before it is put in force`;

const STATUS_HELP = `
A vNIC that sends by another uplink than its home is shown as HOME>UPLINK. Rates are
bits per second. Below the domains stands what each reservation is worth once an uplink
is lost: it holds with any one uplink lost, or it is best effort when degraded.

Examples:
  uplinkctl status
  uplinkctl status --json | jq '.domains[] | select(.pausedByUs) | .name'`;

const EXPLAIN_HELP = `
Examples:
  uplinkctl explain web1
  uplinkctl explain web1 --json | jq '.vnics[].reasons'`;

const EVENTS_HELP = `
With --follow, --json prints one event a line. The daemon keeps the latest events in
memory; journalctl -u uplinkd has all.

Examples:
  uplinkctl events
  uplinkctl events --since 120 --json
  uplinkctl events --follow`;

const CHECK_HELP = `
Mistakes are told as FILE:LINE:COLUMN: KEY: MESSAGE, and the command ends with 2.

Examples:
  uplinkctl policy check policies/*.yaml
  uplinkctl policy check /etc/uplinkd`;

const CONFIG_HELP = `
Reads the files, not the daemon: after a change, this is what it will have.

Examples:
  uplinkctl config show
  uplinkctl config show --effective
  uplinkctl config show --effective --json --dir ./etc`;
