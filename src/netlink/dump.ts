/**
 * What stands in the kernel on the devices of our teams: our own objects as the model has them, the unmarked
 * settings, whatever is in the way, and the counters.
 */

import type { InboundCount } from "../model/inbound-count.ts";
import {
  type ClassCounters,
  type Conflict,
  type KernelMap,
  type KernelObject,
  kernelKey,
} from "../model/kernel.ts";
import { actionIndex, parseActionIndex } from "../model/layout.ts";
import type { SourceCount } from "../model/source-count.ts";
import { dumpActionsMessage, parseSharedActions } from "./action.ts";
import { type DumpedClass, dumpClassesMessage, parseClass } from "./class.ts";
import { dumpFiltersMessage, type Filter, type Hook, parseFilter } from "./filter.ts";
import { isOurPlace } from "./filter-object.ts";
import { objectsOf } from "./found-filter.ts";
import { parseInboundCount } from "./inbound-count.ts";
import { dumpLinksMessage, type Link, parseLink } from "./link.ts";
import { dumpQdiscsMessage, parseQdisc, type Qdisc } from "./qdisc.ts";
import type { RequestSocket } from "./socket.ts";
import { parseSourceCount } from "./source-count.ts";
import { formatHandle, minorOfHandle, TC_H_CLSACT, TC_H_ROOT } from "./traffic-control.ts";

/** A bond and its ports by name. */
export interface TeamDevices {
  readonly bond: string;
  readonly ports: readonly string[];
}

/** A filter of someone else's in a clsact that we use, too: deleting that clsact would take it away. */
export interface ForeignFilter {
  readonly device: string;
  readonly hook: "egress" | "ingress";
  readonly priority: number;
  readonly kind: string;
}

export interface DumpedKernel {
  readonly objects: KernelMap;
  readonly foreign: readonly Conflict[];
  readonly foreignFilters: readonly ForeignFilter[];
  readonly counters: readonly ClassCounters[];
  /** Of filters that judge source addresses; those that merely pass on what isn't the host's are among them. */
  readonly sourceCounts: readonly SourceCount[];
  readonly inboundCounts: readonly InboundCount[];
  /** Frames that each device's HTB passed unshaped since it was made; must not grow. */
  readonly directPackets: ReadonlyMap<string, number>;
}

/** All links of the host. @throws NetlinkError */
export function dumpLinks(socket: Pick<RequestSocket, "dump">): readonly Link[] {
  return socket.dump("links", dumpLinksMessage(), parseLink);
}

/**
 * Reads everything of ours, and what clashes with it. Devices that don't exist are left out.
 * @throws NetlinkError
 */
export function dumpKernel(
  socket: Pick<RequestSocket, "dump">,
  links: readonly Link[],
  teams: readonly TeamDevices[],
): DumpedKernel {
  const dumped = dumpTrafficControl(socket, links, teams);
  return { ...dumped, objects: withObjects(dumped.objects, linkObjects(links, teams)) };
}

/** What links say themselves: a bond's options and active port, its ports' queue ids and promiscuity. */
export function linkObjects(
  links: readonly Link[],
  teams: readonly TeamDevices[],
): readonly KernelObject[] {
  const byName = new Map(links.map((link) => [link.name, link]));
  const byIndex = new Map(links.map((link) => [link.ifindex, link]));
  return teams.flatMap((team) => {
    const bond = byName.get(team.bond);
    const ports = team.ports.flatMap((name) => byName.get(name) ?? []);
    return [
      ...(bond === undefined ? [] : bondObjects(bond, byIndex)),
      ...ports.flatMap(portObjects),
    ];
  });
}

/** The same objects and some more. */
export function withObjects(objects: KernelMap, more: readonly KernelObject[]): KernelMap {
  const all = new Map(objects);
  for (const object of more) all.set(kernelKey(object), object);
  return all;
}

/**
 * The rest: qdiscs, classes, queues, filters, shared actions, and what clashes with them.
 * @throws NetlinkError
 */
