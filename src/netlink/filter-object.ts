/**
 * Our filters between the model's words and the kernel's: what each object looks like as filters, and which object
 * a dumped filter is. The way back compares with the way there, so that whatever isn't exactly as we write it
 * comes out as unknown.
 */
import {
  chainOf,
  FILTER_PRIORITY,
  FORMER_VNIC_PRIORITY,
  HOST_CHAIN,
  MAX_HOST_MATCHES,
  SOURCES_CHAIN,
} from "../model/filter-priority.ts";
import type {
  CatchAllFilter,
  ControlFilter,
  DeclaredFilter,
  ForgedFilter,
  HostMatchFilter,
  HostSourceFilter,
  InboundFilter,
  PassedOnFilter,
  ProbeGuard,
  QueueResetFilter,
  RedirectFilter,
  ReflectionFilter,
  ReportsFilter,
  UnknownFilter,
  VnicFilter,
} from "../model/kernel.ts";
import { CONTROL_PROTOCOLS, LAYOUT } from "../model/layout.ts";
import type { Mac } from "../model/mac.ts";
import { bytesPerSecondFromBits } from "../model/units.ts";
import {
  gotoChain,
  TC_ACT_CONTINUE,
  TC_ACT_DROP,
  TC_ACT_OK,
  TC_ACT_PIPE,
  TC_ACT_STOLEN,
} from "./action.ts";
import {
  ETH_P_ALL,
  type Filter,
  type FilterPlace,
  type Hook,
  kindOf,
  type MaskedMac,
  type U32Key,
} from "./filter.ts";
import type { PacketMatch } from "./packet-match.ts";
import { skbedit } from "./skbedit.ts";
import { vnicActions } from "./vnic-filter.ts";

export type FilterObject =
  | CatchAllFilter
  | VnicFilter
  | ReportsFilter
  | PassedOnFilter
  | ForgedFilter
  | DeclaredFilter
  | HostSourceFilter
  | HostMatchFilter
  | ReflectionFilter
  | RedirectFilter
  | InboundFilter
  | ProbeGuard
  | ControlFilter
  | QueueResetFilter;

const EXACT = "ff:ff:ff:ff:ff:ff" as Mac;
/** 01:80:c2:00:00:00 to :0f, which bridges never forward (IEEE 802.1Q, table 8-1). */
const LINK_LOCAL: MaskedMac = {
  mac: "01:80:c2:00:00:00" as Mac,
  mask: "ff:ff:ff:ff:ff:f0" as Mac,
};
const ANY_PACKET: PacketMatch = {
  from: null,
  vlanId: null,
  etherType: null,
  ipProtocol: null,
  sourcePorts: null,
  destinationPorts: null,
  source: null,
  destination: null,
};
/** All MACs of a host's block. */
const BLOCK = "ff:ff:ff:ff:ff:00" as Mac;
/** The priority of a frame that no qdisc takes for a class. */
export const NO_CLASS = 0;
/** The handle of filters of which a priority has only one. */
const SINGLE_HANDLE = 1;

/**
 * IGMP: ethertype 0x0800 (two bytes before the network header; keys are read four at a time), protocol 2.
 * MLD: ethertype 0x86dd, next header hop-by-hop (0), and behind it ICMPv6 (58): a host sends no other ICMPv6
 * behind hop-by-hop options, as MLD needs them for its router alert (RFC 2710, RFC 3810).
 */
const REPORT_KEYS: readonly (readonly U32Key[])[] = [
  [
    { mask: 0x0000ffff, value: 0x00000800, offset: -4 },
    { mask: 0x00ff0000, value: 0x00020000, offset: 8 },
  ],
  [
    { mask: 0x0000ffff, value: 0x000086dd, offset: -4 },
    { mask: 0x0000ff00, value: 0x00000000, offset: 4 },
    { mask: 0xff000000, value: 0x3a000000, offset: 40 },
  ],
];

