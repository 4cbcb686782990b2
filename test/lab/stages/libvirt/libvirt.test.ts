// What the libvirt and hook rooms rely on, seen on a real libvirtd, libvirt-dbus and QEMU.
import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { createServer, type Server } from "node:net";
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
import { runAside } from "../../command.ts";
import { buildHost } from "../../host.ts";
import { until } from "../../wait.ts";
import {
  endProgram,
  running,
  startBus,
  startLibvirtd,
  startServices,
  virsh,
  virshWithXml,
} from "./services.ts";

const UUID = "b6d65ee5-f74a-41e2-a724-44001233ffb9";
const MAC = "52:54:00:00:00:01";
const SOCKET = "/run/uplinkd/hook.sock";

const DOMAIN = `<domain type='qemu'>
  <name>web 1</name><uuid>${UUID}</uuid>
  <memory unit='MiB'>32</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>
  <metadata>
    <u:network xmlns:u='urn:uplinkd:domain:1'><u:policy>gold</u:policy></u:network>
  </metadata>
  <devices>
    <interface type='bridge'><mac address='${MAC}'/><source bridge='br0'/><model type='virtio'/></interface>
  </devices>
</domain>`;

interface SeenHook {
  readonly what: string;
  readonly tap: string | null;
  readonly tapExists: boolean;
  readonly qemuRuns: boolean;
}

