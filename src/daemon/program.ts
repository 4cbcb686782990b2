/** uplinkd's options: `uplinkd [--observe] [--config-dir DIR] [--run-dir DIR] [--state-dir DIR]`. */
import { Command } from "commander";
import { VERSION } from "../model/version.ts";

/** What was asked for, with every default filled in. */
export interface DaemonArguments {
  readonly observe: boolean;
  readonly observeFirst: boolean;
  readonly configDir: string;
  readonly runDir: string;
  readonly stateDir: string;
  readonly bus?: string;
}

/** @returns the program, not run; manual pages are made from it */
export function buildDaemonProgram(): Command {
  return new Command("uplinkd")
    .description("Keeps each VM's share of the physical NICs, as its domain XML promises it.")
    .version(VERSION)
    .option("--observe", "plan and show, change nothing, whatever uplinkctl says", false)
    .option("--observe-first", "on a new host, observe until `uplinkctl enable`", false)
    .option("--config-dir <dir>", "configuration and policies", "/etc/uplinkd")
    .option("--run-dir <dir>", "sockets and undo files", "/run/uplinkd")
    .option("--state-dir <dir>", "the journal", "/var/lib/uplinkd")
    .option("--bus <address>", "D-Bus address, instead of the system bus")
    .addHelpText(
      "after",
      "\nStopping it leaves enforcement in place; `uplinkctl release` takes it away.\nExit: 0 stopped, 1 failed, 2 wrong configuration.",
    );
}
