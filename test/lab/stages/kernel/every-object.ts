/** One of every object that uplinkd puts into the kernel, in every form that it has, for bond0 of nic0 and nic1. */

import type { HostMatchFilter, KernelObject } from "../../../../src/model/kernel.ts";
import {
  actionIndex,
  CONTROL_MINOR,
  DEFAULT_MINOR,
  HOST_CLASS_MINORS,
} from "../../../../src/model/layout.ts";
import type { Mac } from "../../../../src/model/mac.ts";
import { ticksForBytes } from "../../../../src/model/units.ts";
import { standinMac } from "../../standin.ts";

export const megabit = 1e6;
export const [MAC1, MAC2] = [1, 2].map((number) => standinMac(number) as Mac) as [Mac, Mac];

export function everyObject(
  ifindexOf: (name: string) => number | undefined,
): readonly KernelObject[] {
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
      { kind: "control", device, protocol: "lacp", minor: CONTROL_MINOR },
      { kind: "control", device, protocol: "lldp", minor: CONTROL_MINOR },
      { kind: "control", device, protocol: "stp", minor: CONTROL_MINOR },
      { kind: "clsact", device },
      { kind: "queue-reset", device },
    ]),
    { kind: "clsact", device: "bond0" },
    { kind: "catch-all", device: "bond0", minor: null, queueId: 0 },
    { kind: "catch-all", device: "bond0", minor: DEFAULT_MINOR, queueId: 1, senders: true },
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

/** What tc says of hostMatches, in its own words. */
const MIGRATION_PORTS = { start: 49152, end: 49215 };
export const HOST_KEYS = [
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

export function htbClass(
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

export function leaf(
  device: string,
  minor: number,
  queue: Extract<KernelObject, { kind: "leaf" }>["queue"],
): KernelObject {
  return { kind: "leaf", device, minor, queue };
}

export function vnic(mac: Mac, handle: number, minor: number, index: number): KernelObject {
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
