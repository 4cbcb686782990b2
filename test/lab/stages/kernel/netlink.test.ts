import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { applySteps } from "../../../../src/apply/kernel.ts";
import { undoText } from "../../../../src/apply/shelltext.ts";
import {
  actionIndex,
  CONTROL_MINOR,
  DEFAULT_MINOR,
  HOST_CLASS_MINORS,
  type HostMatchFilter,
  type KernelObject,
  kernelKey,
} from "../../../../src/model/kernel.ts";
import type { Mac } from "../../../../src/model/mac.ts";
import type { Step } from "../../../../src/model/step.ts";
import { ticksForBytes } from "../../../../src/model/units.ts";
import { dumpKernel, dumpLinks } from "../../../../src/netlink/dump.ts";
import { RequestSocket } from "../../../../src/netlink/socket.ts";
import { resetToBare } from "../../bare.ts";
import { ip, readJson, run, tc } from "../../command.ts";
import { activePort, buildHost, readClassCounts, setActivePort } from "../../host.ts";
import { addStandin, ping, standinMac } from "../../standin.ts";
import { switchAddress } from "../../switch.ts";
import { until } from "../../wait.ts";

const TEAM = [{ bond: "bond0", ports: ["nic0", "nic1"] }];
const megabit = 1e6;
const [MAC1, MAC2] = [1, 2].map((number) => standinMac(number) as Mac) as [Mac, Mac];