/** What an object looks like in the kernel. @param ifindex of the object's device */
export function filtersOf(object: FilterObject, ifindex: number): readonly Filter[] {
  const place = placeOf(object, ifindex);
  switch (object.kind) {
    case "catch-all":
      return [
        {
          ...place,
          match: { kind: "matchall" },
          actions: [
            object.minor === null
              ? { ...skbedit(TC_ACT_CONTINUE, null, object.queueId), priority: NO_CLASS }
              : skbedit(TC_ACT_CONTINUE, object.minor, object.queueId),
          ],
        },
      ];
    case "vnic": {
      const source = exactly(object.mac);
      const byAddress = { kind: "flower", source, destination: null } as const;
      const { from } = object;
      if (from === undefined) return [{ ...place, match: byAddress, actions: vnicActions(object) }];
      // What frames are led to stands before they are.
      return [
        {
          ...senderPlace(object, ifindex),
          match: from === null || from === "" ? byAddress : { kind: "sender", from, source },
          actions: vnicActions(object),
        },
        {
          ...place,
          match: byAddress,
          actions: [{ kind: "gact", control: gotoChain(SOURCES_CHAIN) }],
        },
      ];
    }
    case "reports":
      return REPORT_KEYS.map((keys, index) => ({
        ...place,
        handle: index + 1,
        match: { kind: "u32", keys },
        actions: [
          ...object.copyTo.map((to) => ({
            kind: "mirred-egress-mirror" as const,
            ifindex: to,
            control: TC_ACT_PIPE,
          })),
          { kind: "gact", control: TC_ACT_OK },
        ],
      }));
    case "passed-on":
    case "forged":
      return [
        {
          ...place,
          match:
            object.from === null
              ? { kind: "flower", source: null, destination: null }
              : { kind: "packet", packet: { ...ANY_PACKET, from: object.from } },
          actions: [{ kind: "gact", control: object.drops ? TC_ACT_DROP : TC_ACT_OK }],
        },
      ];
    case "declared": {
      const { from, mac, minor, queueId } = object;
      const source = exactly(mac);
      return [
        {
          ...place,
          match:
            from === null
              ? { kind: "flower", source, destination: null }
              : { kind: "sender", from, source },
          actions: [skbedit(TC_ACT_OK, minor, queueId)],
        },
      ];
    }
    case "host-source":
      return [
        {
          ...place,
          match: { kind: "flower", source: exactly(object.mac), destination: null },
          actions: [{ kind: "gact", control: gotoChain(HOST_CHAIN) }],
        },
      ];
    case "host-match": {
      const { vlanId, etherType, ipProtocol } = object;
      const { sourcePorts, destinationPorts, source, destination } = object;
      const ends = { sourcePorts, destinationPorts, source, destination };
      const packet = { ...ANY_PACKET, vlanId, etherType, ipProtocol, ...ends };
      return [
        {
          ...place,
          match: { kind: "packet", packet },
          // The port is the catch-all's choice.
          actions: [skbedit(TC_ACT_OK, object.minor, null)],
        },
      ];
    }
    case "reflection":
      return [
        {
          ...place,
          match: { kind: "flower", source: exactly(object.mac), destination: null },
          actions: [{ kind: "gact", control: TC_ACT_DROP }],
        },
      ];
    case "redirect":
      return [
        {
          ...place,
          match: { kind: "flower", source: null, destination: exactly(object.mac) },
          actions: [
            {
              kind: "mirred-ingress-redirect",
              ifindex: object.toIfindex,
              control: TC_ACT_STOLEN,
            },
          ],
        },
      ];
    case "inbound":
      return [
        {
          ...place,
          match: { kind: "flower", source: null, destination: exactly(object.mac) },
          actions: [
            {
              kind: "police",
              rateBytesPerSecond: bytesPerSecondFromBits(object.rateBitsPerSecond),
              burstTicks: object.burstTicks,
            },
          ],
        },
      ];
    case "probe-guard": {
      const block = { mac: object.block, mask: BLOCK };
      return [
        {
          ...place,
          match: {
            kind: "flower",
            source: object.side === "from" ? block : null,
            destination: object.side === "to" ? block : null,
          },
          actions: [{ kind: "gact", control: TC_ACT_DROP }],
        },
      ];
    }
    case "control":
      return [
        {
          ...place,
          match: { kind: "flower", source: null, destination: LINK_LOCAL },
          actions: [],
          classMinor: object.minor,
        },
      ];
    case "queue-reset":
      return [{ ...place, match: { kind: "matchall" }, actions: [skbedit(TC_ACT_OK, null, 0)] }];
  }
}

/** Where the filter stands that tells by which interface a vNIC's frames come. */
export function senderPlace({ from, handle }: VnicFilter, ifindex: number): FilterPlace {
  const priority = from === null ? FILTER_PRIORITY.macvtap : FILTER_PRIORITY.ownTap;
  return { ifindex, hook: "egress", chain: SOURCES_CHAIN, priority, protocol: ETH_P_ALL, handle };
}

