/** Every command of uplinkctl, as the program itself lists them, so that a test of all can forget none. */
import type { Command } from "commander";
import { describeUplinkctl } from "../../../packaging/programs.ts";

/** What each command is called with; a command that isn't here is called without arguments. */
export const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  explain: ["web1"],
  top: ["--count", "1"],
  simulate: ["--fail", "eno1"],
  hold: ["web1"],
  unhold: ["web1"],
  drain: ["eno1", "--force"],
  undrain: ["eno1"],
  enable: ["--domain", "web1", "--confirm", "60s"],
  set: ["web1", "--limit", "1gbit"],
  unset: ["web1", "limit"],
};

/** Every command that does something, by its words: `policy check`. */
export function commandWords(): readonly string[] {
  return leaves(describeUplinkctl());
}

/** The command of these words; undefined where there is none, or it is a group. */
export function findCommand(words: readonly string[]): Command | undefined {
  let found: Command | undefined = describeUplinkctl();
  for (const word of words) found = found?.commands.find((child) => child.name() === word);
  return found === undefined || found.commands.length > 0 ? undefined : found;
}

function leaves(command: Command, words: readonly string[] = []): readonly string[] {
  return command.commands.flatMap((child) => {
    const path = [...words, child.name()];
    return child.commands.length > 0 ? leaves(child, path) : [path.join(" ")];
  });
}
