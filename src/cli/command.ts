/** What every command of uplinkctl has. */
import type { Command } from "commander";
import type { ReleaseAnswer } from "../control/api.ts";
import type { LibvirtCaller } from "../libvirt/connection.ts";
import type { ControlClient } from "./client.ts";
import type { ExitCode } from "./failure.ts";
import type { Layout } from "./table.ts";
import type { Screen } from "./terminal.ts";

/** Where a command writes. */
export interface Output {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

/** What commands need of the world around them. Each has a file of its own, which adds it to the program. */
export interface CommandContext {
  readonly version: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Unix time, milliseconds. */
  readonly nowMs: () => number;
  /** Restores the host from the saved state where no daemon is there to do it. */
  readonly releaseWithoutDaemon: () => Promise<ReleaseAnswer>;
  /** libvirt over D-Bus, for what an operator changes there; the command closes it. */
  readonly openLibvirt: () => Promise<LibvirtCaller & { close(): void }>;
  /** Takes the terminal for a screen that changes; null where there is none. */
  readonly openScreen: (() => Screen) | null;
  /** Asks a person yes or no; true where nobody is there to be asked. */
  readonly ask: (question: string) => Promise<boolean>;
  readonly client: ControlClient;
  readonly layout: Layout;
  readonly runDirectory: string;
  readonly configDirectory: string;
  readonly print: (lines: readonly string[]) => void;
  readonly printJson: (document: unknown) => void;
  /** Called with the exit code where it isn't 0 and nothing is thrown. */
  readonly end: (exitCode: ExitCode) => void;
}

/** Adds a command with `--json` and its help's end. */
export function command(parent: Command, name: string, description: string, help: string): Command {
  return parent
    .command(name)
    .description(description)
    .option("--json", "machine-readable output, with stable keys")
    .addHelpText("after", help);
}
