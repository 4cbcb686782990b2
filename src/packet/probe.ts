/**
 * Probes: the frames that an uplink asks with, and what can be read from those that come back. Pure.
 * IPv4: an ARP request from 0.0.0.0, as RFC 5227's probe, which is answered and changes nobody's table. IPv6: a neighbour
 * solicitation from the link-local address of the probe's MAC, which is answered to that MAC alone (RFC 4861, 7.2.4).
 * Between a host's uplinks: a frame of IEEE 802's local experimental ethertype.
 */
import { type Mac, macBytes, macFromBytes } from "../model/mac.ts";
import { ETHERTYPE_VLAN } from "./announcement.ts";

/** IEEE 802, 9.2.4: for use within one organisation's network. */
export const ETHERTYPE_BETWEEN = 0x88b5;
const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;

/** IEEE 802.3: 64 bytes less the checksum, which the NIC adds. */
const LEAST_FRAME_BYTES = 60;
const ETHERNET_BYTES = 14;
const ARP_BYTES = 28;
const IPV6_BYTES = 40;
/** ICMPv6 header, the target, and the option with a link-layer address. */
const NEIGHBOUR_BYTES = 32;
const ICMPV6 = 58;
/** RFC 4861: what has another was forwarded, and isn't believed. */
const HOP_LIMIT = 255;
const SOLICITATION = 135;
const ADVERTISEMENT = 136;
const SOURCE_LINK_ADDRESS = 1;
const TARGET_LINK_ADDRESS = 2;
/** Solicited and override. */
const ADVERTISEMENT_FLAGS = 0x60;
const ARP_REQUEST = 1;
const ARP_REPLY = 2;
const MAGIC = "uplinkd probe";

/** What a frame that came back says. */
export type Heard =
  /** An address answered; `mac` has it. */
  | { readonly kind: "answer"; readonly address: Uint8Array; readonly mac: Mac }
  /** Another uplink's probe, from its MAC. */
  | { readonly kind: "uplink"; readonly mac: Mac }
  /** A gateway looks whether the link-local address that asked it is still there. */
  | { readonly kind: "asked"; readonly by: Uint8Array; readonly mac: Mac }
  /** Anything else. */
  | { readonly kind: "other" };

/**
 * Asks for an address.
 * @param sender the probe's MAC
 * @param source an IPv4 address of its own; null for 0.0.0.0. Without meaning for IPv6
 * @param known who had the address last: asked alone, not by broadcast
 */
export function targetProbe(
  sender: Mac,
  target: Uint8Array,
  vlanId: number,
  source: Uint8Array | null,
  known: Mac | null,
): Uint8Array {
  return target.length === 4
    ? arpRequest(sender, target, vlanId, source, known)
    : solicitation(sender, target, vlanId, known);
}

/** One uplink's probe to another. */
export function betweenProbe(sender: Mac, to: Mac, vlanId: number): Uint8Array {
  const body = new TextEncoder().encode(MAGIC);
  return ethernet(to, sender, vlanId, ETHERTYPE_BETWEEN, body);
}

/** The answer to a gateway that looks for the address that asked it. */
export function neighbourAdvertisement(
  sender: Mac,
  to: Uint8Array,
  toMac: Mac,
  vlanId: number,
): Uint8Array {
  const own = linkLocalAddress(sender);
  const body = neighbour(ADVERTISEMENT, own, to, own, TARGET_LINK_ADDRESS, sender);
  return ethernet(toMac, sender, vlanId, ETHERTYPE_IPV6, body);
}

/** fe80::/64 and the MAC as RFC 4291, appendix A, has it. */
export function linkLocalAddress(mac: Mac): Uint8Array {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = macBytes(mac);
  return Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f);
}

/**
 * Reads what came in; its VLAN tag is gone by then.
 * @param own the MAC that the probes of this uplink come from
 */
