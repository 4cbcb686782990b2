import assert from "node:assert/strict";
import { applySteps, compileSteps } from "../../../../src/apply/kernel.ts";
import type { KernelObject } from "../../../../src/model/kernel.ts";
import type { Step } from "../../../../src/model/step.ts";
import { dumpLinks } from "../../../../src/netlink/dump.ts";
import { Monitor, type MonitorEvent } from "../../../../src/netlink/monitor.ts";
import { RequestSocket } from "../../../../src/netlink/socket.ts";
import { resetToBare } from "../../bare.ts";
import { ip, tc } from "../../command.ts";
import { activePort, buildHost, setActivePort } from "../../host.ts";
import { plug, pull } from "../../qmp.ts";
import { until } from "../../wait.ts";

describe("the link monitor", () => {
  let socket: RequestSocket;
  let monitor: Monitor;
  let events: MonitorEvent[];

  beforeEach(async () => {
    await resetToBare();
    await buildHost();
    socket = RequestSocket.open();
    events = [];
    monitor = await Monitor.start([socket.portId], (event) => events.push(event));
  });
  afterEach(async () => {
    await monitor.close();
    socket.close();
  });

  it("sends what was armed as soon as the port is lost, one time, and tells who was refused", async () => {
    await setActivePort("nic0");
    const nic0 = ifindexOf("nic0") ?? 0;
    const object: KernelObject = { kind: "active-port", bond: "bond0", port: "nic1" };
    const bad: KernelObject = { kind: "port-queue", device: "nic9", queueId: 3 };
    monitor.arm(nic0, compileSteps(added([object, bad]), ifindexOf));
    await pull(0);
    await until("the reaction", () => reactions().length > 0);
    assert.equal(activePort(), "nic1");
    assert.deepEqual(
      reactions().map((event) => [event.ifindex, event.errors.map((e) => [e.object, e.errno])]),
      [[nic0, [["port-queue nic9", 19]]]],
    );
    await until("the loss told", () =>
      events.some((e) => e.type === "link" && e.link.name === "nic0" && !e.link.carrier),
    );
    await plug(0);
    await pull(0);
    await plug(0);
    assert.equal(reactions().length, 1);
  });

  it("reacts to a port that is taken down as to one that lost its carrier", async () => {
    await setActivePort("nic0");
    const object: KernelObject = { kind: "active-port", bond: "bond0", port: "nic1" };
    monitor.arm(ifindexOf("nic0") ?? 0, compileSteps(added([object]), ifindexOf));
    ip(["link set nic0 down"]);
    await until("the reaction", () => reactions().length > 0);
    ip(["link set nic0 up"]);
  });

  it("sends nothing for a port that was disarmed", async () => {
    const nic0 = ifindexOf("nic0") ?? 0;
    monitor.arm(nic0, compileSteps(added([{ kind: "clsact", device: "nic0" }]), ifindexOf));
    monitor.disarm(nic0);
    await pull(0);
    await until("the loss told", () =>
      events.some((e) => e.type === "link" && e.link.name === "nic0" && !e.link.carrier),
    );
    await plug(0);
    assert.deepEqual(reactions(), []);
  });

  it("tells of others' changes of traffic control, never of our own", async () => {
    await applySteps(added([{ kind: "clsact", device: "nic0" }]), socket, ifindexOf);
    tc(["qdisc add dev nic1 clsact"]);
    await until("the change of another", () => changedBy().includes(ifindexOf("nic1") ?? 0));
    assert.ok(!changedBy().includes(ifindexOf("nic0") ?? 0), "our own change was told");
  });

  it("tells of no change of traffic control while it needn't listen, and of the next one after that", async () => {
    const work = async () => tc(["qdisc add dev nic1 clsact"]);
    await monitor.withoutTrafficControl(work);
    tc(["qdisc add dev nic0 clsact"]);
    await until("the change of another", () => changedBy().includes(ifindexOf("nic0") ?? 0));
    assert.ok(
      !changedBy().includes(ifindexOf("nic1") ?? 0),
      "a change that nobody listens to was told",
    );
  });

  it("finds out what happened while more came than it could hold, and reacts to it", async () => {
    await setActivePort("nic0");
    const late: MonitorEvent[] = [];
    // Room for some ten events, where several hundred come in a rush.
    const small = await Monitor.start([socket.portId], (event) => late.push(event), 8192);
    try {
      const object: KernelObject = { kind: "active-port", bond: "bond0", port: "nic1" };
      small.arm(ifindexOf("nic0") ?? 0, compileSteps(added([object]), ifindexOf));
      const names = Array.from({ length: 60 }, (_, index) => `x${index}`);
      ip([
        ...names.map((name) => `link add ${name} type bridge`),
        "link set nic0 down",
        ...names.map((name) => `link del ${name}`),
      ]);
      await until("the overrun", () => late.some((event) => event.type === "overrun"));
      await until("the loss told", () => {
        const last = late.findLast((e) => e.type === "link" && e.link.name === "nic0");
        return last?.type === "link" && !last.link.carrier;
      });
      assert.equal(late.filter((event) => event.type === "reacted").length, 1);
    } finally {
      await small.close();
      ip(["link set nic0 up"]);
    }
  });

  function reactions() {
    return events.filter((event) => event.type === "reacted");
  }

  function changedBy(): readonly number[] {
    return events.flatMap((event) => (event.type === "tc" ? event.ifindexes : []));
  }

  function ifindexOf(name: string): number | undefined {
    return dumpLinks(socket).find((link) => link.name === name)?.ifindex;
  }
});

function added(objects: readonly KernelObject[]): readonly Step[] {
  return objects.map((object) => ({ op: "add", object }));
}
