/** Network interfaces (struct ifinfomsg): what they are, and the few settings of bonds and ports that we make. */
import { type Mac, macFromBytes } from "../model/mac.ts";
import type { BondMode, HashPolicy } from "../model/world.ts";
import { Attributes, viewOf } from "./attribute.ts";
import { attributesOf, type Message, MessageBuilder, NLM_F_DUMP } from "./message.ts";

/** include/uapi/linux/rtnetlink.h */
export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
const RTM_GETLINK = 18;

/** include/uapi/linux/if.h */
const IFF_UP = 0x1;
const IFF_PROMISC = 0x100;
const IFF_LOWER_UP = 0x10000;

const IFINFOMSG_BYTES = 16;

/** include/uapi/linux/if_link.h */
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_EXT_MASK = 29;
const IFLA_NUM_TX_QUEUES = 31;
const IFLA_CARRIER = 33;
const IFLA_LINK_NETNSID = 37;
const IFLA_CARRIER_UP_COUNT = 47;
const IFLA_CARRIER_DOWN_COUNT = 48;

const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INFO_SLAVE_KIND = 4;
const IFLA_INFO_SLAVE_DATA = 5;

const IFLA_VLAN_ID = 1;

const IFLA_BOND_MODE = 1;
const IFLA_BOND_ACTIVE_SLAVE = 2;
const IFLA_BOND_MIIMON = 3;
const IFLA_BOND_UPDELAY = 4;
const IFLA_BOND_PRIMARY = 11;
const IFLA_BOND_XMIT_HASH_POLICY = 14;
const IFLA_BOND_ALL_SLAVES_ACTIVE = 17;
const IFLA_BOND_AD_INFO = 23;
const IFLA_BOND_AD_INFO_AGGREGATOR = 1;

const IFLA_BOND_SLAVE_STATE = 1;
const IFLA_BOND_SLAVE_MII_STATUS = 2;
const IFLA_BOND_SLAVE_PERM_HWADDR = 4;
const IFLA_BOND_SLAVE_QUEUE_ID = 5;
const IFLA_BOND_SLAVE_AD_AGGREGATOR_ID = 6;

/** Leave statistics out of link dumps: they are half of it. */
const RTEXT_FILTER_SKIP_STATS = 1 << 3;

/** RFC 2863 states in the order of IF_OPER_*. */
const OPERATIONAL_STATES = [
  "unknown",
  "notpresent",
  "down",
  "lowerlayerdown",
  "testing",
  "dormant",
  "up",
] as const;
export type OperationalState = (typeof OPERATIONAL_STATES)[number];

/** In the order of BOND_MODE_* (include/uapi/linux/if_bonding.h). */
const BOND_MODES: readonly BondMode[] = [
  "balance-rr",
  "active-backup",
  "balance-xor",
  "broadcast",
  "802.3ad",
  "balance-tlb",
  "balance-alb",
];

/** In the order of BOND_XMIT_POLICY_* (include/uapi/linux/if_bonding.h). */
const HASH_POLICIES: readonly HashPolicy[] = [
  "layer2",
  "layer3+4",
  "layer2+3",
  "encap2+3",
  "encap3+4",
  "vlan+srcmac",
];

/** A bond's own options. */
export interface BondInfo {
  readonly mode: BondMode;
  /** 0 for none. */
  readonly activeIfindex: number;
  /** 0 for none. */
  readonly primaryIfindex: number;
  readonly miimonMs: number;
  readonly updelayMs: number;
  readonly allPortsActive: boolean;
  readonly hashPolicy: HashPolicy;
  /** LACP's aggregator that carries traffic; null in other modes. */
  readonly activeAggregator: number | null;
}

/** What bonding says about one of its ports. */
export interface BondPortInfo {
  /** Whether it takes part (active) or waits (backup). */
  readonly active: boolean;
  /** Bonding's own view of the link, past updelay and downdelay: 0 up, 1 going down, 2 down, 3 coming back. */
  readonly miiStatus: number;
  readonly queueId: number;
  /** LACP's; null in other modes. */
  readonly aggregator: number | null;
  readonly permanentAddress: Mac | null;
}

