/** Filters in clsact and in our HTB as the kernel holds them, of the three classifiers that we use. */
import { HOST_CHAIN, REPORTS_CHAIN, SOURCES_CHAIN } from "../model/filter-priority.ts";
import { type Mac, macFromBytes } from "../model/mac.ts";
import { type Action, parseActions, writeActions } from "./action.ts";
import { type Attributes, viewOf } from "./attribute.ts";
import { type Message, NLM_F_CREATE, NLM_F_DUMP } from "./message.ts";
import {
  PACKET_TYPES,
  type PacketMatch,
  parsePacketMatch,
  TCA_FLOWER_INDEV,
  writePacketMatch,
} from "./packet-match.ts";
import {
  classHandle,
  minorOfHandle,
  parseTrafficControl,
  RTM_DELTFILTER,
  RTM_GETTFILTER,
  RTM_NEWTFILTER,
  TC_H_MIN_EGRESS,
  TC_H_MIN_INGRESS,
  TCA_CHAIN,
  TCA_KIND,
  TCA_OPTIONS,
  trafficControlMessage,
} from "./traffic-control.ts";

/** include/uapi/linux/if_ether.h */
export const ETH_P_ALL = 0x0003;

/** include/uapi/linux/pkt_cls.h */
const TCA_FLOWER_CLASSID = 1;
export const TCA_FLOWER_ACT = 3;
const TCA_FLOWER_KEY_ETH_DST = 4;
const TCA_FLOWER_KEY_ETH_DST_MASK = 5;
const TCA_FLOWER_KEY_ETH_SRC = 6;
const TCA_FLOWER_KEY_ETH_SRC_MASK = 7;
const TCA_FLOWER_FLAGS = 22;
const TCA_FLOWER_IN_HW_COUNT = 86;
const TCA_MATCHALL_ACT = 2;
const TCA_MATCHALL_FLAGS = 3;
const TCA_MATCHALL_PCNT = 4;
const TCA_MATCHALL_PAD = 5;
const TCA_U32_HASH = 2;
const TCA_U32_SEL = 5;
const TCA_U32_ACT = 7;
const TCA_U32_PCNT = 9;
const TCA_U32_FLAGS = 11;
const TCA_U32_PAD = 12;
/** Flags of all classifiers; the kernel itself adds that a filter is not in hardware. */
const TCA_CLS_FLAGS_SKIP_HW = 1 << 0;
const TCA_CLS_FLAGS_NOT_IN_HW = 1 << 3;

const TC_U32_TERMINAL = 1;
const U32_SEL_BYTES = 16;
const U32_KEY_BYTES = 16;

/** Where frames meet filters: clsact's two, and the list of our HTB, for frames that have no class of its yet. */
export type Hook = "egress" | "ingress" | "htb";

/** One 32-bit comparison of u32, at an offset from the network header; values as they are on the wire. */
export interface U32Key {
  readonly mask: number;
  readonly value: number;
  readonly offset: number;
}

export type Match =
  | { readonly kind: "matchall" }
  | {
      readonly kind: "flower";
      readonly source: MaskedMac | null;
      readonly destination: MaskedMac | null;
    }
  /** Flower's, too: a source address by an interface. */
  | { readonly kind: "sender"; readonly from: string; readonly source: MaskedMac }
  /** Flower's, too: by what is behind the Ethernet addresses. */
  | { readonly kind: "packet"; readonly packet: PacketMatch }
  | { readonly kind: "u32"; readonly keys: readonly U32Key[] }
  /** Of another classifier, or with criteria that we never set. */
  | { readonly kind: "other"; readonly classifier: string };

export interface MaskedMac {
  readonly mac: Mac;
  readonly mask: Mac;
}

/** Where a filter stands. */
export interface FilterPlace {
  readonly ifindex: number;
  readonly hook: Hook;
  /** 0 for the one that every frame passes. */
  readonly chain: number;
  readonly priority: number;
  readonly protocol: number;
  /** u32: the whole handle, or its node part alone when adding. */
  readonly handle: number;
}

