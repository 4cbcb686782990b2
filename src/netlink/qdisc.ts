/** Queueing disciplines: our HTB root, clsact, and the queue below each leaf class. */
import type { LeafQueue } from "../model/kernel.ts";
import { HTB_MAJOR } from "../model/layout.ts";
import { type Message, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE } from "./message.ts";
import { parseStats, type Stats } from "./stats.ts";
import {
  classHandle,
  parseTrafficControl,
  RTM_DELQDISC,
  RTM_GETQDISC,
  RTM_NEWQDISC,
  TC_H_CLSACT,
  TC_H_ROOT,
  TCA_KIND,
  TCA_OPTIONS,
  trafficControlMessage,
} from "./traffic-control.ts";

const ROOT_HANDLE = (HTB_MAJOR << 16) >>> 0;
/** clsact's only handle (tc_modify_qdisc). */
const CLSACT_HANDLE = 0xffff0000;

/** include/uapi/linux/pkt_sched.h */
const TCA_HTB_INIT = 2;
const TCA_FQ_CODEL_LIMIT = 2;
const TCA_FQ_CODEL_FLOWS = 5;
/** struct tc_htb_glob: the version that the kernel insists on, and the usual divisor rate/quantum. */
const HTB_VERSION = 3;
const HTB_RATE2QUANTUM = 10;
const HTB_GLOB_BYTES = 20;

/** A qdisc as dumped. */
export interface Qdisc {
  readonly ifindex: number;
  readonly handle: number;
  readonly parent: number;
  readonly kind: string;
  /** HTB's default class minor; null for other kinds. */
  readonly defaultMinor: number | null;
  /** Frames that HTB passed unshaped; must not grow. Null for other kinds. */
  readonly directPackets: number | null;
  /** As a leaf of ours; null where it is of another kind. */
  readonly queue: LeafQueue | null;
  readonly stats: Stats | null;
}

/** Asks for all qdiscs of all devices: the kernel has no filter by device here (tc_dump_qdisc). */
export function dumpQdiscsMessage(): Uint8Array {
  return trafficControlMessage(RTM_GETQDISC, NLM_F_DUMP, header(0, 0, 0)).finish();
}

/**
 * Adds root `htb 7570: default MINOR`. Without NLM_F_REPLACE, so that a foreign root qdisc (one with a handle)
 * makes the kernel refuse with EEXIST, while the device's default one gives way.
 */
export function addHtbRootMessage(ifindex: number, defaultMinor: number): Uint8Array {
  return trafficControlMessage(RTM_NEWQDISC, NLM_F_CREATE, header(ifindex, ROOT_HANDLE, TC_H_ROOT))
    .text(TCA_KIND, "htb")
    .nest(TCA_OPTIONS, (options) =>
      options.words(TCA_HTB_INIT, [HTB_VERSION, HTB_RATE2QUANTUM, defaultMinor, 0, 0]),
    )
    .finish();
}

/** Deletes our root; the device gets its default qdisc back. */
export function deleteHtbRootMessage(ifindex: number): Uint8Array {
  return trafficControlMessage(RTM_DELQDISC, 0, header(ifindex, ROOT_HANDLE, TC_H_ROOT)).finish();
}

/** Adds clsact, or leaves the one that is there. */
export function addClsactMessage(ifindex: number): Uint8Array {
  return trafficControlMessage(
    RTM_NEWQDISC,
    NLM_F_CREATE,
    header(ifindex, CLSACT_HANDLE, TC_H_CLSACT),
  )
    .text(TCA_KIND, "clsact")
    .finish();
}

/** Deletes clsact with all filters in it, whoever's they are. */
export function deleteClsactMessage(ifindex: number): Uint8Array {
  return trafficControlMessage(RTM_DELQDISC, 0, header(ifindex, CLSACT_HANDLE, TC_H_CLSACT))
    .text(TCA_KIND, "clsact")
    .finish();
}

/**
 * Sets the queue of leaf class 7570:minor where there is none yet or one of the same type.
 * @param keepsFlows leave fq_codel's flows alone: it refuses to be told again (fq_codel_change)
 */
export function setLeafMessage(
  ifindex: number,
  minor: number,
  queue: LeafQueue,
  keepsFlows = false,
): Uint8Array {
  const message = trafficControlMessage(
    RTM_NEWQDISC,
    NLM_F_CREATE | NLM_F_REPLACE,
    header(ifindex, leafHandle(minor), classHandle(minor)),
  ).text(TCA_KIND, queue.type);
  switch (queue.type) {
    case "fq_codel":
      return message
        .nest(TCA_OPTIONS, (options) => {
          options.u32(TCA_FQ_CODEL_LIMIT, queue.limitPackets);
          if (!keepsFlows) options.u32(TCA_FQ_CODEL_FLOWS, queue.flows);
        })
        .finish();
    case "pfifo":
      return message.u32(TCA_OPTIONS, queue.limitPackets).finish();
    case "blackhole":
      return message.finish();
  }
}

/** Deletes a leaf's queue; HTB puts a plain pfifo in its place (htb_graft). */
export function deleteLeafMessage(ifindex: number, minor: number): Uint8Array {
  return trafficControlMessage(RTM_DELQDISC, 0, header(ifindex, 0, classHandle(minor))).finish();
}

/** Reads RTM_NEWQDISC; null for other messages. @throws NetlinkError */
export function parseQdisc(message: Message): Qdisc | null {
  if (message.type !== RTM_NEWQDISC) return null;
  const found = parseTrafficControl(message);
  const { attributes, options, kind } = found;
  const glob = kind === "htb" ? (options?.struct(TCA_HTB_INIT, HTB_GLOB_BYTES) ?? null) : null;
  return {
    ifindex: found.ifindex,
    handle: found.handle,
    parent: found.parent,
    kind,
    defaultMinor: glob?.getUint32(8, true) ?? null,
    directPackets: glob?.getUint32(16, true) ?? null,
    queue: parseLeafQueue(kind, found),
    stats: parseStats(attributes),
  };
}

function parseLeafQueue(
  kind: string,
  { attributes, options }: ReturnType<typeof parseTrafficControl>,
): LeafQueue | null {
  switch (kind) {
    case "fq_codel": {
      const flows = options?.u32(TCA_FQ_CODEL_FLOWS) ?? null;
      const limitPackets = options?.u32(TCA_FQ_CODEL_LIMIT) ?? null;
      return flows === null || limitPackets === null
        ? null
        : { type: "fq_codel", flows, limitPackets };
    }
    case "pfifo": {
      const limitPackets = attributes.u32(TCA_OPTIONS);
      return limitPackets === null ? null : { type: "pfifo", limitPackets };
    }
    case "blackhole":
      return { type: "blackhole" };
    default:
      return null;
  }
}

/**
 * A leaf's handle: its class's minor as major. Minor 7570 would be the root's own handle; 1 is free, as minor 1
 * is the inner class and never has a queue.
 */
export function leafHandle(minor: number): number {
  return ((minor === HTB_MAJOR ? 1 : minor) << 16) >>> 0;
}

function header(ifindex: number, handle: number, parent: number) {
  return { ifindex, handle, parent, info: 0 };
}
