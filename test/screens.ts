/**
 * `npm run screens`: what status and top show in a real terminal (tmux, Debian's package) of 80, 120 and 200 columns, written to
 * docs/reference/screens.md. The programs are the real ones; the host is the tests' example: one that has lost an uplink.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { listenControl } from "../src/control/server.ts";
import { exampleStatus, FakeDaemon } from "./unit/control/fake-daemon.ts";

const WIDTHS = [80, 120, 200];
const HEIGHT = 24;
const repository = join(import.meta.dirname, "..");
const uplinkctl = `${process.execPath} ${join(repository, "src/cli/uplinkctl.ts")}`;

const folder = mkdtempSync(join(tmpdir(), "uplinkd-screens-"));
const daemon = new FakeDaemon();
const nowMs = Date.now();
daemon.statusDocument = {
  ...exampleStatus,
  daemon: { ...exampleStatus.daemon, startedAtMs: nowMs - 90 * 60e3, lastResyncMs: nowMs - 2000 },
};
const server = await listenControl({
  handlers: daemon,
  access: "full",
  listen: { path: join(folder, "read.sock"), mode: 0o600 },
  onError: console.error,
});
try {
  const screens: string[] = [];
  for (const command of ["status", "top"]) {
    for (const width of WIDTHS) screens.push(await capture(command, width));
  }
  const text = `# Screens

What \`uplinkctl status\` and \`uplinkctl top\` show in terminals of ${WIDTHS.join(", ")} columns: an example host that has lost an uplink. Made by
\`npm run screens\`, in tmux.

${screens.join("\n")}`;
  writeFileSync(join(repository, "docs/reference/screens.md"), text);
} finally {
  tmux("kill-server");
  await server.close();
  rmSync(folder, { recursive: true });
}

/** @returns a section of the page */
async function capture(command: string, width: number): Promise<string> {
  // A status is over at once: what it printed stays until the terminal is closed.
  const line = command === "top" ? `${uplinkctl} top` : `${uplinkctl} ${command}; read end`;
  const size = ["-x", String(width), "-y", String(HEIGHT)];
  tmux("new-session", "-d", ...size, "-e", `UPLINKD_RUN_DIR=${folder}`, line);
  let shown = "";
  for (let look = 0; look < 100; look += 1) {
    await sleep(200);
    const now = tmux("capture-pane", "-p").trimEnd();
    if (now !== "" && now === shown) break;
    shown = now;
  }
  const tooWide = shown.split("\n").filter((row) => row.length > width);
  if (shown === "" || tooWide.length > 0) throw new Error(`${command} at ${width}: ${shown}`);
  tmux("send-keys", command === "top" ? "q" : "Enter");
  for (let look = 0; look < 100 && tmux("list-sessions") !== ""; look += 1) await sleep(100);
  if (tmux("list-sessions") !== "") throw new Error(`${command} at ${width} doesn't end`);
  return `## ${command}, ${width} columns\n\n\`\`\`text\n${shown}\n\`\`\`\n`;
}

function tmux(...words: string[]): string {
  const { stdout } = spawnSync("tmux", ["-S", join(folder, "tmux"), "-f", "/dev/null", ...words], {
    encoding: "utf8",
    env: { ...process.env, TERM: "xterm-256color", LC_ALL: "C.UTF-8" },
  });
  return stdout;
}
