/**
 * Steps as commands of tc(8) and ip(8), for what has to work without uplinkd and its runtime: the undo left for
 * the hook and for `uplinkctl release` without a daemon, and for people who want to see what would be done.
 */
import { HOST_CHAIN, REPORTS_CHAIN, SOURCES_CHAIN } from "../model/filter-priority.ts";
import {
  type HostMatchFilter,
  type HtbClass,
  type KernelObject,
  kernelKey,
  type LeafQueue,
  type UnknownFilter,
  type VnicFilter,
} from "../model/kernel.ts";
import { CONTROL_PROTOCOLS } from "../model/layout.ts";
import type { Step } from "../model/step.ts";
import { bytesPerSecondFromBits } from "../model/units.ts";
import type { FilterPlace } from "../netlink/filter.ts";
import { classifierOf, type FilterObject, placeOf, senderPlace } from "../netlink/filter-object.ts";

/** Looks up a device's name; undefined where there is none of that index now. */
export type NameOf = (ifindex: number) => string | undefined;

/** psched ticks are of 64 ns (include/net/pkt_sched.h). */
const TICKS_PER_SECOND = 1e9 / 64;

/**
 * The commands that do one step. A deletion's commands fail where the object is gone already: scriptOf lets them.
 * @throws InvariantError never; an object that no command can make (an unknown filter) gives a comment
 */
export function commandsOf(step: Step, nameOf: NameOf): readonly string[] {
  if (step.op === "delete") return deletion(step.object);
  const before = step.op === "change" ? step.before : null;
  return setting(step.object, before, nameOf);
}

/** The steps that lead back from behind `steps` to before them, in reverse order. */
export function inverseOf(steps: readonly Step[]): readonly Step[] {
  return steps.toReversed().map(inverseStep);
}

function inverseStep(step: Step): Step {
  switch (step.op) {
    case "add":
      return { op: "delete", object: step.object };
    case "delete":
      return { op: "add", object: step.object };
    case "change":
      return { op: "change", object: step.before, before: step.object };
  }
}

/**
 * A POSIX sh script that undoes the steps, to be run once by root; it needs tc and ip alone, goes on after errors
 * (what is gone is gone) and prints nothing, as hooks must.
 */
export function undoText(steps: readonly Step[], nameOf: NameOf): string {
  return scriptOf(inverseOf(steps), nameOf);
}

/** A POSIX sh script that does the steps; see undoText. */
export function scriptOf(steps: readonly Step[], nameOf: NameOf): string {
  const lines = steps.flatMap((step) => commandsOf(step, nameOf));
  return [
    "#!/bin/sh",
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "exec </dev/null >/dev/null 2>&1",
    ...batched(lines),
    "exit 0",
    "",
  ].join("\n");
}

/** Runs of commands of one program become one process: a hook has little time, and each costs 1 to 60 ms. */
function batched(lines: readonly string[]): readonly string[] {
  const script: string[] = [];
  let program = "";
  for (const line of [...lines, ""]) {
    // Quoted names are left to the shell.
    const next = line.includes("'") ? "" : (/^(tc|ip) /.exec(line)?.[1] ?? "");
    if (next !== program) {
      if (program !== "") script.push("END");
      if (next !== "") script.push(`${next} -force -batch - <<'END'`);
      program = next;
    }
    if (line !== "") script.push(next === "" ? line : line.slice(next.length + 1));
  }
  return script;
}

function setting(
  object: KernelObject,
  before: KernelObject | null,
  nameOf: NameOf,
): readonly string[] {
  switch (object.kind) {
    case "bond-option":
      return [`ip link set dev ${quote(object.bond)} type bond updelay ${object.updelayMs}`];
    case "active-port":
      return object.port === null
        ? []
        : [`ip link set dev ${quote(object.bond)} type bond active_slave ${quote(object.port)}`];
    case "port-queue":
      return [`ip link set dev ${quote(object.device)} type bond_slave queue_id ${object.queueId}`];
    case "promiscuity":
      return [`ip link set dev ${quote(object.device)} promisc ${object.on ? "on" : "off"}`];
    case "clsact":
      return [`tc qdisc add dev ${quote(object.device)} clsact`];
    case "htb": {
      const device = quote(object.device);
      const handle = `root handle 7570: htb default 0x${object.defaultMinor.toString(16)}`;
      return [...(before === null ? [] : deletion(before)), `tc qdisc add dev ${device} ${handle}`];
    }
    case "class":
      return [classCommand(object)];
    case "leaf":
      return [
        `tc qdisc del dev ${quote(object.device)} parent ${handleText(object.minor)}`,
        `tc qdisc add dev ${quote(object.device)} parent ${handleText(object.minor)} ${queueText(object.queue)}`,
      ];
    case "uplink-action":
      // tc reads an action's index in decimal only.
      return [
        `tc actions replace action skbedit queue_mapping ${object.queueId} pipe index ${object.index} skip_hw`,
      ];
    case "port-action": {
      const to = nameOf(object.toIfindex);
      if (to === undefined) return [`# ${kernelKey(object)}: no device ${object.toIfindex}`];
      return [
        `tc actions replace action mirred egress redirect dev ${quote(to)} index ${object.index} skip_hw`,
      ];
    }
    case "unknown-filter":
      return [`# ${kernelKey(object)} can't be made again`];
    case "reports":
    case "catch-all":
    case "queue-reset":
      return [...deletion(object), ...filterCommands(object, nameOf)];
    case "vnic": {
      const moved = before?.kind === "vnic" && before.handle !== object.handle;
      const stays = before?.kind === "vnic" && !moved && before.from !== object.from;
      return [
        ...(moved ? deletion(before) : []),
        ...filterCommands(object, nameOf),
        ...(stays ? senderDeletion(before, object) : []),
      ];
    }
    case "passed-on":
    case "forged":
    case "declared":
    case "host-source":
    case "reflection":
    case "redirect":
    case "inbound": {
      const moved = before !== null && "handle" in before && before.handle !== object.handle;
      return [...(moved ? deletion(before) : []), ...filterCommands(object, nameOf)];
    }
    case "control":
    case "probe-guard":
      return filterCommands(object, nameOf);
    case "host-match":
      // tc(8) can name a packet's protocol only as the filter's own, and then a VLAN's tag would hide it.
      return [`# ${kernelKey(object)} can't be made with tc`];
  }
}

