#!/usr/bin/env node
/** The operator's command. */
import { VERSION } from "../model/version.ts";
import { runUplinkctl } from "./program.ts";

/** The journal's place, unless the environment says otherwise. */
const STATE_DIRECTORY = "/var/lib/uplinkd";

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
  releaseWithoutDaemon: async () => {
    // Loads the kernel's side only here: no other command needs it.
    const { releaseWithoutDaemon } = await import("../daemon/release.ts");
    return releaseWithoutDaemon(process.env.UPLINKD_STATE_DIR || STATE_DIRECTORY);
  },
});
