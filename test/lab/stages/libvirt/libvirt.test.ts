// What the libvirt and hook rooms rely on, seen on a real libvirtd, libvirt-dbus and QEMU.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import type { HookAnswer } from "../../../../src/hook/request.ts";
import { type HookServer, startHookServer } from "../../../../src/hook/server.ts";
import {
  listActiveDomains,
  phaseOf,
  readDomain,
  readDomainState,
  resumeDomain,
  suspendDomain,
} from "../../../../src/libvirt/domain.ts";
import { parseDomainXml } from "../../../../src/libvirt/domain-xml.ts";
import type { LibvirtEvent } from "../../../../src/libvirt/event.ts";
import { LibvirtMonitor } from "../../../../src/libvirt/monitor.ts";
import { resetToBare } from "../../bare.ts";
import { run } from "../../command.ts";
import { buildHost } from "../../host.ts";
import {
  daemonPid,
  domainXml,
  installHook,
  interfaceXml,
  isRunning,
  resetLibvirt,
  startDaemon,
  startLibvirt,
  stopDaemon,
  virsh,
  virshAside,
} from "../../libvirt.ts";
import { Syslog } from "../../syslog.ts";
import { until } from "../../wait.ts";

const HOOK = new URL("../../../../hooks/qemu", import.meta.url).pathname;
const MAC = "52:54:00:00:00:01";
const SOCKET = "/run/uplinkd/hook.sock";
const ANNOTATION = `<u:network xmlns:u='urn:uplinkd:domain:1'><u:policy>gold</u:policy></u:network>`;

interface SeenHook {
  readonly what: string;
  readonly tap: string | null;
  readonly tapExists: boolean;
  readonly qemuRuns: boolean;
}

