/** `uplinkctl hold`, `unhold`, `drain` and `undrain`: what an operator keeps uplinkd off. */
import type { Command } from "commander";
import type { DrainAnswer, HoldAnswer } from "../control/api.ts";
import { type CommandContext, command } from "./command.ts";

/** Adds the commands. */
export function registerSteering(program: Command, context: CommandContext): void {
  const { client } = context;
  const add = (name: string, description: string, help: string) =>
    command(program, name, description, help);
  const tell = <T>(answer: T, render: (answer: T) => readonly string[], json?: true) => {
    if (json) context.printJson(answer);
    else context.print(render(answer));
  };

  add("hold", "keep uplinkd from ever pausing a domain", HOLD_HELP)
    .argument("<domain>", "the domain's name, as virsh list shows it")
    .action(async (domain: string, { json }: { json?: true }) =>
      tell(await client.hold(domain), renderHold, json),
    );
  add("unhold", "let a domain's policy decide again", UNHOLD_HELP)
    .argument("<domain>", "the domain's name")
    .action(async (domain: string, { json }: { json?: true }) =>
      tell(await client.unhold(domain), renderHold, json),
    );
  add("drain", "move everything off an uplink, before its cable is pulled", DRAIN_HELP)
    .argument("<uplink>", "the NIC's name")
    .option("--force", "although reservations break")
    .action(async (uplink: string, { force, json }: { force?: true; json?: true }) =>
      tell(await client.drain(uplink, force === true), renderDrain, json),
    );
  add("undrain", "put an uplink back into service", UNDRAIN_HELP)
    .argument("<uplink>", "the NIC's name")
    .action(async (uplink: string, { json }: { json?: true }) =>
      tell(await client.undrain(uplink), renderDrain, json),
    );
}

function renderHold({ domain, held }: HoldAnswer): string[] {
  return [held ? `${domain} is held: shaped, never paused or moved` : `${domain} is not held`];
}

function renderDrain(answer: DrainAnswer): string[] {
  const notes = [...answer.reasons, ...answer.problems];
  return [`${answer.uplink} ${drainState(answer)}`, ...notes.map((note) => `  ${note}`)];
}

function drainState({ drained, carries, problems }: DrainAnswer): string {
  const senders = carries.length === 0 ? "no domain" : carries.join(", ");
  if (!drained) return `is in service; by it sends ${senders}`;
  if (carries.length > 0) return `is drained, but there is no other for: ${senders}`;
  return problems.length > 0
    ? "is drained, but not everything has moved: leave its cable in"
    : "is drained: its cable may be pulled";
}

const HOLD_HELP = `
A domain that is held is shaped as before, and neither paused, discarded nor moved; if uplinkd
has paused it, it resumes; if uplinkd is moving it, that is aborted. Holds by its name until
'uplinkctl unhold', over restarts of the domain and of uplinkd.

Example:
  uplinkctl hold db1`;

const UNHOLD_HELP = `
Example:
  uplinkctl unhold db1`;

const DRAIN_HELP = `
Moves what the uplink carries to the team's others without loss, and the bond's active
port with it. No vNIC is placed there until 'uplinkctl undrain', also over restarts of
uplinkd; what falls back to it is still carried. Ends with 1 and the reasons, and changes
nothing, if a reservation would break by it, unless --force is given.

Examples:
  uplinkctl drain eno2
  uplinkctl simulate --fail eno2   what it would bring, beforehand`;

const UNDRAIN_HELP = `
What was at home there goes back, once the uplink is up and past its hold-down.

Example:
  uplinkctl undrain eno2`;
