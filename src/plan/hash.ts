/**
 * Which port bonding's own hash sends each vNIC by, where nothing steers it: balance-xor and 802.3ad with
 * xmit_hash_policy vlan+srcmac.
 */
import { macBytes } from "../model/mac.ts";
import type { TeamState, VnicState } from "../model/world.ts";
import { HASHED } from "./choice.ts";
import { type Placement, wasDisplaced } from "./placement.ts";
import type { Roster } from "./roster.ts";
import type { Usability } from "./usable.ts";

/**
 * Places each vNIC where the kernel sends it: at home where it is with every port up, and now by those that bonding
 * counts, in the order of enslaving (bond_update_slave_arr, bond_xmit_3ad_xor_slave_get).
 */
export function followHash(
  team: TeamState,
  uplinks: readonly Usability[],
  roster: Roster,
): Placement {
  const places = new Map(uplinks.map(({ uplink }, place) => [uplink.name, place]));
  const ports = (team.bond?.portOrder ?? []).flatMap((name) => places.get(name) ?? []);
  const counted = ports.filter((place) => isCounted(uplinks[place]));
  const size = roster.members.length;
  const placement = {
    homes: new Int16Array(size).fill(-1),
    vias: new Int16Array(size).fill(-1),
    reasons: new Uint8Array(size).fill(HASHED),
    heldUntilMs: [],
    // No other way of placing would come to the same.
    weighed: true,
  };
  for (const [index, { vnic }] of roster.members.entries()) {
    const hash = hashOf(vnic);
    const home = ports[hash % ports.length] ?? -1;
    const via = counted[hash % counted.length] ?? -1;
    placement.homes[index] = home;
    placement.vias[index] = via;
    if (via !== home) placement.reasons[index] = wasDisplaced(HASHED);
  }
  return placement;
}

/** bond_slave_can_tx, and LACP's aggregator. Bonding knows of no hold-down, and of no drain. */
function isCounted(entry: Usability | undefined): boolean {
  if (entry === undefined) return false;
  const { adminUp, carrier, bondUp, inBond, distributing } = entry.uplink;
  return adminUp && carrier && bondUp && inBond && distributing;
}

/**
 * bond_vlan_srcmac_hash. A vNIC with several VLANs may go by several ports; its first one counts. A frame's 802.1p
 * priority would count, too; guests' own tags seldom have one.
 */
export function hashOf({ mac, vlanIds }: Pick<VnicState, "mac" | "vlanIds">): number {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = macBytes(mac);
  const vendor = (a << 16) | (b << 8) | c;
  const device = (d << 16) | (e << 8) | f;
  return ((vlanIds[0] ?? 0) ^ vendor ^ device) >>> 0;
}