export function dumpTrafficControl(
  socket: Pick<RequestSocket, "dump">,
  links: readonly Link[],
  teams: readonly TeamDevices[],
): DumpedKernel {
  const byName = new Map(links.map((link) => [link.name, link]));
  const qdiscs = Map.groupBy(
    socket.dump("qdiscs", dumpQdiscsMessage(), parseQdisc),
    (q) => q.ifindex,
  );
  const actions = (["uplink-action", "port-action"] as const).flatMap((kind) =>
    socket.dump("actions", dumpActionsMessage(kind), parseSharedActions).flat(),
  );
  const found: Found = {
    objects: [],
    foreign: [],
    foreignFilters: [],
    counters: [],
    sourceCounts: [],
    inboundCounts: [],
    directPackets: new Map(),
  };
  for (const team of teams) {
    const bond = byName.get(team.bond);
    if (bond !== undefined) {
      const base = parseActionIndex(actionIndex(bond.ifindex, 0, 0))?.bondIfindex;
      for (const action of actions)
        if (parseActionIndex(action.index)?.bondIfindex === base) found.objects.push(action);
      addClsact(found, socket, bond, qdiscs.get(bond.ifindex) ?? []);
    }
    for (const name of team.ports) {
      const port = byName.get(name);
      if (port === undefined) continue;
      const own = qdiscs.get(port.ifindex) ?? [];
      addHtb(found, socket, port, own);
      addClsact(found, socket, port, own);
    }
  }
  return {
    ...found,
    objects: new Map(found.objects.map((object) => [kernelKey(object), object])),
  };
}

/** The counters alone, of the classes on the given devices. @throws NetlinkError */
export function dumpCounters(
  socket: Pick<RequestSocket, "dump">,
  devices: readonly { readonly name: string; readonly ifindex: number }[],
): readonly ClassCounters[] {
  const qdiscs = Map.groupBy(
    socket.dump("qdiscs", dumpQdiscsMessage(), parseQdisc),
    (q) => q.ifindex,
  );
  return devices.flatMap(({ name, ifindex }) =>
    countersOf(name, dumpClasses(socket, name, ifindex), qdiscs.get(ifindex) ?? []),
  );
}

interface Found {
  readonly objects: KernelObject[];
  readonly foreign: Conflict[];
  readonly foreignFilters: ForeignFilter[];
  readonly counters: ClassCounters[];
  readonly sourceCounts: SourceCount[];
  readonly inboundCounts: InboundCount[];
  readonly directPackets: Map<string, number>;
}

function bondObjects(bond: Link, byIndex: ReadonlyMap<number, Link>): KernelObject[] {
  if (bond.bond === null) return [];
  const { updelayMs, activeIfindex } = bond.bond;
  return [
    { kind: "bond-option", bond: bond.name, updelayMs },
    { kind: "active-port", bond: bond.name, port: byIndex.get(activeIfindex)?.name ?? null },
  ];
}

function portObjects({ name: device, promiscuous, bondPort }: Link): KernelObject[] {
  const promiscuity = { kind: "promiscuity", device, on: promiscuous } as const;
  if (bondPort === null) return [promiscuity];
  return [promiscuity, { kind: "port-queue", device, queueId: bondPort.queueId }];
}

function addHtb(
  found: Found,
  socket: Pick<RequestSocket, "dump">,
  port: Link,
  qdiscs: readonly Qdisc[],
): void {
  const device = port.name;
  const root = qdiscs.find((qdisc) => qdisc.parent === TC_H_ROOT);
  // The device's own default has handle 0 and gives way to ours.
  if (root === undefined || root.handle === 0) return;
  if (root.kind !== "htb" || minorOfHandle(root.handle) !== 0) {
    const name = `root qdisc ${root.kind} ${formatHandle(root.handle)}`;
    found.foreign.push({
      device,
      found: name,
      message: `${device} has ${name}, which is not uplinkd's`,
      remedy: `find out who made it; 'tc qdisc del dev ${device} root' removes it`,
      blocking: true,
    });
    return;
  }
  found.objects.push({ kind: "htb", device, defaultMinor: root.defaultMinor ?? 0 });
  found.directPackets.set(device, root.directPackets ?? 0);
  const classes = dumpClasses(socket, device, port.ifindex);
  for (const { ifindex: _, stats: __, ...fields } of classes) {
    found.objects.push({ kind: "class", device, ...fields });
  }
  for (const { parent, queue } of qdiscs) {
    const minor = minorOfHandle(parent);
    if (minor === null || queue === null) continue;
    found.objects.push({ kind: "leaf", device, minor, queue });
  }
  found.counters.push(...countersOf(device, classes, qdiscs));
  addFilters(found, port, dumpFilters(found, socket, port, "htb"));
}

