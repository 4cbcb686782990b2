/** What a commander program says of itself, for manual pages and completion. */
import type { EventEmitter } from "node:events";
import type { Command, Option } from "commander";

/** A command's own options and those that every command has, as its help shows them. */
export function visibleOptions(command: Command): readonly Option[] {
  return command.createHelp().visibleOptions(command);
}

/** The text that a command's help ends with (addHelpText); commander shows it by an event. */
export function afterHelp(command: Command): string {
  let text = "";
  const write = (part: string) => {
    text += part;
  };
  // Its types leave out that a command is an emitter.
  (command as Command & EventEmitter).emit("afterHelp", { error: false, command, write });
  return text;
}
