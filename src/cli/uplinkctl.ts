#!/usr/bin/env node
/** The operator's command. */
import { VERSION } from "../model/version.ts";
import { runUplinkctl } from "./program.ts";
import { openScreen } from "./terminal.ts";

/** The journal's place, unless the environment says otherwise. */
const STATE_DIRECTORY = "/var/lib/uplinkd";
/** libvirt answers at once, or a domain of it is in the middle of something long; milliseconds. */
const LIBVIRT_TIMEOUT_MS = 20_000;

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
  openLibvirt: async () => {
    const { LibvirtConnection } = await import("../libvirt/connection.ts");
    const limits = { connectTimeoutMs: LIBVIRT_TIMEOUT_MS, callTimeoutMs: LIBVIRT_TIMEOUT_MS };
    const nothing = () => undefined;
    return LibvirtConnection.open({ ...limits, onSignal: nothing, onClose: nothing });
  },
  openScreen:
    process.stdin.isTTY && process.stdout.isTTY && process.env.TERM !== "dumb"
      ? () => openScreen(process)
      : null,
  ask: async (question) => {
    if (!process.stdin.isTTY || !process.stdout.isTTY) return true;
    const { createInterface } = await import("node:readline/promises");
    const terminal = createInterface({ input: process.stdin, output: process.stdout });
    const answer = await terminal.question(`${question} [y/N] `);
    terminal.close();
    return /^y(es)?$/i.test(answer.trim());
  },
  releaseWithoutDaemon: async () => {
    // Loads the kernel's side only here: no other command needs it.
    const { releaseWithoutDaemon } = await import("../daemon/release.ts");
    return releaseWithoutDaemon(process.env.UPLINKD_STATE_DIR || STATE_DIRECTORY);
  },
});
