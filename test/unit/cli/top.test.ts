import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Screen } from "../../../src/cli/terminal.ts";
import { type ControlServer, listenControl } from "../../../src/control/server.ts";
import { FakeDaemon } from "../control/fake-daemon.ts";
import { runInProcess } from "./in-process.ts";

/** A terminal of 80 by 24 that keeps what it showed last. */
class FakeScreen implements Screen {
  columns = 80;
  rows = 24;
  shown: readonly string[] = [];
  shows = 0;
  closed = 0;
  press: (key: string) => void = () => undefined;
  resized: () => void = () => undefined;
  /** Called after each drawing. */
  onShow: () => void = () => undefined;

  show(lines: readonly string[]): void {
    this.shown = lines;
    this.shows += 1;
    this.onShow();
  }
  onKey(listener: (key: string) => void): void {
    this.press = listener;
  }
  onResize(listener: () => void): void {
    this.resized = listener;
  }
  close(): void {
    this.closed += 1;
  }
}

describe("uplinkctl top", () => {
  let directory: string;
  let daemon: FakeDaemon;
  let server: ControlServer | null;
  let screen: FakeScreen;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "uplinkd-top-"));
    daemon = new FakeDaemon();
    screen = new FakeScreen();
    const path = join(directory, "read.sock");
    server = await listenControl({
      handlers: daemon,
      access: "read",
      listen: { path, mode: 0o600 },
      onError: () => undefined,
    });
  });
  afterEach(async () => {
    await server?.close();
    rmSync(directory, { recursive: true });
  });

  const run = (args: readonly string[], onTerminal = true) =>
    runInProcess(["top", "--interval", "500ms", ...args], {
      environment: { UPLINKD_RUN_DIR: directory },
      openScreen: onTerminal ? () => screen : null,
    });

  it("draws, sorts and resizes by keys, and gives the terminal back on q", async () => {
    const seen: string[] = [];
    const keys = ["s", "r", " ", "down", "q"];
    screen.onShow = () => {
      seen.push(screen.shown.at(-1) ?? "");
      const key = keys.shift();
      if (key === "down") screen.columns = 60;
      if (key !== undefined) setImmediate(() => screen.press(key));
    };
    const { code, stderr, stdout } = await run([]);
    assert.deepEqual([code, stderr, stdout, screen.closed], [0, "", "", 1]);
    assert.match(seen.join("\n"), /sort: used, descending.*sort: load, desc.*load, ascending/s);
    assert.match(seen.join("\n"), /paused; space goes on/);
    for (const line of screen.shown) assert.ok(line.length <= 60, line);
  });

  it("waits for a daemon that is restarted, and says so", async () => {
    screen.onShow = () => {
      if (screen.shows === 1) void server?.close().then(() => (server = null));
      if (/trying again/.test(screen.shown.at(-1) ?? "")) setImmediate(() => screen.press("q"));
    };
    assert.equal((await run([])).code, 0);
    assert.match(screen.shown.at(-1) ?? "", /is not running.*trying again/);
  });

  it("gives the terminal back, and ends with 3, where no daemon is", async () => {
    await server?.close();
    server = null;
    const { code, stderr } = await run([]);
    assert.deepEqual([code, screen.closed], [3, 1]);
    assert.match(stderr, /is not running/);
  });

  it("prints one screen without a terminal, and refuses an interval that is too short", async () => {
    const { code, stdout } = await run([], false);
    assert.equal(code, 0);
    assert.match(stdout, /^web1 +vnet0/m);
    assert.doesNotMatch(stdout, /q quit/);
    const wrong = await runInProcess(["top", "--interval", "1ms"]);
    assert.equal(wrong.code, 2);
  });
});