function deletion(object: KernelObject): readonly string[] {
  switch (object.kind) {
    case "bond-option":
    case "active-port":
      return [];
    case "port-queue":
      return [`ip link set dev ${quote(object.device)} type bond_slave queue_id 0`];
    case "promiscuity":
      return [`ip link set dev ${quote(object.device)} promisc off`];
    case "clsact":
      return [`tc qdisc del dev ${quote(object.device)} clsact`];
    case "htb":
      return [`tc qdisc del dev ${quote(object.device)} root handle 7570: htb`];
    case "class":
      return [`tc class del dev ${quote(object.device)} classid ${handleText(object.minor)}`];
    case "leaf":
      return [`tc qdisc del dev ${quote(object.device)} parent ${handleText(object.minor)}`];
    case "uplink-action":
    case "port-action":
      // Refused until the last filter's end has gone through (an RCU grace period): asked a few times.
      return [
        `for i in 1 2 3 4 5; do tc actions del action ${object.kind === "uplink-action" ? "skbedit" : "mirred"} index ${object.index} && break; sleep 0.2; done`,
      ];
    case "vnic":
      return [filterDeletion(object), ...senderDeletion(object, null)];
    case "catch-all":
    case "reports":
    case "passed-on":
    case "forged":
    case "declared":
    case "host-source":
    case "host-match":
    case "reflection":
    case "redirect":
    case "inbound":
    case "probe-guard":
    case "control":
    case "queue-reset":
    case "unknown-filter":
      return [filterDeletion(object)];
  }
}

function filterDeletion(object: FilterObject | UnknownFilter): string {
  const place = placeOf(object, 0);
  const handle = place.handle === 0 ? "" : ` handle ${place.handle}`;
  return `tc filter del ${placeText(object)}${handle} ${classifierOf(object)}`;
}

/** Takes away the filter that told by which interface a vNIC's frames come, unless another vNIC's filter has its place. */
function senderDeletion(before: VnicFilter, after: VnicFilter | null): readonly string[] {
  if (before.from === undefined) return [];
  const place = senderPlace(before, 0);
  if (after?.from !== undefined && senderPlace(after, 0).priority === place.priority) return [];
  return [`tc filter del ${placedAt(before.device, place)} handle ${place.handle} flower`];
}