/** Where an object's filter stands, a vNIC's first; `reports` has two, its handle 0 means both. */
export function placeOf(object: FilterObject | UnknownFilter, ifindex: number): FilterPlace {
  const at = (hook: Hook, priority: number, handle: number, protocol = ETH_P_ALL): FilterPlace => ({
    ifindex,
    hook,
    chain: chainOf(priority),
    priority,
    protocol,
    handle,
  });
  switch (object.kind) {
    case "catch-all":
      return object.senders
        ? at("egress", FILTER_PRIORITY.anySender, SINGLE_HANDLE)
        : at("egress", FILTER_PRIORITY.catchAll, LAYOUT);
    case "vnic":
      return at("egress", FILTER_PRIORITY.vnic, object.handle);
    case "reports":
      return at("egress", FILTER_PRIORITY.reports, 0);
    case "passed-on":
      return at("egress", FILTER_PRIORITY.passedOn, object.handle);
    case "declared":
      return at("egress", FILTER_PRIORITY.declared, object.handle);
    case "forged":
      return at("egress", FILTER_PRIORITY.forged, object.handle);
    case "host-source":
      return at("egress", FILTER_PRIORITY.hostSource, object.handle);
    case "host-match":
      return at("egress", FILTER_PRIORITY.hostMatch + object.position, SINGLE_HANDLE);
    case "reflection":
      return at("ingress", FILTER_PRIORITY.reflection, object.handle);
    case "redirect":
      return at("ingress", FILTER_PRIORITY.redirect, object.handle);
    case "inbound":
      return at("ingress", FILTER_PRIORITY.inbound, object.handle);
    case "probe-guard": {
      const { probeTo, probeFrom } = FILTER_PRIORITY;
      return at("ingress", object.side === "to" ? probeTo : probeFrom, SINGLE_HANDLE);
    }
    case "control": {
      const index = CONTROL_PROTOCOLS.findIndex(({ name }) => name === object.protocol);
      const etherType = CONTROL_PROTOCOLS[index]?.etherType ?? 0;
      return at("htb", FILTER_PRIORITY.control + index, SINGLE_HANDLE, etherType);
    }
    case "queue-reset":
      return at("egress", FILTER_PRIORITY.queueReset, SINGLE_HANDLE);
    case "unknown-filter":
      return at(object.hook, object.priority, object.handle, object.protocol);
  }
}

/** The classifier that an object's filter is of. */
export function classifierOf(object: FilterObject | UnknownFilter): string {
  if (object.kind === "unknown-filter") return object.filterKind;
  const [first] = filtersOf(object, 0);
  return first === undefined ? "" : kindOf(first.match);
}

const CONTROL_PRIORITIES = CONTROL_PROTOCOLS.map((_, index) => FILTER_PRIORITY.control + index);

const OUR_PRIORITIES: Readonly<Record<Hook, ReadonlySet<number>>> = {
  htb: new Set(CONTROL_PRIORITIES),
  egress: new Set([
    FILTER_PRIORITY.anySender,
    FILTER_PRIORITY.vnic,
    FORMER_VNIC_PRIORITY,
    FILTER_PRIORITY.catchAll,
    FILTER_PRIORITY.reports,
    FILTER_PRIORITY.passedOn,
    FILTER_PRIORITY.declared,
    FILTER_PRIORITY.ownTap,
    FILTER_PRIORITY.forged,
    FILTER_PRIORITY.macvtap,
    FILTER_PRIORITY.hostSource,
    ...Array.from({ length: MAX_HOST_MATCHES }, (_, index) => FILTER_PRIORITY.hostMatch + index),
    // Where versions before this one had them: taken away.
    ...CONTROL_PRIORITIES,
    FILTER_PRIORITY.queueReset,
  ]),
  ingress: new Set([
    FILTER_PRIORITY.probeTo,
    FILTER_PRIORITY.probeFrom,
    FILTER_PRIORITY.reflection,
    FILTER_PRIORITY.redirect,
    FILTER_PRIORITY.inbound,
  ]),
};

/** Whether a filter stands at one of the priorities that mark ours. */
export function isOurPlace(filter: FilterPlace): boolean {
  return (
    filter.chain === chainOf(filter.priority) && OUR_PRIORITIES[filter.hook].has(filter.priority)
  );
}

function exactly(mac: Mac): MaskedMac {
  return { mac, mask: EXACT };
}
