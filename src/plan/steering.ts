/**
 * How a bond's mode lets vNICs be led to their uplinks, and what else it makes necessary. Everything that depends on
 * the mode asks here; docs/compatibility.md tells the same to people.
 */
import type { Steering } from "../model/kernel.ts";
import type { BondMode, TeamState } from "../model/world.ts";

export interface Wiring {
  readonly steering: Steering;
  /** Inactive ports drop what they receive (bond_should_deliver_exact_match): it has to be lifted past that. */
  readonly hasInactivePorts: boolean;
  /** What no filter pins would be sent by every port in turn: the catch-all names one. */
  readonly pinsRest: boolean;
  /**
   * The switch may take the ports for separate ones: what leaves by one may come back by another, and each has to ask
   * for multicast groups. A partner of LACP is one switch with one port.
   */
  readonly separate: boolean;
}

const QUEUE = {
  steering: "queue",
  hasInactivePorts: false,
  pinsRest: false,
  separate: true,
} as const;
const HASH = { ...QUEUE, steering: "hash" } as const;
const WIRINGS: Readonly<Partial<Record<BondMode, Wiring>>> = {
  "active-backup": { ...QUEUE, hasInactivePorts: true },
  "balance-rr": { ...QUEUE, pinsRest: true },
  "balance-xor": HASH,
  "802.3ad": { ...HASH, separate: false },
};

/** Modes in which a bond can be managed. In the others bonding chooses ports by what it hears, or takes all at once. */
export const SHAPED_MODES = Object.keys(WIRINGS) as readonly BondMode[];

/** A team's wiring; of a bond that can't be managed (see refuse) that of active-backup. */
export function wiringOf({ bond, config }: TeamState): Wiring {
  const wiring = WIRINGS[bond?.mode ?? "active-backup"] ?? ACTIVE_BACKUP;
  // bond_should_override_tx_queue: only the first two modes heed queue ids.
  if (wiring.steering === "queue" || config.steering !== "redirect") return wiring;
  return { ...wiring, steering: "redirect" };
}

/** Whether two states of a team lead vNICs in the same way. */
export function sameWiring(one: TeamState, other: TeamState): boolean {
  return one.bond?.mode === other.bond?.mode && wiringOf(one).steering === wiringOf(other).steering;
}

const ACTIVE_BACKUP: Wiring = { ...QUEUE, hasInactivePorts: true };

/** Why a bond can't be managed as it is, with advice; null where it can. In a what-if any can. */
export function refuse(team: TeamState, hypothetical: boolean): string | null {
  const { bond } = team;
  if (bond === null) return `there is no bond ${team.config.bond}`;
  if (hypothetical) return null;
  if (WIRINGS[bond.mode] === undefined)
    return `mode ${bond.mode} is not supported: use ${SHAPED_MODES.join(", ")}`;
  if (bond.miimonMs === 0) {
    const command = `ip link set ${bond.name} type bond miimon 100`;
    return `${bond.name} has miimon 0 and never sees a lost cable: ${command}`;
  }
  return refuseSteering(team);
}

function refuseSteering(team: TeamState): string | null {
  const { bond, config } = team;
  if (bond === null) return null;
  switch (wiringOf(team).steering) {
    case "queue":
      if (config.steering !== null)
        return `steering: ${config.steering} is for balance-xor and 802.3ad; ${bond.mode} has queue ids: leave it out`;
      return refuseQueues(team);
    case "hash":
      if (bond.hashPolicy === "vlan+srcmac") return null;
      return (
        `${bond.name} spreads each vNIC's flows over its ports (xmit_hash_policy ${bond.hashPolicy}), so that no share can be ` +
        `kept: 'ip link set ${bond.name} type bond xmit_hash_policy vlan+srcmac', or steering: redirect in uplinkd.yaml`
      );
    case "redirect":
      return null;
  }
}

/**
 * skbedit leaves a queue mapping beyond the bond's transmit queues undone, silently: a vNIC would go by another port
 * than it is placed on. Queue ids go up to the number of ports, as others' are kept.
 */
function refuseQueues({ bond, uplinks }: TeamState): string | null {
  if (bond === null) return null;
  const ports = uplinks.filter((uplink) => uplink.inBond);
  const needed = Math.max(ports.length, ...ports.map(({ queueId }) => queueId)) + 1;
  if (bond.txQueues >= needed) return null;
  return (
    `${bond.name} has ${bond.txQueues} transmit queues and needs ${needed}, one more than its largest queue id: ` +
    `make it anew with 'ip link add ${bond.name} numtxqueues 16 type bond ...' (16 is bonding's default)`
  );
}