function filterCommands(
  object: Exclude<FilterObject, HostMatchFilter>,
  nameOf: NameOf,
): readonly string[] {
  const at = placeText(object);
  const replace = (rest: string) => {
    const { handle } = placeOf(object, 0);
    return `tc filter replace ${at}${handle === 0 ? "" : ` handle ${handle}`} ${rest}`;
  };
  switch (object.kind) {
    case "catch-all":
      return [
        replace(
          `matchall skip_hw action skbedit queue_mapping ${object.queueId} priority ${object.minor === null ? "none" : handleText(object.minor)} continue`,
        ),
      ];
    case "vnic": {
      const { mac, from, device, handle } = object;
      if (from === undefined) return [replace(`flower skip_hw src_mac ${mac} ${pinText(object)}`)];
      const indev = from === null ? "" : `indev ${quote(from)} `;
      const place = placedAt(device, senderPlace(object, 0));
      return [
        `tc filter replace ${place} handle ${handle} flower skip_hw ${indev}src_mac ${mac} ${pinText(object)}`,
        replace(`flower skip_hw src_mac ${mac} action goto chain ${SOURCES_CHAIN}`),
      ];
    }
    case "reports": {
      const mirrors = object.copyTo.map((to) => {
        const name = nameOf(to);
        return name === undefined ? "" : `action mirred egress mirror dev ${quote(name)} pipe `;
      });
      const actions = `${mirrors.join("")}action ok`;
      return [
        `tc filter add ${at} u32 match u16 0x0800 0xffff at -2 match u8 2 0xff at 9 skip_hw ${actions}`,
        `tc filter add ${at} u32 match u16 0x86dd 0xffff at -2 match u8 0 0xff at 6 match u8 58 0xff at 40 skip_hw ${actions}`,
      ];
    }
    case "passed-on":
    case "forged": {
      const verdict = object.drops ? "drop" : "ok";
      return [replace(`flower skip_hw indev ${quote(object.from ?? "")} action ${verdict}`)];
    }
    case "declared":
      return [
        replace(
          `flower skip_hw indev ${quote(object.from ?? "")} src_mac ${object.mac} action skbedit queue_mapping ${object.queueId} priority ${handleText(object.minor)} ok`,
        ),
      ];
    case "host-source":
      return [replace(`flower skip_hw src_mac ${object.mac} action goto chain ${HOST_CHAIN}`)];
    case "reflection":
      return [replace(`flower skip_hw src_mac ${object.mac} action drop`)];
    case "redirect": {
      const to = nameOf(object.toIfindex);
      if (to === undefined) return [`# ${kernelKey(object)}: no device ${object.toIfindex}`];
      return [
        replace(
          `flower skip_hw dst_mac ${object.mac} action mirred ingress redirect dev ${quote(to)}`,
        ),
      ];
    }
    case "inbound": {
      const rate = bytesPerSecondFromBits(object.rateBitsPerSecond);
      const burst = Math.round((object.burstTicks / TICKS_PER_SECOND) * rate);
      // The Ethernet header isn't counted on a device's ingress, and no frame is larger than 2 MiB; see netlink/police.ts.
      const police = `police rate ${rate}bps burst ${burst} mtu 2097152 overhead 14`;
      return [
        replace(
          `flower skip_hw dst_mac ${object.mac} action ${police} conform-exceed drop/continue`,
        ),
      ];
    }
    case "probe-guard": {
      const field = object.side === "to" ? "dst_mac" : "src_mac";
      return [replace(`flower skip_hw ${field} ${object.block}/ff:ff:ff:ff:ff:00 action drop`)];
    }
    case "control":
      return [
        replace(
          `flower skip_hw dst_mac 01:80:c2:00:00:00/ff:ff:ff:ff:ff:f0 classid ${handleText(object.minor)}`,
        ),
      ];
    case "queue-reset":
      return [replace("matchall skip_hw action skbedit queue_mapping 0 ok")];
  }
}

function pinText({ steering, minor, actionIndex }: VnicFilter): string {
  const onward = `action skbedit priority ${handleText(minor)} goto chain ${REPORTS_CHAIN}`;
  switch (steering) {
    case "queue":
      return `action skbedit index ${actionIndex} ${onward}`;
    case "redirect":
      return `action skbedit priority ${handleText(minor)} pipe action mirred index ${actionIndex}`;
    case "hash":
      return onward;
  }
}

function placeText(
  object: Extract<KernelObject, { device: string }> & Parameters<typeof placeOf>[0],
) {
  return placedAt(object.device, placeOf(object, 0));
}

function placedAt(device: string, place: FilterPlace): string {
  const chain = place.chain === 0 ? "" : ` chain ${place.chain}`;
  const hook = place.hook === "htb" ? "parent 7570:" : place.hook;
  return `dev ${quote(device)} ${hook}${chain} protocol ${protocolText(place.protocol)} pref ${place.priority}`;
}

/** tc knows few protocols by name. */
function protocolText(protocol: number): string {
  const known = CONTROL_PROTOCOLS.some(({ etherType }) => etherType === protocol);
  return known ? `0x${protocol.toString(16).padStart(4, "0")}` : "all";
}

function classCommand(object: HtbClass): string {
  const rate = bytesPerSecondFromBits(object.rateBitsPerSecond);
  const ceil = bytesPerSecondFromBits(object.ceilBitsPerSecond);
  const burst = Math.round((object.bufferTicks / TICKS_PER_SECOND) * rate);
  const cburst = Math.round((object.cbufferTicks / TICKS_PER_SECOND) * ceil);
  return [
    `tc class replace dev ${quote(object.device)}`,
    `parent ${object.parentMinor === null ? "7570:" : handleText(object.parentMinor)}`,
    `classid ${handleText(object.minor)} htb`,
    `rate ${rate}bps ceil ${ceil}bps burst ${burst} cburst ${cburst}`,
    `prio ${object.prio} quantum ${object.quantumBytes}`,
  ].join(" ");
}

function queueText(queue: LeafQueue): string {
  switch (queue.type) {
    case "fq_codel":
      return `fq_codel flows ${queue.flows} limit ${queue.limitPackets}`;
    case "pfifo":
      return `pfifo limit ${queue.limitPackets}`;
    case "blackhole":
      return "blackhole";
  }
}

function handleText(minor: number): string {
  return `7570:${minor.toString(16)}`;
}

/** Interface names may hold nearly anything but '/' and white space (dev_valid_name). */
function quote(name: string): string {
  return /^[A-Za-z0-9_.:-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
}