export interface Filter extends FilterPlace {
  readonly match: Match;
  readonly actions: readonly Action[];
  /** The class that a qdisc puts the frame into, its minor number; absent where none is named. */
  readonly classMinor?: number;
}

/** Asks for the filters of one hook. */
export function dumpFiltersMessage(ifindex: number, hook: Hook): Uint8Array {
  return trafficControlMessage(RTM_GETTFILTER, NLM_F_DUMP, {
    ifindex,
    handle: 0,
    parent: parentOf(hook),
    info: 0,
  }).finish();
}

/**
 * Adds a filter, or replaces without a gap the one with the same priority, protocol and handle (no NLM_F_EXCL).
 * skip_hw is always set: an offloaded filter would not change what our software path reads.
 */
export function setFilterMessage(filter: Filter): Uint8Array {
  const { match } = filter;
  const builder = placeMessage(RTM_NEWTFILTER, NLM_F_CREATE, filter).text(TCA_KIND, kindOf(match));
  return builder
    .nest(TCA_OPTIONS, (options) => {
      switch (match.kind) {
        case "matchall":
          writeActions(options, TCA_MATCHALL_ACT, filter.actions);
          options.u32(TCA_MATCHALL_FLAGS, TCA_CLS_FLAGS_SKIP_HW);
          break;
        case "flower":
          if (match.source !== null) {
            options.mac(TCA_FLOWER_KEY_ETH_SRC, match.source.mac);
            options.mac(TCA_FLOWER_KEY_ETH_SRC_MASK, match.source.mask);
          }
          if (match.destination !== null) {
            options.mac(TCA_FLOWER_KEY_ETH_DST, match.destination.mac);
            options.mac(TCA_FLOWER_KEY_ETH_DST_MASK, match.destination.mask);
          }
          options.u32(TCA_FLOWER_FLAGS, TCA_CLS_FLAGS_SKIP_HW);
          if (filter.classMinor !== undefined)
            options.u32(TCA_FLOWER_CLASSID, classHandle(filter.classMinor));
          writeActions(options, TCA_FLOWER_ACT, filter.actions);
          break;
        case "sender":
          options.text(TCA_FLOWER_INDEV, match.from);
          options.mac(TCA_FLOWER_KEY_ETH_SRC, match.source.mac);
          options.mac(TCA_FLOWER_KEY_ETH_SRC_MASK, match.source.mask);
          options.u32(TCA_FLOWER_FLAGS, TCA_CLS_FLAGS_SKIP_HW);
          writeActions(options, TCA_FLOWER_ACT, filter.actions);
          break;
        case "packet":
          writePacketMatch(options, match.packet);
          options.u32(TCA_FLOWER_FLAGS, TCA_CLS_FLAGS_SKIP_HW);
          writeActions(options, TCA_FLOWER_ACT, filter.actions);
          break;
        case "u32":
          options.attribute(TCA_U32_SEL, selector(match.keys));
          options.u32(TCA_U32_FLAGS, TCA_CLS_FLAGS_SKIP_HW);
          writeActions(options, TCA_U32_ACT, filter.actions);
          break;
        case "other":
          break;
      }
    })
    .finish();
}

/** Deletes one filter; with handle 0 all of its priority. @param kind the classifier's name */
export function deleteFilterMessage(place: FilterPlace, kind: string): Uint8Array {
  return placeMessage(RTM_DELTFILTER, 0, place).text(TCA_KIND, kind).finish();
}

/** The classifier's name in the kernel. */
export function kindOf(match: Match): string {
  if (match.kind === "packet" || match.kind === "sender") return "flower";
  return match.kind === "other" ? match.classifier : match.kind;
}

/**
 * Reads RTM_NEWTFILTER.
 * @returns null for what is no filter of our chains: heads of priorities, u32's hash tables, other chains, other qdiscs' lists
 * @throws NetlinkError
 */
