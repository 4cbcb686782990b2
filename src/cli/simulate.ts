/** `uplinkctl simulate`: what a loss would bring, from a scenario file, without root and without a daemon. */
import { readFileSync, statSync } from "node:fs";
import type { Command } from "commander";
import { nearestWord } from "../model/word.ts";
import type { World } from "../model/world.ts";
import { simulateLoss } from "../plan/simulate.ts";
import { parseScenario } from "../policy/scenario.ts";
import { MAX_FILE_BYTES } from "../policy/yaml.ts";
import { type ExitCode, Failure } from "./failure.ts";
import { describeSimulation, renderSimulation } from "./simulate-view.ts";
import type { Layout } from "./table.ts";

/** What the command needs of the world around it. */
export interface SimulateSurroundings {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  readonly layout: Layout;
  /** Called with the exit code where it isn't 0 and nothing is thrown. */
  readonly end: (exitCode: ExitCode) => void;
}

/** Adds the command. */
export function registerSimulate(program: Command, around: SimulateSurroundings): void {
  program
    .command("simulate")
    .description("tell what a failure would bring, before it happens")
    .option("--scenario <file>", "a world written down, instead of this host")
    .option("--fail <uplink>", "lose this uplink; may be given several times", collect, [])
    .option("--json", "machine-readable output, with stable keys")
    .addHelpText("after", HELP)
    .action((options: { scenario?: string; fail: readonly string[]; json?: true }) => {
      if (options.scenario === undefined) {
        throw new Failure(2, {
          kind: "usage",
          object: "simulate",
          message: "needs --scenario FILE",
          remedy: "what a loss would bring on this host is told by: uplinkctl explain DOMAIN",
        });
      }
      simulate({ ...options, scenario: options.scenario }, around);
    });
}

/**
 * Answers from a scenario file; a wrong one is told as compilers do, on standard error only, with --json too.
 * @throws Failure if the file can't be read or has no such uplink
 */
export function simulate(
  options: { readonly scenario: string; readonly fail: readonly string[]; readonly json?: true },
  around: SimulateSurroundings,
): void {
  const parsed = parseScenario(options.scenario, readScenario(options.scenario));
  if (!parsed.ok) {
    for (const error of parsed.errors) around.stderr.write(`${error.describe()}\n`);
    around.end(2);
    return;
  }
  const failed = orderFailed(parsed.value, options.fail);
  const answer = describeSimulation(parsed.value, failed, simulateLoss(parsed.value, failed));
  const text = options.json
    ? JSON.stringify(answer, null, 2)
    : renderSimulation(answer, around.layout).join("\n");
  around.stdout.write(`${text}\n`);
}

function readScenario(file: string): string {
  try {
    // Read only what is a file of a sane size: a device or a pipe would never end.
    const found = statSync(file);
    if (found.isDirectory()) throw new Error("it is a directory");
    if (found.size > MAX_FILE_BYTES) throw new Error("it is larger than 1 MiB");
    return readFileSync(file, "utf8");
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Failure(
      2,
      { kind: "policy", object: file, message: `can't be read: ${message}`, remedy: "" },
      { cause: error },
    );
  }
}

/** The uplinks to lose, each once, in the order of the file. */
function orderFailed(world: World, wanted: readonly string[]): string[] {
  const names = world.teams.flatMap((team) => team.uplinks.map((uplink) => uplink.name));
  for (const name of wanted) {
    if (names.includes(name)) continue;
    const meant = nearestWord(name, names);
    throw new Failure(2, {
      kind: "usage",
      object: `--fail ${name}`,
      message: "the scenario has no such uplink",
      remedy: meant === null ? `it has ${names.join(", ")}` : `did you mean ${meant}?`,
    });
  }
  return names.filter((name) => wanted.includes(name));
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

const HELP = `
The answer is for the settled state after the loss, grace times elapsed. A wrong file is
told as FILE:LINE:COLUMN: WHAT AND WHY and ends with 2; a reservation that can't be met is
an answer and ends with 0.

Examples:
  uplinkctl simulate --scenario rack.yaml --fail eno1
  uplinkctl simulate --scenario rack.yaml --fail eno1 --fail eno2 --json`;
