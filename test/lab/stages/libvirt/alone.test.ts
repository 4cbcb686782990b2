// No daemon, a daemon that hangs, a socket that nobody answers: a VM starts all the same, and the log says so.
import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { resetToBare } from "../../bare.ts";
import { RUN_DIR } from "../../daemon.ts";
import { buildHost } from "../../host.ts";
import {
  domainState,
  installHook,
  resetLibvirt,
  startDomain,
  startLibvirt,
  virsh,
} from "../../libvirt.ts";
import { Syslog } from "../../syslog.ts";

const HOOK = join(import.meta.dirname, "../../../../hooks/qemu");
const SOCKET = join(RUN_DIR, "hook.sock");

describe("a VM starts without uplinkd", () => {
  let syslog: Syslog;

  before(async () => {
    await resetLibvirt({ stop: true });
    await resetToBare();
    installHook("50-uplinkd", HOOK);
    syslog = await Syslog.start();
    await startLibvirt();
    await buildHost();
  });
  beforeEach(() => {
    rmSync(RUN_DIR, { recursive: true, force: true });
    mkdirSync(RUN_DIR, { recursive: true });
  });
  after(async () => {
    syslog.stop();
    await resetLibvirt({ stop: true });
  });

  it("when there is no daemon", () => startsAnyway());

  it("when a daemon accepts and hangs", async () => {
    const server = await listen();
    await startsAnyway();
    server.close();
  });

  it("when the socket is a dead one's", async () => {
    const server = await listen();
    // Closing would remove the file; a crash doesn't.
    server.unref();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    const dead = await listen();
    dead.close();
    await startsAnyway();
  });

  async function startsAnyway(): Promise<void> {
    const startMs = performance.now();
    await startDomain({ name: "web1", macs: ["52:54:00:00:00:0b"] });
    assert.equal(domainState("web1"), "running");
    const log = syslog.read();
    assert.match(log, /uplinkd does not answer; prepare of 'web1' goes on without it/);
    assert.match(log, /start of 'web1' goes on without it/);
    virsh("destroy", "web1");
    virsh("undefine", "web1");
    console.log(JSON.stringify({ startAndStopMs: Math.round(performance.now() - startMs) }));
  }

  async function listen(): Promise<Server> {
    const server = createServer({ allowHalfOpen: true }, (socket) => socket.on("data", () => {}));
    await new Promise<void>((resolve) => server.listen(SOCKET, resolve));
    return server;
  }
});