export function readHeard(frame: Uint8Array, own: Mac): Heard {
  const other = { kind: "other" } as const;
  if (frame.length < ETHERNET_BYTES) return other;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const mac = macFromBytes(frame.slice(6, 12));
  const body = frame.subarray(ETHERNET_BYTES);
  switch (view.getUint16(12)) {
    case ETHERTYPE_BETWEEN:
      return { kind: "uplink", mac };
    case ETHERTYPE_ARP:
      if (body.length < ARP_BYTES || view.getUint16(ETHERNET_BYTES + 6) !== ARP_REPLY) return other;
      return { kind: "answer", address: body.slice(14, 18), mac: macFromBytes(body.slice(8, 14)) };
    case ETHERTYPE_IPV6: {
      if (body.length < IPV6_BYTES + 24 || body[6] !== ICMPV6 || body[7] !== HOP_LIMIT)
        return other;
      const target = body.slice(IPV6_BYTES + 8, IPV6_BYTES + 24);
      if (body[IPV6_BYTES] === ADVERTISEMENT) return { kind: "answer", address: target, mac };
      const isForUs = sameBytes(target, linkLocalAddress(own));
      if (body[IPV6_BYTES] !== SOLICITATION || !isForUs) return other;
      return { kind: "asked", by: body.slice(8, 24), mac };
    }
    default:
      return other;
  }
}

function arpRequest(
  sender: Mac,
  target: Uint8Array,
  vlanId: number,
  source: Uint8Array | null,
  known: Mac | null,
): Uint8Array {
  const body = new Uint8Array(ARP_BYTES);
  const view = new DataView(body.buffer);
  view.setUint16(0, 1);
  view.setUint16(2, 0x0800);
  body[4] = 6;
  body[5] = 4;
  view.setUint16(6, ARP_REQUEST);
  body.set(macBytes(sender), 8);
  if (source !== null) body.set(source, 14);
  body.set(target, 24);
  const to = known ?? ("ff:ff:ff:ff:ff:ff" as Mac);
  return ethernet(to, sender, vlanId, ETHERTYPE_ARP, body);
}

function solicitation(
  sender: Mac,
  target: Uint8Array,
  vlanId: number,
  known: Mac | null,
): Uint8Array {
  const [x = 0, y = 0, z = 0] = target.subarray(13);
  const group = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, x, y, z);
  const to = known === null ? group : target;
  const body = neighbour(
    SOLICITATION,
    linkLocalAddress(sender),
    to,
    target,
    SOURCE_LINK_ADDRESS,
    sender,
  );
  const groupMac = macFromBytes(Uint8Array.of(0x33, 0x33, 0xff, x, y, z));
  return ethernet(known ?? groupMac, sender, vlanId, ETHERTYPE_IPV6, body);
}

function neighbour(
  type: number,
  source: Uint8Array,
  destination: Uint8Array,
  target: Uint8Array,
  option: number,
  mac: Mac,
): Uint8Array {
  const packet = new Uint8Array(IPV6_BYTES + NEIGHBOUR_BYTES);
  const view = new DataView(packet.buffer);
  view.setUint32(0, 0x60000000);
  view.setUint16(4, NEIGHBOUR_BYTES);
  packet[6] = ICMPV6;
  packet[7] = HOP_LIMIT;
  packet.set(source, 8);
  packet.set(destination, 24);
  packet[IPV6_BYTES] = type;
  if (type === ADVERTISEMENT) packet[IPV6_BYTES + 4] = ADVERTISEMENT_FLAGS;
  packet.set(target, IPV6_BYTES + 8);
  packet[IPV6_BYTES + 24] = option;
  packet[IPV6_BYTES + 25] = 1;
  packet.set(macBytes(mac), IPV6_BYTES + 26);
  view.setUint16(IPV6_BYTES + 2, checksum(packet));
  return packet;
}

/** RFC 8200, 8.1: over the addresses, the length, the next header, and the message with a checksum of 0. */
function checksum(packet: Uint8Array): number {
  const view = new DataView(packet.buffer);
  let sum = NEIGHBOUR_BYTES + ICMPV6;
  for (let at = 8; at < packet.length; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function ethernet(
  to: Mac,
  from: Mac,
  vlanId: number,
  etherType: number,
  body: Uint8Array,
): Uint8Array {
  const tagBytes = vlanId === 0 ? 0 : 4;
  const least = LEAST_FRAME_BYTES + tagBytes;
  const frame = new Uint8Array(Math.max(least, ETHERNET_BYTES + tagBytes + body.length));
  const view = new DataView(frame.buffer);
  frame.set(macBytes(to), 0);
  frame.set(macBytes(from), 6);
  if (vlanId !== 0) {
    view.setUint16(12, ETHERTYPE_VLAN);
    view.setUint16(14, vlanId);
  }
  view.setUint16(12 + tagBytes, etherType);
  frame.set(body, ETHERNET_BYTES + tagBytes);
  return frame;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
