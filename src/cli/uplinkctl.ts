#!/usr/bin/env node
/** The operator's command. */
import type { ReleaseAnswer } from "../control/api.ts";
import { VERSION } from "../model/version.ts";
import { Failure } from "./failure.ts";
import { runUplinkctl } from "./program.ts";

// `uplinkctl events | head` closes the pipe early: that is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});

process.exitCode = await runUplinkctl(process.argv.slice(2), {
  version: VERSION,
  environment: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  nowMs: Date.now,
  releaseWithoutDaemon,
});

/** The seam to src/daemon/release.ts. */
async function releaseWithoutDaemon(): Promise<ReleaseAnswer> {
  throw new Failure(3, {
    kind: "absent",
    object: "release",
    message: "uplinkd is not running",
    remedy: "start it: systemctl start uplinkd",
  });
}