describe("our netlink codec against the kernel", () => {
  let socket: RequestSocket;

  beforeEach(async () => {
    await resetToBare();
    await buildHost();
    socket = RequestSocket.open();
  });
  afterEach(() => socket.close());

  it("makes one of every object, and the dump gives back each field", async () => {
    const wanted = everyObject();
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
      7570: ["matchall skbedit priority 7570:fff0 queue_mapping 0 continue"],
      7571: [
        `flower src ${MAC1} skbedit queue_mapping 1 pipe skbedit priority 7570:11 goto`,
        `flower src ${MAC2} skbedit queue_mapping 2 pipe skbedit priority 7570:12 goto`,
      ],
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
    const control = "flower dst 01:80:c2:00:00:00/44 skbedit priority 7570:fff1 continue";
    assert.deepEqual(tcFilters("nic0", "egress"), {
      7577: [control],
      7578: [control],
      7579: [control],
      7580: ["matchall skbedit queue_mapping 0 pass"],
    });
    const [link] = readJson<IpLink>("ip", "-d link show nic1");
    assert.equal(link?.linkinfo.info_slave_data.queue_id, 2);
    assert.ok(link?.flags.includes("PROMISC"));
    await until("nic1 active", () => activePort() === "nic1");
  });

  it("changes rates, queues, filters and shared actions in place", async () => {
    const wanted = everyObject();
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
    const wanted = everyObject();
    await apply(added(wanted));
    const deletes = wanted.toReversed().map((object): Step => ({ op: "delete", object }));
    assert.deepEqual(await apply(deletes), []);
    assert.deepEqual(await apply(deletes), []);
    assertBare();
  });

  it("names the object that is wrong in the middle of a batch, and applies the others", async () => {
    const wanted = everyObject();
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
    const wanted = everyObject();
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
      "qdisc add dev nic1 ingress",
      "qdisc add dev bond0 clsact",
      "filter add dev bond0 egress protocol all pref 7571 handle 5 flower src_mac 02:00:00:00:00:01 action drop",
      "filter add dev bond0 egress protocol all pref 9000 matchall action skbedit priority 1:1",
      "filter add dev bond0 ingress protocol ip pref 10 flower action ok",
    ]);
    const { objects, foreign, foreignFilters } = dumpKernel(socket, dumpLinks(socket), TEAM);
    assert.deepEqual(
      foreign.map(({ device, found }) => `${device}: ${found}`),
      [
        "bond0: egress filter pref 9000 matchall",
        "nic0: root qdisc prio 1:",
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
    await apply(added(everyObject().filter((o) => o.kind !== "active-port")));
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

  function everyObject(): readonly KernelObject[] {
    const bond = ifindexOf("bond0") ?? 0;
    const [one, two] = [actionIndex(bond, 1, 1), actionIndex(bond, 2, 2)];
    const macs = [MAC1, MAC2];
    return [
      ...["nic0", "nic1"].flatMap((device): KernelObject[] => [
        { kind: "htb", device, defaultMinor: DEFAULT_MINOR },
        htbClass(device, 1, null, 40 * megabit, 40 * megabit, 0),
        htbClass(device, DEFAULT_MINOR, 1, 2 * megabit, 40 * megabit, 7),
        leaf(device, DEFAULT_MINOR, { type: "fq_codel", flows: 64, limitPackets: 1000 }),
        htbClass(device, CONTROL_MINOR, 1, megabit, 40 * megabit, 0),
        leaf(device, CONTROL_MINOR, { type: "pfifo", limitPackets: 100 }),
        htbClass(device, 0x11, 1, 25 * megabit, 40 * megabit, 0),
        leaf(device, 0x11, { type: "fq_codel", flows: 128, limitPackets: 600 }),
        htbClass(device, 0x12, 1, 50e9, 100e9, 3),
        leaf(device, 0x12, { type: "pfifo", limitPackets: 500 }),
        // The minor whose queue can't have its own number as handle.
        htbClass(device, 0x7570, 1, 8, 80, 7),
        leaf(device, 0x7570, { type: "blackhole" }),
        { kind: "clsact", device },
        { kind: "control", device, protocol: "lacp", minor: CONTROL_MINOR },
        { kind: "control", device, protocol: "lldp", minor: CONTROL_MINOR },
        { kind: "control", device, protocol: "stp", minor: CONTROL_MINOR },
        { kind: "queue-reset", device },
      ]),
      { kind: "clsact", device: "bond0" },
      { kind: "catch-all", device: "bond0", minor: DEFAULT_MINOR, queueId: 0 },
      { kind: "reports", device: "bond0", copyTo: ["nic0", "nic1"].map((n) => ifindexOf(n) ?? 0) },
      ...hostMatches(),
      { kind: "passed-on", device: "bond0", from: "br0", handle: ifindexOf("br0") ?? 0 },
      { kind: "host-source", device: "bond0", mac: "52:55:00:00:00:09" as Mac, handle: 77 },
      ...["nic0", "nic1"].flatMap((device, port): KernelObject[] => [
        ...macs.map((mac, i) => ({ kind: "reflection", device, mac, handle: i + 1 }) as const),
        ...macs.map(
          (mac, i) => ({ kind: "redirect", device, mac, handle: i + 1, toIfindex: bond }) as const,
        ),
        { kind: "promiscuity", device, on: true },
        { kind: "port-queue", device, queueId: port + 1 },
      ]),
      { kind: "uplink-action", index: one, queueId: 1 },
      { kind: "uplink-action", index: two, queueId: 2 },
      vnic(MAC1, 1, 0x11, one),
      vnic(MAC2, 2, 0x12, two),
      { kind: "bond-option", bond: "bond0", updelayMs: 1000 },
      { kind: "active-port", bond: "bond0", port: "nic1" },
    ];
  }
});

/** What tc says of hostMatches, in its own words. */
const MIGRATION_PORTS = { start: 49152, end: 49215 };
const HOST_KEYS = [
  { eth_type: "ipv4", ip_proto: "tcp", dst_port: MIGRATION_PORTS },
  { eth_type: "ipv6", ip_proto: "tcp", dst_port: MIGRATION_PORTS },
  { eth_type: "ipv4", ip_proto: "tcp", dst_port: 2049, src_port: 22 },
  {
    eth_type: "ipv6",
    ip_proto: "udp",
    dst_port: { start: 5000, end: 5001 },
    src_port: { start: 4000, end: 4100 },
  },
  { vlan_id: 10, vlan_ethtype: "ip", eth_type: "ipv4", ip_proto: "udp", dst_port: 4789 },
  { eth_type: "ipv4", ip_proto: "icmp" },
  { eth_type: "ipv6", ip_proto: "icmpv6", dst_ip: "2001:db8::1", src_ip: "fd09::/64" },
  { eth_type: "ipv4", dst_ip: "10.0.0.0/8", src_ip: "10.9.0.0/24" },
  { vlan_id: 20 },
] as const;

/** Matches of every kind, so that the kernel tells each back as it was told. */
function hostMatches(): readonly KernelObject[] {
  const [ipv4, ipv6, tcp, udp] = [0x0800, 0x86dd, 6, 17];
  const kinds: readonly Partial<HostMatchFilter>[] = [
    { etherType: ipv4, ipProtocol: tcp, destinationPorts: "49152-49215" },
    { etherType: ipv6, ipProtocol: tcp, destinationPorts: "49152-49215" },
    { etherType: ipv4, ipProtocol: tcp, sourcePorts: "22", destinationPorts: "2049" },
    { etherType: ipv6, ipProtocol: udp, sourcePorts: "4000-4100", destinationPorts: "5000-5001" },
    { etherType: ipv4, ipProtocol: udp, destinationPorts: "4789", vlanId: 10 },
    { etherType: ipv4, ipProtocol: 1 },
    { etherType: ipv6, ipProtocol: 58, source: "fd09::/64", destination: "2001:db8::1/128" },
    { etherType: ipv4, source: "10.9.0.0/24", destination: "10.0.0.0/8" },
    { vlanId: 20 },
  ];
  return kinds.map((kind, position) => ({
    kind: "host-match",
    device: "bond0",
    position,
    minor: HOST_CLASS_MINORS.migration,
    vlanId: null,
    etherType: null,
    ipProtocol: null,
    sourcePorts: null,
    destinationPorts: null,
    source: null,
    destination: null,
    ...kind,
  }));
}

function added(objects: readonly KernelObject[]): readonly Step[] {
  return objects.map((object) => ({ op: "add", object }));
}

function htbClass(
  device: string,
  minor: number,
  parentMinor: number | null,
  rateBitsPerSecond: number,
  ceilBitsPerSecond: number,
  prio: number,
): Extract<KernelObject, { kind: "class" }> {
  return {
    kind: "class",
    device,
    minor,
    parentMinor,
    rateBitsPerSecond,
    ceilBitsPerSecond,
    bufferTicks: ticksForBytes(65536, rateBitsPerSecond),
    cbufferTicks: ticksForBytes(65536, ceilBitsPerSecond),
    prio,
    quantumBytes: 60000,
  };
}

function leaf(
  device: string,
  minor: number,
  queue: Extract<KernelObject, { kind: "leaf" }>["queue"],
): KernelObject {
  return { kind: "leaf", device, minor, queue };
}

function vnic(mac: Mac, handle: number, minor: number, index: number): KernelObject {
  return {
    kind: "vnic",
    steering: "queue",
    device: "bond0",
    mac,
    handle,
    minor,
    actionIndex: index,
  };
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

interface TcAction {
  readonly kind: string;
  readonly priority?: string;
  readonly queue_mapping?: number;
  readonly mirred_action?: string;
  readonly direction?: string;
  readonly to_dev?: string;
  readonly control_action?: { readonly type: string };
}

interface TcFilter {
  readonly pref: number;
  readonly kind: string;
  readonly options?: {
    readonly keys?: { readonly src_mac?: string; readonly dst_mac?: string };
    readonly indev?: string;
    readonly actions?: readonly TcAction[];
  };
}

/** What tc says of a hook's filters, a line each, by priority. */
function tcFilters(device: string, hook: "egress" | "ingress"): Record<number, readonly string[]> {
  const lines: Record<number, string[]> = {};
  for (const filter of readJson<TcFilter>("tc", `filter show dev ${device} ${hook}`)) {
    if (filter.options?.actions === undefined) continue;
    const { src_mac, dst_mac, ...packet } = filter.options.keys ?? {};
    const words = [
      filter.kind,
      ...(filter.options.indev === undefined ? [] : ["indev", filter.options.indev]),
      ...(Object.keys(packet).length === 0 ? [] : [JSON.stringify(packet)]),
      ...(src_mac === undefined ? [] : ["src", src_mac]),
      ...(dst_mac === undefined ? [] : ["dst", dst_mac]),
      ...filter.options.actions.map(describeAction),
    ];
    lines[filter.pref] = [...(lines[filter.pref] ?? []), words.join(" ")].sort();
  }
  return lines;
}

function describeAction(action: TcAction): string {
  return [
    action.kind,
    ...(action.direction === undefined
      ? []
      : [action.direction, action.mirred_action, action.to_dev]),
    ...(action.priority === undefined ? [] : ["priority", action.priority]),
    ...(action.queue_mapping === undefined ? [] : ["queue_mapping", action.queue_mapping]),
    action.control_action?.type,
  ].join(" ");
}
