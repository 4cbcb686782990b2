import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { applySteps } from "../../../../src/apply/kernel.ts";
import { undoText } from "../../../../src/apply/shelltext.ts";
import { type KernelObject, kernelKey } from "../../../../src/model/kernel.ts";
import { actionIndex, DEFAULT_MINOR } from "../../../../src/model/layout.ts";
import type { Mac } from "../../../../src/model/mac.ts";
import type { Step } from "../../../../src/model/step.ts";
import { dumpKernel, dumpLinks } from "../../../../src/netlink/dump.ts";
import { RequestSocket } from "../../../../src/netlink/socket.ts";
import { resetToBare } from "../../bare.ts";
import { ip, readJson, run, tc } from "../../command.ts";
import { activePort, buildHost, readClassCounts, setActivePort } from "../../host.ts";
import { addStandin, ping } from "../../standin.ts";
import { switchAddress } from "../../switch.ts";
import { until } from "../../wait.ts";
import {
  everyObject,
  HOST_KEYS,
  htbClass,
  leaf,
  MAC1,
  MAC2,
  megabit,
  vnic,
} from "./every-object.ts";
import { tcFilters } from "./tc-filters.ts";

const TEAM = [{ bond: "bond0", ports: ["nic0", "nic1"] }];

describe("our netlink codec against the kernel", () => {
  let socket: RequestSocket;

  beforeEach(async () => {
    await resetToBare();
    await buildHost();
    socket = RequestSocket.open();
  });
  afterEach(() => socket.close());

  it("makes one of every object, and the dump gives back each field", async () => {
    const wanted = everyObject(ifindexOf);
    assert.deepEqual(await apply(added(wanted)), []);
    assertStands(wanted);

    const classes = readClassCounts("nic0");
    assert.deepEqual(new Set(classes.keys()), new Set(classNames(wanted, "nic0")));
    const { parent, prio, rateBitsPerSecond, ceilBitsPerSecond } = classes.get("7570:12") ?? {};
    assert.deepEqual(
      [parent, prio, rateBitsPerSecond, ceilBitsPerSecond],
      ["7570:1", 3, 50e9, 100e9],
    );
    const reports = "u32 mirred egress mirror nic0 pipe mirred egress mirror nic1 pipe gact pass";
    assert.deepEqual(tcFilters("bond0", "egress"), {
      7567: ["matchall skbedit priority 7570:fff0 queue_mapping 1 continue"],
      7568: [
        `flower src ${MAC1} skbedit queue_mapping 1 pipe skbedit priority 7570:11 goto`,
        `flower src ${MAC2} skbedit queue_mapping 2 pipe skbedit priority 7570:12 goto`,
      ],
      7570: ["matchall skbedit priority none queue_mapping 0 continue"],
      7572: [reports, reports],
      7573: ["flower indev br0 gact pass"],
      7574: ["flower src 52:55:00:00:00:09 gact goto"],
      ...Object.fromEntries(
        HOST_KEYS.map((keys, position) => [
          7600 + position,
          [`flower ${JSON.stringify(keys)} skbedit priority 7570:fff3 pass`],
        ]),
      ),
    });
    assert.deepEqual(tcFilters("nic0", "ingress"), {
      7575: [`flower src ${MAC1} gact drop`, `flower src ${MAC2} gact drop`],
      7576: [
        `flower dst ${MAC1} mirred ingress redirect bond0 stolen`,
        `flower dst ${MAC2} mirred ingress redirect bond0 stolen`,
      ],
    });
    const control = "flower dst 01:80:c2:00:00:00/44 class 7570:fff1";
    assert.deepEqual(tcFilters("nic0", "parent 7570:"), {
      7577: [control],
      7578: [control],
      7579: [control],
    });
    assert.deepEqual(tcFilters("nic0", "egress"), {
      7580: ["matchall skbedit queue_mapping 0 pass"],
    });
    const [link] = readJson<IpLink>("ip", "-d link show nic1");
    assert.equal(link?.linkinfo.info_slave_data.queue_id, 2);
    assert.ok(link?.flags.includes("PROMISC"));
    await until("nic1 active", () => activePort() === "nic1");
  });

  it("changes rates, queues, filters and shared actions in place", async () => {
    const wanted = everyObject(ifindexOf);
    await apply(added(wanted));
    const bond = ifindexOf("bond0") ?? 0;
    const [one, two] = [actionIndex(bond, 1, 1), actionIndex(bond, 2, 2)];
    const changes: readonly KernelObject[] = [
      htbClass("nic0", 0x11, 1, 5 * megabit, 40 * megabit, 0),
      leaf("nic0", 0x11, { type: "fq_codel", flows: 128, limitPackets: 700 }),
      leaf("nic1", 0x11, { type: "fq_codel", flows: 32, limitPackets: 700 }),
      leaf("nic0", 0x12, { type: "blackhole" }),
      { kind: "uplink-action", index: one, queueId: 2 },
      vnic(MAC1, 1, DEFAULT_MINOR, two),
      vnic(MAC2, 22, 0x12, one),
      { kind: "catch-all", device: "bond0", minor: 0x11, queueId: 0 },
    ];
    const steps = changes.map((object): Step => {
      const before = wanted.find((other) => kernelKey(other) === kernelKey(object));
      assert.ok(before !== undefined);
      return { op: "change", object, before };
    });
    assert.deepEqual(await apply(steps), []);
    const keys = new Map(changes.map((object) => [kernelKey(object), object]));
    assertStands(wanted.map((object) => keys.get(kernelKey(object)) ?? object));
    assert.equal(readClassCounts("nic0").get("7570:11")?.rateBitsPerSecond, 5 * megabit);
  });

  it("takes everything away again, twice over, and leaves a bare host", async () => {
    const wanted = everyObject(ifindexOf);
    await apply(added(wanted));
    const deletes = wanted.toReversed().map((object): Step => ({ op: "delete", object }));
    assert.deepEqual(await apply(deletes), []);
    assert.deepEqual(await apply(deletes), []);
    assertBare();
  });

  it("names the object that is wrong in the middle of a batch, and applies the others", async () => {
    const wanted = everyObject(ifindexOf);
    const missing = vnic("52:54:00:00:00:77" as Mac, 9, 0x11, actionIndex(1, 15, 15));
    const nowhere = htbClass("nic9", 0x20, 1, megabit, megabit, 1);
    const half = wanted.length - 2;
    const errors = await apply(
      added([...wanted.slice(0, half), missing, nowhere, ...wanted.slice(half)]),
    );
    assert.deepEqual(
      errors.map((error) => error.object),
      [kernelKey(missing), kernelKey(nowhere)],
    );
    assert.match(errors[1]?.message ?? "", /class nic9 7570:20.*ENODEV/);
    assertStands(wanted);
  });

  it("is undone by a script of tc and ip alone", async () => {
    const wanted = everyObject(ifindexOf);
    await apply(added(wanted));
    const names = new Map(dumpLinks(socket).map((link) => [link.ifindex, link.name]));
    writeFileSync(
      "/run/undo.sh",
      undoText(added(wanted), (ifindex) => names.get(ifindex)),
    );
    assert.equal(run("sh", "/run/undo.sh"), "");
    assertBare();
  });

  it("sees what others put in our place, and leaves the rest of clsact alone", async () => {
    tc([
      "qdisc add dev nic0 root handle 1: prio",
      "qdisc add dev nic1 root handle 7570: htb default fff0",
      "filter add dev nic1 parent 7570: protocol ip pref 5 matchall classid 7570:1",
      "qdisc add dev nic1 ingress",
      "qdisc add dev bond0 clsact",
      "filter add dev bond0 egress protocol all pref 7568 handle 5 flower src_mac 02:00:00:00:00:01 action drop",
      "filter add dev bond0 egress protocol all pref 9000 matchall action skbedit priority 1:1",
      "filter add dev bond0 ingress protocol ip pref 10 flower action ok",
    ]);
    const { objects, foreign, foreignFilters } = dumpKernel(socket, dumpLinks(socket), TEAM);
    assert.deepEqual(
      foreign.map(({ device, found }) => `${device}: ${found}`),
      [
        "bond0: egress filter pref 9000 matchall",
        "nic0: root qdisc prio 1:",
        "nic1: parent 7570: filter pref 5 matchall",
        "nic1: qdisc ingress",
      ],
    );
    assert.deepEqual(
      foreignFilters.map(({ hook, priority }) => [hook, priority]),
      [
        ["egress", 9000],
        ["ingress", 10],
      ],
    );
    const refused = await apply(
      added([{ kind: "htb", device: "nic0", defaultMinor: DEFAULT_MINOR }]),
    );
    assert.match(refused[0]?.message ?? "", /htb nic0: EEXIST/);
    const unknown = [...objects.values()].filter((object) => object.kind === "unknown-filter");
    assert.equal(unknown.length, 1);
    assert.deepEqual(await apply(unknown.map((object) => ({ op: "delete", object }))), []);
    assert.deepEqual(Object.keys(tcFilters("bond0", "egress")), ["9000"]);
  });

  it("sends a guest's MLD and IGMP reports by every uplink in its class, all else by its home", async () => {
    await setActivePort("nic0");
    const guest = addStandin({ number: 2 });
    await apply(added(everyObject(ifindexOf).filter((o) => o.kind !== "active-port")));
    // Class 12 has a rate that no lab reaches; only its counters matter here.
    assert.equal(ping(guest.namespace, switchAddress), 5);
    const before = sentBy("7570:12");
    ip(
      ["addr add 239.1.2.3/32 dev eth0 autojoin", "addr add fd09::77/64 dev eth0"],
      guest.namespace,
    );
    const reported = ({ nic0, nic1 }: ReturnType<typeof sentBy>) =>
      nic0 >= before.nic0 + 2 && nic1 >= before.nic1 + 2;
    await until("the reports", () => reported(sentBy("7570:12")), 10_000);
    const after = sentBy("7570:12");
    assert.equal(ping(guest.namespace, switchAddress, { count: 20 }), 20);
    const pinged = sentBy("7570:12");
    assert.ok(pinged.nic1 >= after.nic1 + 20, `${pinged.nic1 - after.nic1} of 20 by home`);
    assert.ok(pinged.nic0 < after.nic0 + 10, `${pinged.nic0 - after.nic0} frames by the other`);
  });

  function apply(steps: readonly Step[]) {
    return applySteps(steps, socket, ifindexOf);
  }

  function ifindexOf(name: string): number | undefined {
    return dumpLinks(socket).find((link) => link.name === name)?.ifindex;
  }

  /** Field by field, and nothing besides. */
  function assertStands(wanted: readonly KernelObject[]): void {
    const { objects, foreign } = dumpKernel(socket, dumpLinks(socket), TEAM);
    const sorted = (entries: Iterable<readonly [string, KernelObject]>) =>
      [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
    assert.deepEqual(
      sorted(objects),
      sorted(wanted.map((object) => [kernelKey(object), object] as const)),
    );
    assert.deepEqual(foreign, []);
  }

  function assertBare(): void {
    const { objects } = dumpKernel(socket, dumpLinks(socket), TEAM);
    const unmarked = ["bond-option", "active-port", "promiscuity", "port-queue"];
    assert.deepEqual(
      [...objects.values()].filter((object) => !unmarked.includes(object.kind)),
      [],
    );
    const ours = run("tc", "qdisc", "show")
      .split("\n")
      .filter((line) => /7570|clsact/.test(line));
    assert.deepEqual(ours, []);
    assert.deepEqual(
      readJson<IpLink>("ip", "-d link show nic1")[0]?.linkinfo.info_slave_data.queue_id,
      0,
    );
  }
});

function added(objects: readonly KernelObject[]): readonly Step[] {
  return objects.map((object) => ({ op: "add", object }));
}

function classNames(objects: readonly KernelObject[], device: string): readonly string[] {
  return objects.flatMap((object) =>
    object.kind === "class" && object.device === device
      ? [`7570:${object.minor.toString(16)}`]
      : [],
  );
}

/** Packets that a class has sent, by uplink. */
function sentBy(handle: string): { readonly nic0: number; readonly nic1: number } {
  const packets = (uplink: string) => readClassCounts(uplink).get(handle)?.packets ?? 0;
  return { nic0: packets("nic0"), nic1: packets("nic1") };
}

interface IpLink {
  readonly flags: readonly string[];
  readonly linkinfo: { readonly info_slave_data: { readonly queue_id: number } };
}
