/** `uplinkctl events`: what happened, and what happens. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { parseDuration, UnitError } from "../model/units.ts";
import { type CommandContext, command } from "./command.ts";
import { renderEvent } from "./event-view.ts";
import { Failure } from "./failure.ts";

/** Between two tries of a follower to find the daemon again, milliseconds. */
const RECONNECT_MS = 1000;

/** Since when events are wanted: after a sequence number, or of the last so many milliseconds. */
type Since =
  | { readonly kind: "sequence"; readonly sequence: number }
  | { readonly kind: "age"; readonly ageMs: number };

interface EventsOptions {
  readonly since: Since;
  readonly follow?: true;
  readonly json?: true;
}

/** Adds the command. */
export function registerEvents(program: Command, context: CommandContext): void {
  const { client, layout, print, printJson } = context;
  command(program, "events", "show what happened, oldest first", HELP)
    .addOption(
      new Option("--since <when>", "only events after this sequence number, or of this last time")
        .argParser(parseSince)
        .default({ kind: "sequence", sequence: 0 } satisfies Since, "all in memory"),
    )
    .option("--follow", "go on with what happens, until interrupted")
    .action(async (options: EventsOptions) => {
      const { since } = options;
      const earliestMs = since.kind === "age" ? context.nowMs() - since.ageMs : 0;
      if (options.follow) {
        await followEvents(options, earliestMs, context);
        return;
      }
      const page = await client.events(since.kind === "sequence" ? since.sequence : 0);
      const events = page.events.filter((event) => event.atMs >= earliestMs);
      if (options.json) printJson({ ...page, events });
      else if (events.length > 0) print(events.map((event) => renderEvent(event, layout)));
    });
}

/** Follows across restarts of the daemon; only the first try may fail. */
async function followEvents(
  options: EventsOptions,
  earliestMs: number,
  { client, layout, stderr, stdout }: CommandContext,
): Promise<never> {
  let sequence = options.since.kind === "sequence" ? options.since.sequence : 0;
  let hasConnected = false;
  for (;;) {
    try {
      for await (const event of client.followEvents(sequence)) {
        if (event === "missed") {
          stderr.write("uplinkctl: some events are no longer in the daemon's memory\n");
          continue;
        }
        sequence = event.sequence;
        if (event.atMs < earliestMs) continue;
        const line = options.json ? JSON.stringify(event) : renderEvent(event, layout);
        stdout.write(`${line}\n`);
      }
      stderr.write("uplinkctl: the daemon went away; waiting for it\n");
      hasConnected = true;
    } catch (error) {
      if (!hasConnected || !(error instanceof Failure) || error.exitCode !== 3) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
  }
}

function parseSince(text: string): Since {
  if (/^\d{1,15}$/.test(text)) return { kind: "sequence", sequence: Number(text) };
  try {
    return { kind: "age", ageMs: parseDuration(text) };
  } catch (error) {
    if (!(error instanceof UnitError)) throw error;
    throw new InvalidArgumentError(
      "It is a sequence number, as --json shows it, or a time such as 10m.",
    );
  }
}

const HELP = `
With --follow, --json prints one event a line. The daemon keeps the latest events in
memory; journalctl -u uplinkd has all.

Examples:
  uplinkctl events
  uplinkctl events --since 10m
  uplinkctl events --since 120 --json
  uplinkctl events --follow`;
