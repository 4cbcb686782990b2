/** uplinkctl's commands put together: what they share, and how they end. */
import { Command, CommanderError } from "commander";
import { PolicyErrors } from "../model/errors.ts";
import { ControlClient } from "./client.ts";
import type { CommandContext } from "./command.ts";
import { registerConfig } from "./config.ts";
import { registerDoctor } from "./doctor.ts";
import { registerEvents } from "./events.ts";
import { registerExplain } from "./explain.ts";
import { type ExitCode, type Failure, toFailure } from "./failure.ts";
import { registerModes } from "./modes.ts";
import { registerPolicy } from "./policy.ts";
import { withProgress } from "./progress.ts";
import { registerSet } from "./set.ts";
import { registerSimulate } from "./simulate.ts";
import { registerStatus } from "./status.ts";
import { registerSteering } from "./steering.ts";
import { type Layout, painted, plain } from "./table.ts";
import { registerTop } from "./top.ts";

/** Where the sockets and the configuration are, unless the environment says otherwise. */
const RUN_DIRECTORY = "/run/uplinkd";
const CONFIG_DIRECTORY = "/etc/uplinkd";

/** What a command needs of the world around it. */
export type Surroundings = Pick<
  CommandContext,
  | "ask"
  | "environment"
  | "nowMs"
  | "openLibvirt"
  | "openScreen"
  | "releaseWithoutDaemon"
  | "stderr"
  | "stdout"
  | "version"
>;

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
  const { UPLINKD_RUN_DIR: runDir, UPLINKD_CONFIG_DIR: configDir } = around.environment;
  const runDirectory = runDir || RUN_DIRECTORY;
  const layout = layoutOf(around);
  const context: CommandContext = {
    ...around,
    client: new ControlClient(runDirectory, (what, ask) => withProgress(around.stderr, what, ask)),
    layout,
    runDirectory,
    configDirectory: configDir || CONFIG_DIRECTORY,
    print: (lines) => around.stdout.write(`${lines.join("\n")}\n`),
    printJson: (document) => around.stdout.write(`${JSON.stringify(document, null, 2)}\n`),
    end,
  };

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

  registerStatus(program, context);
  registerTop(program, context);
  registerExplain(program, context);
  registerEvents(program, context);
  registerModes(program, context);
  registerDoctor(program, context);
  registerSimulate(program, context);
  registerSteering(program, context);
  registerSet(program, context);
  registerPolicy(program, context);
  registerConfig(program, context);
  return program;
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
