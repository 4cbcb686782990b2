/** `uplinkctl top`: what goes over the uplinks, as it goes. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Status } from "../model/status.ts";
import { parseDuration, UnitError } from "../model/units.ts";
import { type CommandContext, command } from "./command.ts";
import { Failure } from "./failure.ts";
import type { Screen } from "./terminal.ts";
import { renderTop, TOP_SORTS, type TopSort, topPage } from "./top-view.ts";

/** The daemon samples its counters once a second: asking more often shows the same; milliseconds. */
const LEAST_INTERVAL_MS = 500;

interface TopOptions {
  readonly interval: number;
  readonly sort: TopSort;
  readonly count?: number;
  readonly json?: true;
}

/** Adds the command. */
export function registerTop(program: Command, context: CommandContext): void {
  command(program, "top", "show loads live, sorted", HELP)
    .option("--interval <time>", "between two looks", parseInterval, 2000)
    .addOption(new Option("--sort <key>", "by what").choices(TOP_SORTS).default("used"))
    .option("--count <number>", "end after so many looks", parseCount)
    .action(async (options: TopOptions) => {
      if (options.json) await printDocuments(context, options);
      else if (context.openScreen === null) await printScreens(context, options);
      else await runScreen(context, options, context.openScreen());
    });
}

/** A line a look, for scripts; without an end unless one is given. */
async function printDocuments(context: CommandContext, options: TopOptions): Promise<void> {
  for (let look = 1; ; look += 1) {
    context.stdout.write(`${JSON.stringify(await context.client.status())}\n`);
    if (look === options.count) return;
    await sleep(options.interval);
  }
}

/** Where there is no terminal: one look unless more are asked for, whole, as `top -b` has it. */
async function printScreens(context: CommandContext, options: TopOptions): Promise<void> {
  const { client, layout, nowMs, print } = context;
  for (let look = 1; ; look += 1) {
    const status = await client.status();
    const view = { sort: options.sort, reverse: false, offset: 0, height: 1 << 20, note: "" };
    // Without the line that tells of keys.
    print(renderTop(status, view, nowMs(), layout).slice(0, -1));
    if (look >= (options.count ?? 1)) return;
    await sleep(options.interval);
  }
}

/** Until q or an interrupt; a daemon that goes away is waited for, with what it said last. */
async function runScreen(
  context: CommandContext,
  options: TopOptions,
  screen: Screen,
): Promise<void> {
  const view = { sort: options.sort, reverse: false, offset: 0, height: 0, note: "" };
  let status: Status | null = null;
  let isPaused = false;
  let wake: () => void = () => undefined;
  let isOver = false;
  const draw = () => {
    if (status === null) return;
    const layout = { ...context.layout, width: screen.columns };
    screen.show(renderTop(status, { ...view, height: screen.rows }, context.nowMs(), layout));
  };
  screen.onResize(draw);
  screen.onKey((key) => {
    const page = status === null ? 1 : topPage(status, screen.rows);
    const moves: Readonly<Record<string, number>> = {
      up: -1,
      down: 1,
      pageup: -page,
      pagedown: page,
      home: Number.NEGATIVE_INFINITY,
      end: 1 << 20,
    };
    if (key === "q") isOver = true;
    else if (key === "s") view.sort = nextSort(view.sort);
    else if (key === "r") view.reverse = !view.reverse;
    else if (key === " ") {
      isPaused = !isPaused;
      view.note = isPaused ? "paused; space goes on, q quits" : "";
    } else if (moves[key] !== undefined) {
      const rows = status?.domains.reduce((sum, { vnics }) => sum + vnics.length, 0) ?? 0;
      view.offset = Math.max(0, Math.min(view.offset + moves[key], rows - page));
    }
    draw();
    if (isOver || key === " ") wake();
  });
  try {
    for (let look = 1; !isOver; look += 1) {
      if (!isPaused) {
        try {
          status = await context.client.status();
          view.note = "";
        } catch (error) {
          // The first try tells what is wrong; later ones wait for a daemon that is restarted.
          if (status === null || !(error instanceof Failure)) throw error;
          view.note = `${error.message}; trying again, q quits`;
        }
      }
      draw();
      if (isOver || look === options.count) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, options.interval);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  } finally {
    screen.close();
  }
}

function nextSort(sort: TopSort): TopSort {
  return TOP_SORTS[(TOP_SORTS.indexOf(sort) + 1) % TOP_SORTS.length] ?? "used";
}

function parseInterval(text: string): number {
  try {
    const ms = parseDuration(text);
    if (ms >= LEAST_INTERVAL_MS) return ms;
  } catch (error) {
    if (!(error instanceof UnitError)) throw error;
  }
  throw new InvalidArgumentError(`It is a time such as 2s, at least ${LEAST_INTERVAL_MS}ms.`);
}

function parseCount(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It is a whole number from 1.");
}

const HELP = `
Keys: q quits, s sorts by the next of used, load, promised, drops, domain, uplink, r turns
the order round, space pauses, arrows and page keys scroll. LOAD of an uplink is of its
capacity, of a vNIC of what it gets. Wider terminals show more columns. Where the output
is no terminal it is printed once, or --count times; --json prints the status document,
one a line.

Examples:
  uplinkctl top
  uplinkctl top --sort drops --interval 5s
  uplinkctl top --count 1 | head`;
