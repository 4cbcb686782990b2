/** Network devices as rtnetlink reports them, reduced to what uplinkd decides by. */
import type { Mac } from "./mac.ts";
import type { BondMode, HashPolicy } from "./world.ts";

export interface LinkState {
  readonly name: string;
  readonly ifindex: number;
  readonly adminUp: boolean;
  /** IFLA_CARRIER and IFF_LOWER_UP. */
  readonly carrier: boolean;
  /** How often it lost its carrier since it was made: a loss between two looks shows here only. */
  readonly carrierDowns: number;
  readonly mac: Mac | null;
  /** The bridge or bond that it belongs to. */
  readonly masterIfindex: number | null;
  /** IFLA_LINK: what a VLAN's interface is on. */
  readonly lowerIfindex: number | null;
  /** IFLA_INFO_KIND: bond, bridge, tun, veth, vlan …; null for a NIC. */
  readonly kind: string | null;
  /** A VLAN interface's id; null for other kinds. */
  readonly vlanId: number | null;
  /** IFF_PROMISC as an administrator set it. */
  readonly promiscuous: boolean;
  readonly txQueues: number;
  /** As the driver says; null where it says unknown. */
  readonly speedBitsPerSecond: number | null;
  readonly bond: {
    readonly mode: BondMode;
    readonly activeIfindex: number | null;
    readonly primaryIfindex: number | null;
    readonly miimonMs: number;
    readonly updelayMs: number;
    readonly hashPolicy: HashPolicy;
    /** LACP's aggregator that carries traffic; null in other modes. */
    readonly activeAggregator: number | null;
    /** Its ports' names in the order of enslaving, as bonding counts them for its hash. */
    readonly portOrder: readonly string[];
  } | null;
  readonly port: {
    /** IFLA_BOND_SLAVE_MII_STATUS is BOND_LINK_UP. */
    readonly bondUp: boolean;
    readonly queueId: number;
    /** Bonding sends by it and takes in what comes (IFLA_BOND_SLAVE_STATE is active). */
    readonly active: boolean;
    /** LACP's; null in other modes. */
    readonly aggregator: number | null;
  } | null;
}