describe("libvirt", () => {
  const events: LibvirtEvent[] = [];
  const hooks: SeenHook[] = [];
  let uuid: string;
  let answer: HookAnswer = { accept: true };
  let server: HookServer;
  let monitor: LibvirtMonitor;

  before(async () => {
    // libvirtd looks for hooks once, as it starts.
    await resetLibvirt({ stop: true });
    await resetToBare();
    await buildHost();
    installHook("50-uplinkd", HOOK);
    await startLibvirt();
    mkdirSync("/run/uplinkd", { recursive: true });
    server = await listen();
    monitor = new LibvirtMonitor({ onEvent: (event) => events.push(event) });
    monitor.start();
    await until("libvirt up", () => monitor.up, 60_000);
    writeFileSync(
      "/run/lab/web.xml",
      domainXml({ name: "web 1", macs: [MAC], metadata: ANNOTATION }),
    );
    virsh("define", "/run/lab/web.xml");
    uuid = virsh("domuuid", "web 1").trim();
  });

  after(async () => {
    await monitor.stop();
    await server.close();
    await resetLibvirt({ stop: true });
    await resetToBare();
  });

  beforeEach(() => {
    events.length = 0;
    hooks.length = 0;
    answer = { accept: true };
  });

  /** Each test stands alone, as one that failed is tried again on a fresh boot. */
  async function ensureRunning(): Promise<void> {
    if ((await listActiveDomains(monitor)).includes(uuid)) return;
    await virshAside("start", "web 1");
    await until("started", () => lifecycles().includes("started booted"));
    events.length = 0;
    hooks.length = 0;
  }

  async function ensureEnded(): Promise<void> {
    if (!(await listActiveDomains(monitor)).includes(uuid)) return;
    await virshAside("destroy", "web 1");
    await until("stopped", () => lifecycles().includes("stopped destroyed"));
    events.length = 0;
    hooks.length = 0;
  }

  function listen(): Promise<HookServer> {
    return startHookServer({
      listen: { path: SOCKET },
      handle: (request) => {
        const tap = parseDomainXml(request.xml).vnics[0]?.tap ?? null;
        hooks.push({
          what: `${request.domain}: ${request.operation} ${request.subOperation}`,
          tap,
          tapExists: tap !== null && existsSync(`/sys/class/net/${tap}`),
          qemuRuns: run("sh", "-c", "pidof qemu-system-x86_64 || true") !== "",
        });
        if (request.operation === "reconnect") monitor.poke("hook reconnect");
        return answer;
      },
      report: (error) => assert.fail(`${error.object}: ${error.message}`),
    });
  }

  const hooksSeen = () => hooks.map(({ what }) => what);
  const lifecycles = () =>
    events.flatMap((event) =>
      event.type === "lifecycle" ? [`${event.event} ${event.detail}`] : [],
    );
  const told = (type: LibvirtEvent["type"]) => events.some((event) => event.type === type);

  it("shows a refusal's reason to whoever starts the domain, and starts nothing", async () => {
    await ensureEnded();
    answer = { accept: false, reason: "500mbit are promised, 200mbit are left" };
    await assert.rejects(virshAside("start", "web 1"), (error) =>
      String(error).includes("uplinkd: 500mbit are promised, 200mbit are left"),
    );
    assert.deepEqual(hooksSeen(), [
      "web 1: prepare begin",
      "web 1: stopped end",
      "web 1: release end",
    ]);
    assert.deepEqual(await listActiveDomains(monitor), []);
  });

  it("calls prepare, start and started, and start has the tap before the guest runs", async () => {
    await ensureEnded();
    const phases: (string | null)[] = [];
    let started = false;
    const starting = virshAside("start", "web 1").finally(() => {
      started = true;
    });
    while (!started) {
      const phase = phaseOf(await readDomainState(monitor, uuid));
      if (phase !== phases.at(-1)) phases.push(phase);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await starting;
    assert.deepEqual(phases, [null, "starting", "running"]);
    assert.deepEqual(hooks, [
      { what: "web 1: prepare begin", tap: null, tapExists: false, qemuRuns: false },
      { what: "web 1: start begin", tap: "vnet0", tapExists: true, qemuRuns: false },
      { what: "web 1: started begin", tap: "vnet0", tapExists: true, qemuRuns: true },
    ]);
    await until("started", () => lifecycles().includes("started booted"));
    assert.deepEqual(lifecycles(), ["resumed unpaused", "started booted"]);
    assert.deepEqual(await listActiveDomains(monitor), [uuid]);
    const { definition, state } = await readDomain(monitor, uuid);
    assert.equal(phaseOf(state), "running");
    assert.deepEqual(definition.vnics, [
      {
        mac: MAC,
        tap: "vnet0",
        attachment: { kind: "bridge", bridge: "br0" },
        vlanIds: [0],
        libvirtLimitBitsPerSecond: null,
        hasLibvirtBandwidth: false,
      },
    ]);
    assert.equal(definition.annotation?.domain.policy, "gold");
    assert.deepEqual(definition.problems, []);
  });

  it("suspends and resumes, and tells of both", async () => {
    await ensureRunning();
    await suspendDomain(monitor, uuid);
    assert.equal(phaseOf(await readDomainState(monitor, uuid)), "paused");
    await resumeDomain(monitor, uuid);
    assert.equal(phaseOf(await readDomainState(monitor, uuid)), "running");
    await until("both", () => lifecycles().length === 2);
    assert.deepEqual(lifecycles(), ["suspended paused", "resumed unpaused"]);
  });

  it("tells nothing of a suspend that finds the domain paused already", async () => {
    await ensureRunning();
    await suspendDomain(monitor, uuid);
    await suspendDomain(monitor, uuid);
    await resumeDomain(monitor, uuid);
    await until("resumed", () => lifecycles().includes("resumed unpaused"));
    assert.deepEqual(lifecycles(), ["suspended paused", "resumed unpaused"]);
    await assert.rejects(resumeDomain(monitor, uuid), /already running/);
  });

  it("tells of an annotation that changes while the domain runs", async () => {
    await ensureRunning();
    const network = "<network><priority>high</priority></network>";
    const args = ["metadata", "web 1", "urn:uplinkd:domain:1", "--key", "other", "--set", network];
    virsh(...args, "--live");
    await until("change", () => told("changed"));
    // A resync may come between: there is one every minute.
    const changes = events.filter(({ type }) => type === "changed");
    assert.deepEqual(changes, [{ type: "changed", uuid, what: "annotation" }]);
    const { definition } = await readDomain(monitor, uuid);
    assert.deepEqual(definition.annotation?.domain, { priority: "high" });
  });

  it("tells of a NIC that is plugged in, for which it calls no hook", async () => {
    await ensureRunning();
    writeFileSync("/run/lab/nic.xml", interfaceXml("52:54:00:00:00:02", {}));
    virsh("attach-device", "web 1", "/run/lab/nic.xml", "--live");
    await until("change", () => told("changed"));
    assert.deepEqual(hooksSeen(), []);
    const { definition } = await readDomain(monitor, uuid);
    assert.deepEqual(
      definition.vnics.map(({ tap }) => tap),
      ["vnet0", "vnet1"],
    );
  });

  it("calls reconnect when libvirtd restarts, and tells again after the resync", async () => {
    await ensureRunning();
    await stopDaemon("libvirtd");
    await startDaemon("libvirtd");
    await until("reconnect", () => hooksSeen().includes("web 1: reconnect begin"), 20_000);
    await until("resync", () => told("resync"));
    assert.deepEqual(await listActiveDomains(monitor), [uuid]);
    virsh("suspend", "web 1");
    await until("event", () => lifecycles().includes("suspended paused"));
    virsh("resume", "web 1");
  });

  it("is there again after libvirt-dbus was killed", async () => {
    await ensureRunning();
    // The bus starts it again as soon as it is called.
    await stopDaemon("libvirt-dbus", "SIGKILL");
    await until("resync", () => told("resync"), 20_000);
    virsh("suspend", "web 1");
    await until("event", () => lifecycles().includes("suspended paused"));
    virsh("resume", "web 1");
  });

  it("fails a call in time while libvirtd is stopped, and is there again when it goes on", async () => {
    await ensureRunning();
    const libvirtd = daemonPid("libvirtd") ?? assert.fail("libvirtd doesn't run");
    process.kill(libvirtd, "SIGSTOP");
    try {
      await until("down", () => told("down"), 15_000);
    } finally {
      process.kill(libvirtd, "SIGCONT");
    }
    await until("up", () => told("up"), 20_000);
    assert.ok(told("resync"));
  });

  it("is there again after the bus was killed, which takes libvirtd with it", async () => {
    await ensureRunning();
    await stopDaemon("dbus", "SIGKILL");
    await until("down", () => told("down"));
    await until("libvirtd gone", () => !isRunning("libvirtd"));
    await startLibvirt();
    await until("up", () => told("up"), 30_000);
    virsh("suspend", "web 1");
    await until("event", () => lifecycles().includes("suspended paused"));
    virsh("resume", "web 1");
    assert.deepEqual(await listActiveDomains(monitor), [uuid]);
  });

  it("calls stopped and release when the domain is destroyed", async () => {
    await ensureRunning();
    await virshAside("destroy", "web 1");
    assert.deepEqual(hooksSeen(), ["web 1: stopped end", "web 1: release end"]);
    await until("stopped", () => lifecycles().includes("stopped destroyed"));
    assert.deepEqual(await listActiveDomains(monitor), []);
  });

  it("starts a domain without uplinkd, and the log says so", async () => {
    await ensureEnded();
    await server.close();
    const syslog = await Syslog.start();
    await virshAside("start", "web 1");
    syslog.stop();
    assert.deepEqual(await listActiveDomains(monitor), [uuid]);
    for (const operation of ["prepare", "start", "started"]) {
      const line = `uplinkd does not answer; ${operation} of 'web 1' goes on without it`;
      assert.ok(syslog.read().includes(line), syslog.read());
    }
    await virshAside("destroy", "web 1");
    server = await listen();
  });

  it("starts a domain with an uplinkd that hangs, 2 s later for each hook", async () => {
    await ensureEnded();
    await server.close();
    const connections = new Set<Socket>();
    const mute = createServer({ allowHalfOpen: true }, (socket) => {
      connections.add(socket.resume());
    });
    await new Promise<void>((resolve) => mute.listen(SOCKET, () => resolve()));
    const syslog = await Syslog.start();
    const started = performance.now();
    await virshAside("start", "web 1");
    syslog.stop();
    assert.match(syslog.read(), /uplinkd does not answer; start of 'web 1' goes on without it/);
    const elapsedMs = performance.now() - started;
    assert.ok(elapsedMs > 6000, `${Math.round(elapsedMs)} ms: the hooks have not waited`);
    assert.equal(connections.size, 3);
    assert.deepEqual(await listActiveDomains(monitor), [uuid]);
    await virshAside("destroy", "web 1");
    for (const socket of connections) socket.destroy();
    await new Promise((resolve) => mute.close(resolve));
    server = await listen();
  });
});