export function parseFilter(message: Message): Filter | null {
  if (message.type !== RTM_NEWTFILTER) return null;
  const found = parseTrafficControl(message);
  const hook = hookOf(found.parent);
  const chain = found.attributes.u32(TCA_CHAIN) ?? 0;
  if (hook === null || ![0, REPORTS_CHAIN, HOST_CHAIN, SOURCES_CHAIN].includes(chain)) return null;
  if (found.handle === 0 || !found.attributes.has(TCA_OPTIONS)) return null;
  // A u32 hash table has a handle without a node part.
  if (found.kind === "u32" && (found.handle & 0xfff) === 0) return null;
  const { match, actions, classMinor } = parseMatch(found.kind, found.options);
  return {
    ifindex: found.ifindex,
    hook,
    chain,
    priority: found.info >>> 16,
    protocol: swap16(found.info & 0xffff),
    handle: found.handle,
    match,
    actions,
    ...(classMinor === undefined ? {} : { classMinor }),
  };
}

/** Where each classifier has its actions, whatever else it holds. */
const ACTIONS_TYPE: ReadonlyMap<string, number> = new Map([
  ["matchall", TCA_MATCHALL_ACT],
  ["flower", TCA_FLOWER_ACT],
  ["u32", TCA_U32_ACT],
]);

function parseMatch(
  kind: string,
  options: Attributes | null,
): Pick<Filter, "match" | "actions" | "classMinor"> {
  const other = {
    match: { kind: "other", classifier: kind } as const,
    actions: parseActions(options?.nested(ACTIONS_TYPE.get(kind) ?? -1) ?? null),
  };
  switch (kind) {
    case "matchall": {
      const known = [TCA_MATCHALL_ACT, TCA_MATCHALL_FLAGS, TCA_MATCHALL_PCNT, TCA_MATCHALL_PAD];
      if (options === null || !isSoftwareOnly(options, TCA_MATCHALL_FLAGS, known)) return other;
      return {
        match: { kind: "matchall" },
        actions: parseActions(options.nested(TCA_MATCHALL_ACT)),
      };
    }
    case "flower": {
      const match = options === null ? null : parseFlower(options);
      if (options === null || match === null) return other;
      const actions = parseActions(options.nested(TCA_FLOWER_ACT));
      const classid = options.u32(TCA_FLOWER_CLASSID);
      // A class of another qdisc is none that we name.
      return classid === null
        ? { match, actions }
        : { match, actions, classMinor: minorOfHandle(classid) ?? 0 };
    }
    case "u32": {
      const known = [
        TCA_U32_HASH,
        TCA_U32_SEL,
        TCA_U32_ACT,
        TCA_U32_PCNT,
        TCA_U32_FLAGS,
        TCA_U32_PAD,
      ];
      const keys =
        options === null || !isSoftwareOnly(options, TCA_U32_FLAGS, known)
          ? null
          : parseSelector(options);
      if (options === null || keys === null) return other;
      return { match: { kind: "u32", keys }, actions: parseActions(options.nested(TCA_U32_ACT)) };
    }
    default:
      return other;
  }
}

/** By addresses, by a source address and an interface, or by what is behind addresses; null for anything else. */
function parseFlower(options: Attributes): Match | null {
  const common = [TCA_FLOWER_CLASSID, TCA_FLOWER_ACT, TCA_FLOWER_FLAGS, TCA_FLOWER_IN_HW_COUNT];
  const addresses = [
    TCA_FLOWER_KEY_ETH_DST,
    TCA_FLOWER_KEY_ETH_DST_MASK,
    TCA_FLOWER_KEY_ETH_SRC,
    TCA_FLOWER_KEY_ETH_SRC_MASK,
  ];
  if (isSoftwareOnly(options, TCA_FLOWER_FLAGS, [...common, ...addresses])) {
    return {
      kind: "flower",
      source: maskedMac(options, TCA_FLOWER_KEY_ETH_SRC, TCA_FLOWER_KEY_ETH_SRC_MASK),
      destination: maskedMac(options, TCA_FLOWER_KEY_ETH_DST, TCA_FLOWER_KEY_ETH_DST_MASK),
    };
  }
  const sender = [TCA_FLOWER_INDEV, TCA_FLOWER_KEY_ETH_SRC, TCA_FLOWER_KEY_ETH_SRC_MASK];
  if (
    isSoftwareOnly(options, TCA_FLOWER_FLAGS, [...common, ...sender]) &&
    options.has(TCA_FLOWER_KEY_ETH_SRC)
  ) {
    const from = options.text(TCA_FLOWER_INDEV);
    const source = maskedMac(options, TCA_FLOWER_KEY_ETH_SRC, TCA_FLOWER_KEY_ETH_SRC_MASK);
    return from === null || source === null ? null : { kind: "sender", from, source };
  }
  if (!isSoftwareOnly(options, TCA_FLOWER_FLAGS, [...common, ...PACKET_TYPES])) return null;
  const packet = parsePacketMatch(options);
  return packet === null ? null : { kind: "packet", packet };
}

