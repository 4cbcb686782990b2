// Against a real message bus (dbus-native's own) on a socket, with a libvirt-dbus played by the test.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createBroker, createClient, type MessageBus } from "dbus-native";
import {
  listActiveDomains,
  readDomainState,
  readDomainXml,
  suspendDomain,
} from "../../../src/libvirt/domain.ts";
import type { LibvirtEvent } from "../../../src/libvirt/event.ts";
import { LibvirtMonitor } from "../../../src/libvirt/monitor.ts";
import { LibvirtError } from "../../../src/model/errors.ts";

const UUID = "b6d65ee5-f74a-41e2-a724-44001233ffb9";
const PATH = `/org/libvirt/QEMU/domain/_${UUID.replaceAll("-", "_")}`;
const CONNECT = "org.libvirt.Connect";
const RUNNING = 1;
const PAUSED = 3;

/** libvirt-dbus as far as the monitor can see it. */
interface FakeLibvirt {
  readonly bus: MessageBus;
  states: { web1?: number };
  fails: string | null;
  hangs: boolean;
  most: number;
  readonly emit: (path: string, member: string, signature: string, body: unknown[]) => void;
  readonly stop: () => Promise<void>;
}

describe("the monitor of libvirt", () => {
  let dir: string;
  let address: string;
  let monitor: LibvirtMonitor;
  let events: LibvirtEvent[];
  const cleanups: (() => unknown)[] = [];

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "uplinkd-bus-"));
    address = `unix:path=${join(dir, "bus")}`;
    events = [];
  });

  afterEach(async () => {
    await monitor.stop();
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
    rmSync(dir, { recursive: true, force: true });
  });

  async function startBus(): Promise<() => Promise<void>> {
    const broker = createBroker();
    await new Promise<void>((resolve) => {
      broker.listen({ socket: join(dir, "bus") }, () => resolve());
    });
    const stop = async () => {
      await new Promise<void>((resolve) => {
        broker.close(resolve);
      });
      rmSync(join(dir, "bus"), { force: true });
    };
    cleanups.push(stop);
    return stop;
  }

  async function startLibvirt(): Promise<FakeLibvirt> {
    const bus = createClient({ busAddress: address });
    bus.connection.on("error", () => {});
    let calls = 0;
    const fake: FakeLibvirt = {
      bus,
      states: { web1: RUNNING },
      fails: null,
      hangs: false,
      most: 0,
      emit: (path, member, signature, body) => {
        const iface = member === "DomainEvent" ? CONNECT : "org.libvirt.Domain";
        bus.sendSignal(path, iface, member, signature, body);
      },
      stop: async () => {
        await bus.close();
      },
    };
    const answer = async (reply: () => unknown) => {
      calls++;
      fake.most = Math.max(fake.most, calls);
      await new Promise((resolve) => setTimeout(resolve, 5));
      calls--;
      if (fake.hangs) return new Promise(() => {});
      if (fake.fails !== null) {
        throw Object.assign(new Error(fake.fails), { dbusName: "org.libvirt.Error" });
      }
      return reply();
    };
    const connect = {
      ListDomains: () => answer(() => [PATH]),
      GetAllDomainStats: () =>
        answer(() =>
          Object.entries(fake.states).map(([name, state]) => [
            name,
            [
              ["state.state", ["i", state]],
              ["state.reason", ["i", 1]],
            ],
          ]),
        ),
    };
    const domain = {
      GetState: () => answer(() => [fake.states.web1 ?? 5, 1]),
      GetXMLDesc: () => answer(() => "<domain/>"),
      Suspend: () =>
        answer(() => {
          fake.states.web1 = PAUSED;
          return null;
        }),
    };
    bus.exportInterface(connect, "/org/libvirt/QEMU", {
      name: CONNECT,
      methods: {
        ListDomains: ["u", "ao", ["flags"], ["domains"]],
        GetAllDomainStats: ["uu", "a(sa{sv})", ["stats", "flags"], ["records"]],
      },
    });
    bus.exportInterface(domain, PATH, {
      name: "org.libvirt.Domain",
      methods: {
        GetState: ["u", "(ii)", ["flags"], ["state"]],
        GetXMLDesc: ["u", "s", ["flags"], ["xml"]],
        Suspend: ["", "", [], []],
      },
    });
    await bus.requestName("org.libvirt", 0);
    cleanups.push(fake.stop);
    return fake;
  }

  function watch(options: { heartbeatMs?: number; callTimeoutMs?: number } = {}): void {
    monitor = new LibvirtMonitor({
      address,
      heartbeatMs: options.heartbeatMs ?? 50,
      connectTimeoutMs: 300,
      callTimeoutMs: options.callTimeoutMs ?? 500,
      onEvent: (event) => events.push(event),
    });
    monitor.start();
  }

  async function until(what: string, holds: () => boolean): Promise<void> {
    for (let waitedMs = 0; !holds(); waitedMs += 5) {
      assert.ok(waitedMs < 4000, `${what} has not come: ${JSON.stringify(events)}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  const told = (type: LibvirtEvent["type"]) => events.filter((event) => event.type === type);
  const failure = async (promise: Promise<unknown>): Promise<LibvirtError> => {
    const error = await promise.then(
      () => null,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof LibvirtError, String(error));
    return error;
  };

  it("tells of its first answer, then of each domain's life", async () => {
    await startBus();
    const libvirt = await startLibvirt();
    watch({ heartbeatMs: 60_000 });
    await until("resync", () => told("resync").length === 1);
    assert.deepEqual(events[0], { type: "up" });
    events.length = 0;
    libvirt.emit("/org/libvirt/QEMU", "DomainEvent", "oii", [PATH, 2, 1]);
    libvirt.emit(PATH, "MetadataChange", "is", [2, "urn:uplinkd:domain:1"]);
    libvirt.emit(PATH, "MetadataChange", "is", [2, "urn:other"]);
    libvirt.emit(PATH, "MetadataChange", "is", [0, ""]);
    libvirt.emit(PATH, "DeviceAdded", "s", ["net1"]);
    libvirt.emit("/org/libvirt/QEMU", "DomainEvent", "oii", [PATH, 5, 77]);
    await until("last event", () => events.length >= 4);
    assert.deepEqual(events, [
      { type: "lifecycle", uuid: UUID, event: "started", detail: "migrated" },
      { type: "changed", uuid: UUID, what: "annotation" },
      { type: "changed", uuid: UUID, what: "devices" },
      { type: "lifecycle", uuid: UUID, event: "stopped", detail: "unknown" },
    ]);
  });

  it("takes no signal from anyone but libvirt-dbus", async () => {
    await startBus();
    const libvirt = await startLibvirt();
    watch({ heartbeatMs: 60_000 });
    await until("resync", () => told("resync").length === 1);
    events.length = 0;
    const other = createClient({ busAddress: address });
    cleanups.push(() => other.close());
    await other.requestName("org.example", 0);
    for (let id = 0; id < 9; id++) {
      other.connection.message({
        type: 4,
        serial: other.serial++,
        destination: `:1.${id}`,
        path: "/org/libvirt/QEMU",
        interface: CONNECT,
        member: "DomainEvent",
        signature: "oii",
        body: [PATH, 5, 0],
      });
    }
    await other.requestName("org.example.after", 0);
    libvirt.emit(PATH, "DeviceAdded", "s", ["net1"]);
    await until("the true one", () => events.length > 0);
    assert.deepEqual(events, [{ type: "changed", uuid: UUID, what: "devices" }]);
  });

  it("makes a resync of what no event has told", async () => {
    await startBus();
    const libvirt = await startLibvirt();
    watch();
    await until("resync", () => told("resync").length === 1);
    libvirt.states = { web1: PAUSED };
    await until("second resync", () => told("resync").length === 2);
    libvirt.states = {};
    await until("third resync", () => told("resync").length === 3);
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(events.length, 4);
    assert.match(JSON.stringify(events), /domain web1: running became paused.*web1 runs no more/);
  });

  it("makes a resync of a hint at once", async () => {
    await startBus();
    await startLibvirt();
    watch({ heartbeatMs: 60_000 });
    await until("resync", () => told("resync").length === 1);
    monitor.poke("hook reconnect");
    await until("resync", () => told("resync").length === 2);
    assert.deepEqual(events.at(-1), { type: "resync", why: "hook reconnect" });
  });

  it("tells when libvirtd is gone and when it is back, once each", async () => {
    await startBus();
    const libvirt = await startLibvirt();
    watch();
    await until("up", () => monitor.up);
    libvirt.fails = "Failed to connect socket to '/run/libvirt/libvirt-sock'";
    await until("down", () => told("down").length === 1);
    assert.match(JSON.stringify(events.at(-1)), /libvirtd or virtqemud is not running/);
    await new Promise((resolve) => setTimeout(resolve, 200));
    libvirt.fails = null;
    await until("up again", () => told("up").length === 2);
    assert.deepEqual(
      events.map((event) => event.type),
      ["up", "resync", "down", "up", "resync"],
    );
  });

  it("tells of a libvirt-dbus that restarts, with a resync", async () => {
    await startBus();
    const first = await startLibvirt();
    watch({ heartbeatMs: 60_000 });
    await until("up", () => monitor.up);
    await first.stop();
    await until("down", () => told("down").length === 1);
    const second = await startLibvirt();
    await until("up again", () => told("up").length === 2);
    second.emit("/org/libvirt/QEMU", "DomainEvent", "oii", [PATH, 3, 0]);
    await until("its event", () => told("lifecycle").length === 1);
  });

  it("survives the bus's restart", async () => {
    const stopBus = await startBus();
    await startLibvirt();
    watch();
    await until("up", () => monitor.up);
    await stopBus();
    await until("down", () => told("down").length === 1);
    const error = await failure(suspendDomain(monitor, UUID));
    assert.match(error.message, /Suspend.*bus/);
    await startBus();
    await startLibvirt();
    await until("up again", () => told("up").length === 2);
    assert.equal(await readDomainXml(monitor, UUID), "<domain/>");
  });

  it("waits for a bus that is not there yet", async () => {
    watch();
    await until("down", () => told("down").length === 1);
    await startBus();
    await startLibvirt();
    await until("up", () => monitor.up);
  });

  it("gives a bus that accepts and says nothing up in time", async () => {
    const mute = await new Promise<Server>((resolve) => {
      const server = createServer(() => {}).listen(join(dir, "bus"), () => resolve(server));
    });
    cleanups.push(() => mute.close());
    watch();
    await until("down", () => told("down").length === 1);
    assert.match(JSON.stringify(events[0]), /no answer within 300 ms/);
  });

  it("fails every call within its time, and those that wait for a slot too", async () => {
    await startBus();
    const libvirt = await startLibvirt();
    watch({ heartbeatMs: 60_000, callTimeoutMs: 200 });
    await until("up", () => monitor.up);
    libvirt.hangs = true;
    const started = performance.now();
    const errors = await Promise.all(
      Array.from({ length: 200 }, () => failure(readDomainState(monitor, UUID))),
    );
    assert.ok(performance.now() - started < 1500);
    assert.equal(errors.length, 200);
    assert.ok(errors.every((error) => error.object === `domain ${UUID}`));
  });

  it("has at most 64 calls under way, and answers them all", async () => {
    await startBus();
    const libvirt = await startLibvirt();
    watch({ heartbeatMs: 60_000, callTimeoutMs: 3000 });
    await until("up", () => monitor.up);
    const states = await Promise.all(
      Array.from({ length: 300 }, () => readDomainState(monitor, UUID)),
    );
    assert.equal(states.length, 300);
    assert.ok(libvirt.most <= 64 && libvirt.most > 8, `${libvirt.most} at once`);
  });

  it("fails what is under way when the bus dies", async () => {
    const stopBus = await startBus();
    const libvirt = await startLibvirt();
    watch({ heartbeatMs: 60_000, callTimeoutMs: 60_000 });
    await until("up", () => monitor.up);
    libvirt.hangs = true;
    const failures = Array.from({ length: 100 }, () => failure(readDomainState(monitor, UUID)));
    await new Promise((resolve) => setTimeout(resolve, 30));
    await stopBus();
    assert.equal((await Promise.all(failures)).length, 100);
  });

  it("reads and suspends domains by UUID", async () => {
    await startBus();
    await startLibvirt();
    watch({ heartbeatMs: 60_000 });
    await until("up", () => monitor.up);
    assert.deepEqual(await listActiveDomains(monitor), [UUID]);
    await suspendDomain(monitor, UUID);
    assert.deepEqual(await readDomainState(monitor, UUID), { state: "paused", reason: 1 });
  });

  it("says of a failed call what to do, and when to try again", async () => {
    await startBus();
    const libvirt = await startLibvirt();
    watch({ heartbeatMs: 60_000 });
    await until("up", () => monitor.up);
    libvirt.fails = "Requested operation is not valid: domain is not running";
    const error = await failure(suspendDomain(monitor, UUID));
    assert.equal(error.retry, "resync");
    assert.match(error.message, /^Suspend failed: Requested.*its state has changed meanwhile/);
  });
});
