/** The daemon's command: `uplinkd [--observe] [--config-dir DIR] [--run-dir DIR] [--state-dir DIR]`. */
import { Command } from "commander";
import { PolicyErrors, UplinkError } from "../model/errors.ts";
import { VERSION } from "../model/version.ts";
import { startDaemon } from "./daemon.ts";

const program = new Command("uplinkd")
  .description("Keeps each VM's share of the physical NICs, as its domain XML promises it.")
  .version(VERSION)
  .option("--observe", "plan and show, change nothing", false)
  .option("--config-dir <dir>", "configuration and policies", "/etc/uplinkd")
  .option("--run-dir <dir>", "sockets and undo files", "/run/uplinkd")
  .option("--state-dir <dir>", "the journal", "/var/lib/uplinkd")
  .option("--bus <address>", "D-Bus address, instead of the system bus")
  .addHelpText(
    "after",
    "\nStopping it leaves enforcement in place; `uplinkctl release` takes it away.\nExit: 0 stopped, 1 failed, 2 wrong configuration.",
  );

const options = program.parse().opts<{
  observe: boolean;
  configDir: string;
  runDir: string;
  stateDir: string;
  bus?: string;
}>();

try {
  const stop = await startDaemon({ ...options, busAddress: options.bus ?? null });
  let stopping = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      stop().then(
        () => process.exit(0),
        (error: unknown) => {
          process.stderr.write(`<3>stop: ${String(error)}\n`);
          process.exit(1);
        },
      );
    });
  }
} catch (error) {
  if (error instanceof PolicyErrors) {
    for (const one of error.errors) process.stderr.write(`<3>configuration: ${one.describe()}\n`);
    process.exit(2);
  }
  const text = error instanceof UplinkError ? `${error.object}: ${error.message}` : String(error);
  process.stderr.write(`<3>uplinkd can't start: ${text}\n`);
  process.exit(1);
}