function addClsact(
  found: Found,
  socket: Pick<RequestSocket, "dump">,
  link: Link,
  qdiscs: readonly Qdisc[],
): void {
  const device = link.name;
  const ingress = qdiscs.find((qdisc) => qdisc.parent === TC_H_CLSACT);
  if (ingress === undefined) return;
  if (ingress.kind !== "clsact") {
    found.foreign.push({
      device,
      found: `qdisc ${ingress.kind}`,
      message: `${device} has an ${ingress.kind} qdisc, beside which there can be no clsact`,
      remedy: `make its filters ones of clsact, or 'tc qdisc del dev ${device} ingress'`,
      blocking: true,
    });
    return;
  }
  found.objects.push({ kind: "clsact", device });
  for (const hook of ["egress", "ingress"] as const)
    addFilters(found, link, dumpFilters(found, socket, link, hook));
}

function dumpFilters(
  found: Found,
  socket: Pick<RequestSocket, "dump">,
  { name: device, ifindex }: Link,
  hook: Hook,
): readonly Filter[] {
  return socket.dump(
    `filters of ${device} ${hook}`,
    dumpFiltersMessage(ifindex, hook),
    (message) => {
      const filter = parseFilter(message);
      if (filter === null) return null;
      const count = parseSourceCount(message, device);
      if (count !== null) found.sourceCounts.push(count);
      const inbound = parseInboundCount(message, filter, device);
      if (inbound !== null) found.inboundCounts.push(inbound);
      return filter;
    },
  );
}

function addFilters(found: Found, { name: device }: Link, filters: readonly Filter[]): void {
  found.objects.push(...objectsOf(filters.filter(isOurPlace), device));
  for (const filter of filters) if (!isOurPlace(filter)) addForeignFilter(found, device, filter);
}

/** Others' filters are left alone; one that sets class or port of frames as ours do is worth a word. */
function addForeignFilter(found: Found, device: string, filter: Filter): void {
  const { hook, priority, match } = filter;
  const kind = match.kind === "other" ? match.classifier : match.kind;
  // Those in our HTB's list go with our HTB: its owner is known.
  if (hook !== "htb") found.foreignFilters.push({ device, hook, priority, kind });
  const chooses = filter.actions.some((action) => action.kind === "skbedit");
  if (hook === "ingress" || (hook === "egress" && !chooses)) return;
  const where = hook === "htb" ? "parent 7570:" : hook;
  const what =
    hook === "htb"
      ? "chooses the class of frames without one, and keeps a class that it names from being deleted"
      : "changes frames' class or port";
  found.foreign.push({
    device,
    found: `${where} filter pref ${priority} ${kind}`,
    message: `a foreign filter on ${device} (${where}, pref ${priority}) ${what}`,
    remedy: `see 'tc filter show dev ${device} ${where}' and find out who made it`,
    blocking: false,
  });
}

function dumpClasses(
  socket: Pick<RequestSocket, "dump">,
  device: string,
  ifindex: number,
): readonly DumpedClass[] {
  return socket.dump(`classes of ${device}`, dumpClassesMessage(ifindex), parseClass);
}

/**
 * A class counts what it sent; what its queue dropped, only the queue knows in full: fq_codel's own drops never
 * reach the class's counter.
 */
function countersOf(
  device: string,
  classes: readonly DumpedClass[],
  qdiscs: readonly Qdisc[],
): readonly ClassCounters[] {
  const leaves = new Map(qdiscs.map((qdisc) => [minorOfHandle(qdisc.parent), qdisc.stats]));
  return classes.map(({ minor, stats }) => ({
    device,
    minor,
    sentBytes: stats?.bytes ?? 0n,
    sentPackets: stats?.packets ?? 0n,
    drops: Math.max(leaves.get(minor)?.drops ?? 0, stats?.drops ?? 0),
    backlogBytes: stats?.backlogBytes ?? 0,
    queuedPackets: stats?.queuedPackets ?? 0,
  }));
}
