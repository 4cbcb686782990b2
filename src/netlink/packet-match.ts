/** What flower compares of a packet behind its Ethernet addresses, as far as we ask: see HostMatchFilter. */
import {
  formatPrefix,
  type Prefix,
  parsePrefix,
  prefixLength,
  prefixMask,
} from "../model/prefix.ts";
import type { Attributes } from "./attribute.ts";
import type { MessageBuilder } from "./message.ts";

/** include/uapi/linux/pkt_cls.h */
export const TCA_FLOWER_INDEV = 2;
const TCA_FLOWER_KEY_ETH_TYPE = 8;
const TCA_FLOWER_KEY_IP_PROTO = 9;
const TCA_FLOWER_KEY_VLAN_ID = 23;
const TCA_FLOWER_KEY_VLAN_ETH_TYPE = 25;
const SOURCE = {
  /** Value and mask. */
  ipv4: [10, 11],
  ipv6: [14, 15],
  tcp: [18, 35],
  udp: [20, 37],
  /** First and last port. */
  range: [87, 88],
} as const;
const DESTINATION = {
  ipv4: [12, 13],
  ipv6: [16, 17],
  tcp: [19, 36],
  udp: [21, 38],
  range: [89, 90],
} as const;

const ETH_P_8021Q = 0x8100;
const IPPROTO_UDP = 17;

export const PACKET_TYPES: readonly number[] = [
  TCA_FLOWER_INDEV,
  TCA_FLOWER_KEY_ETH_TYPE,
  TCA_FLOWER_KEY_IP_PROTO,
  TCA_FLOWER_KEY_VLAN_ID,
  TCA_FLOWER_KEY_VLAN_ETH_TYPE,
  ...Object.values(SOURCE).flat(),
  ...Object.values(DESTINATION).flat(),
];

/** Null is for what doesn't matter. */
export interface PacketMatch {
  /** The interface by which it came in. */
  readonly from: string | null;
  readonly vlanId: number | null;
  /** Behind the VLAN tag. */
  readonly etherType: number | null;
  readonly ipProtocol: number | null;
  /** `22` or `49152-49215`. */
  readonly sourcePorts: string | null;
  readonly destinationPorts: string | null;
  /** As formatPrefix writes it. */
  readonly source: string | null;
  readonly destination: string | null;
}

/**
 * Appends a match's attributes. The filter's own protocol is all: flower looks behind a VLAN tag by itself, so that one
 * filter takes a packet with and without one (fl_classify; __skb_flow_dissect goes on to what the tag holds).
 */
export function writePacketMatch(options: MessageBuilder, match: PacketMatch): void {
  const { from, vlanId, etherType, ipProtocol } = match;
  if (from !== null) options.text(TCA_FLOWER_INDEV, from);
  if (vlanId !== null) {
    options.attribute(TCA_FLOWER_KEY_ETH_TYPE, big16(ETH_P_8021Q));
    options.u16(TCA_FLOWER_KEY_VLAN_ID, vlanId);
    if (etherType !== null) options.attribute(TCA_FLOWER_KEY_VLAN_ETH_TYPE, big16(etherType));
  } else if (etherType !== null) options.attribute(TCA_FLOWER_KEY_ETH_TYPE, big16(etherType));
  if (ipProtocol !== null) options.u8(TCA_FLOWER_KEY_IP_PROTO, ipProtocol);
  writePrefix(options, SOURCE, match.source);
  writePrefix(options, DESTINATION, match.destination);
  writePorts(options, SOURCE, ipProtocol, match.sourcePorts);
  writePorts(options, DESTINATION, ipProtocol, match.destinationPorts);
}

/** The inverse; null for what writePacketMatch would not have written so. */
export function parsePacketMatch(options: Attributes): PacketMatch | null {
  const outer = parse16(options, TCA_FLOWER_KEY_ETH_TYPE);
  const tagged = options.has(TCA_FLOWER_KEY_VLAN_ID);
  const ipProtocol = options.u8(TCA_FLOWER_KEY_IP_PROTO);
  const source = parseMasked(options, SOURCE);
  const destination = parseMasked(options, DESTINATION);
  const sourcePorts = parsePorts(options, SOURCE, ipProtocol);
  const destinationPorts = parsePorts(options, DESTINATION, ipProtocol);
  const found = [source, destination, sourcePorts, destinationPorts];
  if (found.includes(UNREADABLE)) return null;
  return {
    from: options.text(TCA_FLOWER_INDEV),
    vlanId: options.u16(TCA_FLOWER_KEY_VLAN_ID),
    etherType: tagged ? parse16(options, TCA_FLOWER_KEY_VLAN_ETH_TYPE) : outer,
    ipProtocol,
    sourcePorts,
    destinationPorts,
    source,
    destination,
  };
}

type End = typeof SOURCE | typeof DESTINATION;

/** What no text of ours is. */
const UNREADABLE = "?";

function writePrefix(options: MessageBuilder, end: End, text: string | null): void {
  const prefix: Prefix | null = text === null ? null : parsePrefix(text);
  if (prefix === null) return;
  const [value, mask] = prefix.family === 4 ? end.ipv4 : end.ipv6;
  options.attribute(value, prefix.address);
  options.attribute(mask, prefixMask(prefix));
}

/** A single port is compared as it is; the kernel wants the last of a range to be above the first. */
function writePorts(
  options: MessageBuilder,
  end: End,
  ipProtocol: number | null,
  text: string | null,
): void {
  if (text === null) return;
  const [first = 0, last] = text.split("-").map(Number);
  if (last !== undefined) {
    options.attribute(end.range[0], big16(first));
    options.attribute(end.range[1], big16(last));
    return;
  }
  const [value, mask] = ipProtocol === IPPROTO_UDP ? end.udp : end.tcp;
  options.attribute(value, big16(first));
  options.attribute(mask, big16(0xffff));
}

function parseMasked(options: Attributes, end: End): string | null {
  for (const [family, [value, mask]] of [
    [4, end.ipv4],
    [6, end.ipv6],
  ] as const) {
    const address = options.bytes(value);
    if (address === null) continue;
    const length = prefixLength(options.bytes(mask) ?? new Uint8Array(0));
    if (length === null || address.length !== (family === 4 ? 4 : 16)) return UNREADABLE;
    return formatPrefix({ family, address, length });
  }
  return null;
}

function parsePorts(options: Attributes, end: End, ipProtocol: number | null): string | null {
  const [first, last] = end.range.map((type) => parse16(options, type));
  if (first !== null || last !== null) return `${first}-${last}`;
  const [value, mask] = ipProtocol === IPPROTO_UDP ? end.udp : end.tcp;
  const port = parse16(options, value);
  if (port === null) return null;
  return parse16(options, mask) === 0xffff ? String(port) : UNREADABLE;
}

/** Numbers of packets are in network order. */
function big16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 0xff);
}

function parse16(options: Attributes, type: number): number | null {
  const bytes = options.bytes(type);
  return bytes?.length === 2 ? ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0) : null;
}
