/** The daemon's command. */
import { PolicyErrors, UplinkError } from "../model/errors.ts";
import { startDaemon } from "./daemon.ts";
import { buildDaemonProgram, type DaemonArguments } from "./program.ts";

const options = buildDaemonProgram().parse().opts<DaemonArguments>();

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
