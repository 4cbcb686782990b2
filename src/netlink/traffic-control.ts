/** What qdiscs, classes and filters have in common: struct tcmsg, handles, and the attributes around it. */
import { HTB_MAJOR } from "../model/layout.ts";
import { Attributes, viewOf } from "./attribute.ts";
import { attributesOf, type Message, MessageBuilder } from "./message.ts";

/** include/uapi/linux/rtnetlink.h */
export const RTM_NEWQDISC = 36;
export const RTM_DELQDISC = 37;
export const RTM_GETQDISC = 38;
export const RTM_NEWTCLASS = 40;
export const RTM_DELTCLASS = 41;
export const RTM_GETTCLASS = 42;
export const RTM_NEWTFILTER = 44;
export const RTM_DELTFILTER = 45;
export const RTM_GETTFILTER = 46;

export const TCA_KIND = 1;
export const TCA_OPTIONS = 2;
export const TCA_STATS2 = 7;
export const TCA_CHAIN = 11;

/** include/uapi/linux/pkt_sched.h */
export const TC_H_ROOT = 0xffffffff;
export const TC_H_CLSACT = 0xfffffff1;
export const TC_H_MIN_INGRESS = 0xfffffff2;
export const TC_H_MIN_EGRESS = 0xfffffff3;

const TCMSG_BYTES = 20;

/** struct tcmsg. `info` is a filter's priority and protocol, a qdisc's reference count. */
export interface TrafficControlHeader {
  readonly ifindex: number;
  readonly handle: number;
  readonly parent: number;
  readonly info: number;
}

/** A received qdisc, class or filter before its kind is looked into. */
export interface TrafficControlMessage extends TrafficControlHeader {
  readonly kind: string;
  readonly attributes: Attributes;
  readonly options: Attributes | null;
}

/** `7570:minor` as the kernel holds it. */
export function classHandle(minor: number): number {
  return ((HTB_MAJOR << 16) | minor) >>> 0;
}

/** The minor of a handle below 7570:, or null. */
export function minorOfHandle(handle: number): number | null {
  return handle >>> 16 === HTB_MAJOR ? handle & 0xffff : null;
}

/** `7570:11` as tc prints it; `7570:` for a qdisc. */
export function formatHandle(handle: number): string {
  const minor = handle & 0xffff;
  return `${(handle >>> 16).toString(16)}:${minor === 0 ? "" : minor.toString(16)}`;
}

/** Starts a request about a qdisc, class or filter. */
export function trafficControlMessage(
  type: number,
  flags: number,
  header: TrafficControlHeader,
): MessageBuilder {
  const { ifindex, handle, parent, info } = header;
  return new MessageBuilder(type, flags).word(0).word(ifindex).word(handle).word(parent).word(info);
}

/**
 * Reads the common part.
 * @throws NetlinkError
 */
export function parseTrafficControl(message: Message): TrafficControlMessage {
  const attributeBytes = attributesOf("tc object", message.body, TCMSG_BYTES);
  const view = viewOf(message.body);
  const attributes = Attributes.parse("tc object", attributeBytes);
  const kind = attributes.text(TCA_KIND) ?? "";
  return {
    ifindex: view.getInt32(4, true),
    handle: view.getUint32(8, true),
    parent: view.getUint32(12, true),
    info: view.getUint32(16, true),
    kind,
    attributes,
    options: optionsOf(kind, attributes),
  };
}

/** fifos have a bare struct for options, others nested attributes; only kinds that we know are looked into. */
const NESTED_OPTIONS: ReadonlySet<string> = new Set([
  "htb",
  "fq_codel",
  "flower",
  "matchall",
  "u32",
]);

function optionsOf(kind: string, attributes: Attributes): Attributes | null {
  return NESTED_OPTIONS.has(kind) ? attributes.nested(TCA_OPTIONS) : null;
}