/** Whether nothing but what we know is set, and the flags are ours. */
function isSoftwareOnly(
  options: Attributes,
  flagsType: number,
  knownTypes: readonly number[],
): boolean {
  const flags = (options.u32(flagsType) ?? 0) & ~TCA_CLS_FLAGS_NOT_IN_HW;
  return (
    flags === TCA_CLS_FLAGS_SKIP_HW && options.types().every((type) => knownTypes.includes(type))
  );
}

function maskedMac(options: Attributes, type: number, maskType: number): MaskedMac | null {
  const mac = options.bytes(type);
  const mask = options.bytes(maskType);
  if (mac?.length !== 6 || mask?.length !== 6) return null;
  return { mac: macFromBytes(mac), mask: macFromBytes(mask) };
}

/** struct tc_u32_sel; masks and values are in network order, offsets in the host's. */
function selector(keys: readonly U32Key[]): Uint8Array {
  const bytes = new Uint8Array(U32_SEL_BYTES + keys.length * U32_KEY_BYTES);
  const view = viewOf(bytes);
  view.setUint8(0, TC_U32_TERMINAL);
  view.setUint8(2, keys.length);
  for (const [index, key] of keys.entries()) {
    const at = U32_SEL_BYTES + index * U32_KEY_BYTES;
    view.setUint32(at, key.mask);
    view.setUint32(at + 4, key.value);
    view.setInt32(at + 8, key.offset, true);
  }
  return bytes;
}

function parseSelector(options: Attributes): readonly U32Key[] | null {
  const view = options.struct(TCA_U32_SEL, U32_SEL_BYTES);
  if (view === null || view.getUint8(0) !== TC_U32_TERMINAL) return null;
  const count = view.getUint8(2);
  if (view.byteLength < U32_SEL_BYTES + count * U32_KEY_BYTES) return null;
  return Array.from({ length: count }, (_, index) => {
    const at = U32_SEL_BYTES + index * U32_KEY_BYTES;
    return {
      mask: view.getUint32(at),
      value: view.getUint32(at + 4),
      offset: view.getInt32(at + 8, true),
    };
  });
}

function placeMessage(type: number, flags: number, place: FilterPlace) {
  return trafficControlMessage(type, flags, {
    ifindex: place.ifindex,
    handle: place.handle,
    parent: parentOf(place.hook),
    info: ((place.priority << 16) | swap16(place.protocol)) >>> 0,
  }).u32(TCA_CHAIN, place.chain);
}

const PARENTS: Readonly<Record<Hook, number>> = {
  egress: TC_H_MIN_EGRESS,
  ingress: TC_H_MIN_INGRESS,
  htb: classHandle(0),
};

function parentOf(hook: Hook): number {
  return PARENTS[hook];
}

function hookOf(parent: number): Hook | null {
  for (const hook of ["egress", "ingress", "htb"] as const)
    if (PARENTS[hook] === parent) return hook;
  return null;
}

/** The protocol is in network order within a host-order word. */
function swap16(value: number): number {
  return ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
}