describe("libvirt", () => {
  const events: LibvirtEvent[] = [];
  const hooks: SeenHook[] = [];
  let answer: HookAnswer = { accept: true };
  let server: HookServer;
  let monitor: LibvirtMonitor;

  before(async () => {
    await resetToBare();
    await buildHost();
    await startServices();
    mkdirSync("/run/uplinkd", { recursive: true });
    server = await listen();
    monitor = new LibvirtMonitor({ onEvent: (event) => events.push(event) });
    monitor.start();
    await until("libvirt up", () => monitor.up, 60_000);
    virshWithXml(DOMAIN, "define");
  });

  after(async () => {
    await monitor.stop();
    await server.close();
    await resetToBare();
  });

  beforeEach(() => {
    events.length = 0;
    hooks.length = 0;
    answer = { accept: true };
  });

  function listen(): Promise<HookServer> {
    return startHookServer({
      listen: { path: SOCKET },
      handle: (request) => {
        const tap = parseDomainXml(request.xml).vnics[0]?.tap ?? null;
        hooks.push({
          what: `${request.domain}: ${request.operation} ${request.subOperation}`,
          tap,
          tapExists: tap !== null && existsSync(`/sys/class/net/${tap}`),
          qemuRuns: running("qemu-system-x86_64"),
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
    answer = { accept: false, reason: "500mbit are promised, 200mbit are left" };
    await assert.rejects(runAside("virsh", "-c", "qemu:///system", "start", "web 1"), (error) =>
      String(error).includes("uplinkd: 500mbit are promised, 200mbit are left"),
    );
    assert.deepEqual(hooksSeen().slice(0, 1), ["web 1: prepare begin"]);
    assert.deepEqual(await listActiveDomains(monitor), []);
  });

  it("calls prepare, start and started, and start has the tap before the guest runs", async () => {
    await runAside("virsh", "-c", "qemu:///system", "start", "web 1");
    assert.deepEqual(hooks, [
      { what: "web 1: prepare begin", tap: null, tapExists: false, qemuRuns: false },
      { what: "web 1: start begin", tap: "vnet0", tapExists: true, qemuRuns: false },
      { what: "web 1: started begin", tap: "vnet0", tapExists: true, qemuRuns: true },
    ]);
    await until("started", () => lifecycles().includes("started booted"));
    assert.deepEqual(lifecycles(), ["resumed unpaused", "started booted"]);
    assert.deepEqual(await listActiveDomains(monitor), [UUID]);
    const { definition, state } = await readDomain(monitor, UUID);
    assert.equal(phaseOf(state), "running");
    assert.deepEqual(definition.vnics, [
      {
        mac: MAC,
        tap: "vnet0",
        attachment: { kind: "bridge", bridge: "br0" },
        libvirtLimitBitsPerSecond: null,
        hasLibvirtBandwidth: false,
      },
    ]);
    assert.equal(definition.annotation?.domain.policy, "gold");
    assert.deepEqual(definition.problems, []);
  });

  it("suspends and resumes, and tells of both", async () => {
    await suspendDomain(monitor, UUID);
    assert.equal(phaseOf(await readDomainState(monitor, UUID)), "paused");
    await resumeDomain(monitor, UUID);
    assert.equal(phaseOf(await readDomainState(monitor, UUID)), "running");
    await until("both", () => lifecycles().length === 2);
    assert.deepEqual(lifecycles(), ["suspended paused", "resumed unpaused"]);
  });

  it("tells nothing of a suspend that finds the domain paused already", async () => {
    await suspendDomain(monitor, UUID);
    await suspendDomain(monitor, UUID);
    await resumeDomain(monitor, UUID);
    await until("resumed", () => lifecycles().includes("resumed unpaused"));
    assert.deepEqual(lifecycles(), ["suspended paused", "resumed unpaused"]);
    await assert.rejects(resumeDomain(monitor, UUID), /already running/);
  });

  it("tells of an annotation that changes while the domain runs", async () => {
    const network = "<network><priority>high</priority></network>";
    const args = ["metadata", "web 1", "urn:uplinkd:domain:1", "--key", "other", "--set", network];
    virsh(...args, "--live");
    await until("change", () => told("changed"));
    assert.deepEqual(events, [{ type: "changed", uuid: UUID, what: "annotation" }]);
    const { definition } = await readDomain(monitor, UUID);
    assert.deepEqual(definition.annotation?.domain, { priority: "high" });
  });

  it("tells of a NIC that is plugged in, for which it calls no hook", async () => {
    const nic = `<interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br0'/>
      <model type='virtio'/></interface>`;
    virshWithXml(nic, "attach-device", "web 1", "--live", "--file");
    await until("change", () => told("changed"));
    assert.deepEqual(hooksSeen(), []);
    const { definition } = await readDomain(monitor, UUID);
    assert.deepEqual(
      definition.vnics.map(({ tap }) => tap),
      ["vnet0", "vnet1"],
    );
  });

  it("calls reconnect when libvirtd restarts, and tells again after the resync", async () => {
    await endProgram("libvirtd", "TERM");
    await startLibvirtd();
    await until("reconnect", () => hooksSeen().includes("web 1: reconnect begin"), 20_000);
    await until("resync", () => told("resync"));
    assert.deepEqual(await listActiveDomains(monitor), [UUID]);
    virsh("suspend", "web 1");
    await until("event", () => lifecycles().includes("suspended paused"));
    virsh("resume", "web 1");
  });

  it("is there again after libvirt-dbus was killed", async () => {
    await endProgram("libvirt-dbus", "KILL");
    await until("resync", () => told("resync"), 20_000);
    virsh("suspend", "web 1");
    await until("event", () => lifecycles().includes("suspended paused"));
    virsh("resume", "web 1");
  });

  it("fails a call in time while libvirtd is stopped, and is there again when it goes on", async () => {
    virsh("uri");
    await runAside("sh", "-c", "kill -STOP $(pidof libvirtd)");
    try {
      await until("down", () => told("down"), 15_000);
    } finally {
      await runAside("sh", "-c", "kill -CONT $(pidof libvirtd)");
    }
    await until("up", () => told("up"), 20_000);
    assert.ok(told("resync"));
  });

  it("is there again after the bus was killed, which takes libvirtd with it", async () => {
    await endProgram("dbus-daemon", "KILL");
    await until("down", () => told("down"));
    await until("libvirtd gone", () => !running("libvirtd"));
    startBus();
    await startLibvirtd();
    await until("up", () => told("up"), 30_000);
    virsh("suspend", "web 1");
    await until("event", () => lifecycles().includes("suspended paused"));
    virsh("resume", "web 1");
    assert.deepEqual(await listActiveDomains(monitor), [UUID]);
  });

  it("calls stopped and release when the domain is destroyed", async () => {
    await runAside("virsh", "-c", "qemu:///system", "destroy", "web 1");
    assert.deepEqual(hooksSeen(), ["web 1: stopped end", "web 1: release end"]);
    await until("stopped", () => lifecycles().includes("stopped destroyed"));
    assert.deepEqual(await listActiveDomains(monitor), []);
  });

  it("starts a domain without uplinkd, and with one that hangs", async () => {
    await server.close();
    await runAside("virsh", "-c", "qemu:///system", "start", "web 1");
    await runAside("virsh", "-c", "qemu:///system", "destroy", "web 1");
    const silent = await new Promise<Server>((resolve) => {
      const mute = createServer({ allowHalfOpen: true }, (socket) => socket.resume());
      mute.listen(SOCKET, () => resolve(mute));
    });
    const started = performance.now();
    await runAside("virsh", "-c", "qemu:///system", "start", "web 1");
    const elapsedMs = performance.now() - started;
    assert.ok(elapsedMs > 5000, `${Math.round(elapsedMs)} ms: the hook has not waited`);
    await runAside("virsh", "-c", "qemu:///system", "destroy", "web 1");
    await new Promise((resolve) => silent.close(resolve));
    server = await listen();
  });
});
