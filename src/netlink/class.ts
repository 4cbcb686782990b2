/** HTB classes below our root 7570:. */
import type { HtbClass } from "../model/kernel.ts";
import { bitsPerSecondFromBytes, bytesPerSecondFromBits } from "../model/units.ts";
import { type Message, NLM_F_CREATE, NLM_F_DUMP } from "./message.ts";
import { parseStats, type Stats } from "./stats.ts";
import {
  classHandle,
  minorOfHandle,
  parseTrafficControl,
  RTM_DELTCLASS,
  RTM_GETTCLASS,
  RTM_NEWTCLASS,
  TC_H_ROOT,
  TCA_KIND,
  TCA_OPTIONS,
  trafficControlMessage,
} from "./traffic-control.ts";

/** include/uapi/linux/pkt_sched.h */
const TCA_HTB_PARMS = 1;
const TCA_HTB_RATE64 = 6;
const TCA_HTB_CEIL64 = 7;
/** struct tc_htb_opt: two tc_ratespec of 12 bytes, then buffer, cbuffer, quantum, level, prio; see parameters. */
const HTB_OPT_BYTES = 44;
/** With a known link layer the kernel computes by itself and needs no 2 KiB of rate tables (htb_change_class). */
const TC_LINKLAYER_ETHERNET = 1;
const MAX_RATE32 = 0xffffffff;

/** A class as dumped. */
export interface DumpedClass {
  readonly ifindex: number;
  readonly minor: number;
  /** null: directly below the qdisc. */
  readonly parentMinor: number | null;
  readonly rateBitsPerSecond: number;
  readonly ceilBitsPerSecond: number;
  readonly bufferTicks: number;
  readonly cbufferTicks: number;
  readonly prio: number;
  readonly quantumBytes: number;
  readonly stats: Stats | null;
}

/** Asks for one device's classes, with their statistics. */
export function dumpClassesMessage(ifindex: number): Uint8Array {
  return trafficControlMessage(RTM_GETTCLASS, NLM_F_DUMP, {
    ifindex,
    handle: 0,
    parent: 0,
    info: 0,
  }).finish();
}

/** Adds a class or changes the one with its minor. A change of parent is ignored by HTB: delete and add. */
export function setClassMessage(ifindex: number, object: HtbClass): Uint8Array {
  const rate = bytesPerSecondFromBits(object.rateBitsPerSecond);
  const ceil = bytesPerSecondFromBits(object.ceilBitsPerSecond);
  return trafficControlMessage(RTM_NEWTCLASS, NLM_F_CREATE, {
    ifindex,
    handle: classHandle(object.minor),
    parent: classHandle(object.parentMinor ?? 0),
    info: 0,
  })
    .text(TCA_KIND, "htb")
    .nest(TCA_OPTIONS, (options) => {
      if (rate > MAX_RATE32) options.u64(TCA_HTB_RATE64, BigInt(rate));
      if (ceil > MAX_RATE32) options.u64(TCA_HTB_CEIL64, BigInt(ceil));
      options.words(TCA_HTB_PARMS, parameters(object, rate, ceil));
    })
    .finish();
}

/** Deletes a class with its queue. */
export function deleteClassMessage(ifindex: number, minor: number): Uint8Array {
  return trafficControlMessage(RTM_DELTCLASS, 0, {
    ifindex,
    handle: classHandle(minor),
    parent: 0,
    info: 0,
  }).finish();
}

/** Reads RTM_NEWTCLASS; null for classes that aren't of our HTB. @throws NetlinkError */
export function parseClass(message: Message): DumpedClass | null {
  if (message.type !== RTM_NEWTCLASS) return null;
  const found = parseTrafficControl(message);
  const minor = minorOfHandle(found.handle);
  const parms = found.options?.struct(TCA_HTB_PARMS, HTB_OPT_BYTES) ?? null;
  if (found.kind !== "htb" || minor === null || parms === null) return null;
  const rate = Number(found.options?.u64(TCA_HTB_RATE64) ?? parms.getUint32(8, true));
  const ceil = Number(found.options?.u64(TCA_HTB_CEIL64) ?? parms.getUint32(20, true));
  return {
    ifindex: found.ifindex,
    minor,
    // The kernel shows TC_H_ROOT for a class right below the qdisc (htb_dump_class).
    parentMinor: found.parent === TC_H_ROOT ? null : minorOfHandle(found.parent) || null,
    rateBitsPerSecond: bitsPerSecondFromBytes(rate),
    ceilBitsPerSecond: bitsPerSecondFromBytes(ceil),
    bufferTicks: parms.getUint32(24, true),
    cbufferTicks: parms.getUint32(28, true),
    quantumBytes: parms.getUint32(32, true),
    prio: parms.getUint32(40, true),
    stats: parseStats(found.attributes),
  };
}

/** struct tc_htb_opt. Of a tc_ratespec: cell_log, linklayer, overhead; cell_align, mpu; rate. */
function parameters(object: HtbClass, rate: number, ceil: number): readonly number[] {
  const linkLayer = TC_LINKLAYER_ETHERNET << 8;
  const limits = [
    linkLayer,
    0,
    Math.min(rate, MAX_RATE32),
    linkLayer,
    0,
    Math.min(ceil, MAX_RATE32),
  ];
  const { bufferTicks, cbufferTicks, quantumBytes, prio } = object;
  return [...limits, bufferTicks, cbufferTicks, quantumBytes, 0, prio];
}