export interface Link {
  readonly ifindex: number;
  readonly name: string;
  readonly address: Mac | null;
  readonly adminUp: boolean;
  /** IFF_LOWER_UP and IFLA_CARRIER. */
  readonly carrier: boolean;
  readonly operationalState: OperationalState;
  /** ifindex of the bond or bridge that it belongs to; 0 for none. */
  readonly masterIfindex: number;
  /** ifindex of what a VLAN's interface is on; 0 for none, and for what another network namespace has. */
  readonly lowerIfindex: number;
  /** `bond`, `bridge`, `tun`; "" for hardware. */
  readonly kind: string;
  /** A VLAN interface's id; null for other kinds. */
  readonly vlanId: number | null;
  /** Set by an administrator; the counts that bonds and bridges hold don't show here (dev_get_flags). */
  readonly promiscuous: boolean;
  readonly txQueues: number;
  /** Flaps merged into one event show as a step of more than one. */
  readonly carrierUpCount: number;
  readonly carrierDownCount: number;
  readonly bond: BondInfo | null;
  readonly bondPort: BondPortInfo | null;
}

/** Asks for all links of this network namespace. */
export function dumpLinksMessage(): Uint8Array {
  return linkMessage(RTM_GETLINK, NLM_F_DUMP, 0)
    .u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
    .finish();
}

/** Asks for one link: harmless, used to warm code up. */
export function getLinkMessage(ifindex: number): Uint8Array {
  return linkMessage(RTM_GETLINK, 0, ifindex).finish();
}

/** Sets or clears IFF_PROMISC, whatever it was. */
export function setPromiscuityMessage(ifindex: number, on: boolean): Uint8Array {
  return linkMessage(RTM_NEWLINK, 0, ifindex, on ? IFF_PROMISC : 0, IFF_PROMISC).finish();
}

/** Sets a bond port's queue id, 0 for none. RTM_SETLINK would ignore it (rtnl_setlink reads no slave data). */
export function setPortQueueMessage(ifindex: number, queueId: number): Uint8Array {
  return linkMessage(RTM_NEWLINK, 0, ifindex)
    .nest(IFLA_LINKINFO, (info) =>
      info
        .bareText(IFLA_INFO_SLAVE_KIND, "bond")
        .nest(IFLA_INFO_SLAVE_DATA, (data) => data.u16(IFLA_BOND_SLAVE_QUEUE_ID, queueId)),
    )
    .finish();
}

/** Makes a port the bond's active one; 0 lets bonding choose. The new one must have carrier. */
export function setActivePortMessage(bondIfindex: number, portIfindex: number): Uint8Array {
  return setBondMessage(bondIfindex, IFLA_BOND_ACTIVE_SLAVE, portIfindex);
}

/** Sets the bond's updelay; bonding rounds it down to a multiple of miimon, and refuses it where miimon is 0. */
export function setUpdelayMessage(bondIfindex: number, updelayMs: number): Uint8Array {
  return setBondMessage(bondIfindex, IFLA_BOND_UPDELAY, updelayMs);
}

/**
 * Reads RTM_NEWLINK or RTM_DELLINK.
 * @returns null for messages of other families: bridges tell of their ports in the same form (AF_BRIDGE)
 * @throws NetlinkError
 */
