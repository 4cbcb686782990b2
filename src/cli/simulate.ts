/**
 * `uplinkctl simulate`: what a loss would bring. From a scenario file without root and without a daemon, or of this
 * host by the daemon's own planner.
 */
import { readFileSync, statSync } from "node:fs";
import type { Command } from "commander";
import type { SimulationDocument } from "../model/simulation.ts";
import { nearestWord } from "../model/word.ts";
import type { World } from "../model/world.ts";
import { simulateLoss } from "../plan/simulate.ts";
import { parseScenario } from "../policy/scenario.ts";
import { MAX_FILE_BYTES } from "../policy/yaml.ts";
import { type CommandContext, command } from "./command.ts";
import { Failure } from "./failure.ts";
import { renderSimulation } from "./simulate-view.ts";

/** Adds the command. */
export function registerSimulate(program: Command, context: CommandContext): void {
  command(program, "simulate", "tell what a failure would bring, before it happens", HELP)
    .option("--scenario <file>", "a world written down, instead of this host")
    .option("--fail <uplink>", "lose this uplink; may be given several times", collect, [])
    .action(async (options: { scenario?: string; fail: readonly string[]; json?: true }) => {
      const { scenario, fail } = options;
      const answer =
        scenario === undefined
          ? await context.client.simulate(fail)
          : simulateScenario(scenario, fail, context);
      if (answer === null) return;
      const text = options.json
        ? JSON.stringify(answer, null, 2)
        : renderSimulation(answer, context.layout).join("\n");
      context.stdout.write(`${text}\n`);
    });
}

/**
 * Answers from a scenario file; a wrong one is told as compilers do, on standard error only, with --json too.
 * @returns null where it is wrong
 * @throws Failure if the file can't be read or has no such uplink
 */
function simulateScenario(
  file: string,
  fail: readonly string[],
  context: CommandContext,
): SimulationDocument | null {
  const parsed = parseScenario(file, readScenario(file));
  if (!parsed.ok) {
    for (const error of parsed.errors) context.stderr.write(`${error.describe()}\n`);
    context.end(2);
    return null;
  }
  checkFailed(parsed.value, fail);
  return simulateLoss(parsed.value, fail);
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

/** @throws Failure for an uplink that the scenario doesn't have */
function checkFailed(world: World, wanted: readonly string[]): void {
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
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

const HELP = `
Without --scenario the daemon answers for this host as it is now: its domains, what they
reserve, the demand that was measured, the uplinks that are lost or drained already. Its
own planner does, so this is what would stand in the kernel. Changes nothing; whoever may
read status may ask. With --scenario a file is the world: no daemon, no root; see
docs/reference.md for what is in it.

The answer is for the settled state after the loss, grace times and hold-downs elapsed;
without --fail, for no further loss. A wrong file is told as FILE:LINE:COLUMN: WHAT AND
WHY and ends with 2, as an unknown uplink does; a reservation that can't be met is an
answer and ends with 0.

Examples:
  uplinkctl simulate --fail eno1
  uplinkctl simulate --scenario rack.yaml --fail eno1
  uplinkctl simulate --scenario rack.yaml --fail eno1 --fail eno2 --json`;