export function parseLink(message: Message): Link | null {
  if (message.type !== RTM_NEWLINK && message.type !== RTM_DELLINK) return null;
  const attributeBytes = attributesOf("link", message.body, IFINFOMSG_BYTES);
  const header = viewOf(message.body);
  if (header.getUint8(0) !== 0) return null;
  const flags = header.getUint32(8, true);
  const attributes = Attributes.parse("link", attributeBytes);
  const info = attributes.nested(IFLA_LINKINFO);
  const kind = info?.text(IFLA_INFO_KIND) ?? "";
  const portKind = info?.text(IFLA_INFO_SLAVE_KIND);
  return {
    ifindex: header.getInt32(4, true),
    name: attributes.text(IFLA_IFNAME) ?? "",
    address: macOf(attributes.bytes(IFLA_ADDRESS)),
    adminUp: (flags & IFF_UP) !== 0,
    carrier: (flags & IFF_LOWER_UP) !== 0 && (attributes.u8(IFLA_CARRIER) ?? 1) !== 0,
    operationalState: OPERATIONAL_STATES[attributes.u8(IFLA_OPERSTATE) ?? 0] ?? "unknown",
    masterIfindex: attributes.u32(IFLA_MASTER) ?? 0,
    lowerIfindex: attributes.has(IFLA_LINK_NETNSID) ? 0 : (attributes.u32(IFLA_LINK) ?? 0),
    kind,
    vlanId: kind === "vlan" ? (info?.nested(IFLA_INFO_DATA)?.u16(IFLA_VLAN_ID) ?? null) : null,
    promiscuous: (flags & IFF_PROMISC) !== 0,
    txQueues: attributes.u32(IFLA_NUM_TX_QUEUES) ?? 1,
    carrierUpCount: attributes.u32(IFLA_CARRIER_UP_COUNT) ?? 0,
    carrierDownCount: attributes.u32(IFLA_CARRIER_DOWN_COUNT) ?? 0,
    bond: kind === "bond" ? parseBond(info?.nested(IFLA_INFO_DATA) ?? null) : null,
    bondPort:
      portKind === "bond" ? parseBondPort(info?.nested(IFLA_INFO_SLAVE_DATA) ?? null) : null,
  };
}

function parseBond(data: Attributes | null): BondInfo | null {
  const mode = BOND_MODES[data?.u8(IFLA_BOND_MODE) ?? -1];
  if (data === null || mode === undefined) return null;
  return {
    mode,
    activeIfindex: data.u32(IFLA_BOND_ACTIVE_SLAVE) ?? 0,
    primaryIfindex: data.u32(IFLA_BOND_PRIMARY) ?? 0,
    miimonMs: data.u32(IFLA_BOND_MIIMON) ?? 0,
    updelayMs: data.u32(IFLA_BOND_UPDELAY) ?? 0,
    allPortsActive: (data.u8(IFLA_BOND_ALL_SLAVES_ACTIVE) ?? 0) !== 0,
    hashPolicy: HASH_POLICIES[data.u8(IFLA_BOND_XMIT_HASH_POLICY) ?? 0] ?? "layer2",
    activeAggregator: data.nested(IFLA_BOND_AD_INFO)?.u16(IFLA_BOND_AD_INFO_AGGREGATOR) ?? null,
  };
}

function parseBondPort(data: Attributes | null): BondPortInfo | null {
  if (data === null) return null;
  return {
    active: data.u8(IFLA_BOND_SLAVE_STATE) === 0,
    miiStatus: data.u8(IFLA_BOND_SLAVE_MII_STATUS) ?? 2,
    queueId: data.u16(IFLA_BOND_SLAVE_QUEUE_ID) ?? 0,
    aggregator: data.u16(IFLA_BOND_SLAVE_AD_AGGREGATOR_ID),
    permanentAddress: macOf(data.bytes(IFLA_BOND_SLAVE_PERM_HWADDR)),
  };
}

/** Addresses of other lengths (InfiniBand, tunnels) are none of ours. */
function macOf(bytes: Uint8Array | null): Mac | null {
  return bytes?.length === 6 ? macFromBytes(bytes) : null;
}

function setBondMessage(bondIfindex: number, option: number, value: number): Uint8Array {
  return linkMessage(RTM_NEWLINK, 0, bondIfindex)
    .nest(IFLA_LINKINFO, (info) =>
      info.bareText(IFLA_INFO_KIND, "bond").nest(IFLA_INFO_DATA, (data) => data.u32(option, value)),
    )
    .finish();
}

/** No CREATE, EXCL or REPLACE among the flags: rtnl_newlink then only changes what exists. */
function linkMessage(
  type: number,
  messageFlags: number,
  ifindex: number,
  flags = 0,
  change = 0,
): MessageBuilder {
  return new MessageBuilder(type, messageFlags).word(0).word(ifindex).word(flags).word(change);
}
