/**
 * How a bond's mode lets vNICs be led to their uplinks, and what else it makes necessary. Everything that depends on
 * the mode asks here; docs/compatibility.md tells the same to people.
 */
import type { BondMode, TeamState } from "../model/world.ts";

/**
 * What names a vNIC's port: bonding's queue ids, which the driver itself passes over for a port that is down
 * (bond_slave_override).
 */
export type Steering = "queue";

export interface Wiring {
  readonly steering: Steering;
  /** Inactive ports drop what they receive (bond_should_deliver_exact_match): it has to be lifted past that. */
  readonly hasInactivePorts: boolean;
  /** What no filter pins would be sent by every port in turn: the catch-all names one. */
  readonly pinsRest: boolean;
}

const WIRINGS: Readonly<Partial<Record<BondMode, Wiring>>> = {
  "active-backup": { steering: "queue", hasInactivePorts: true, pinsRest: false },
  "balance-rr": { steering: "queue", hasInactivePorts: false, pinsRest: true },
};

/** Modes in which a bond can be managed. In the others bonding chooses ports by what it hears, or takes all at once. */
export const SHAPED_MODES = Object.keys(WIRINGS) as readonly BondMode[];

/** A team's wiring; of a bond that can't be managed (see refuse) that of active-backup. */
export function wiringOf({ bond }: TeamState): Wiring {
  return WIRINGS[bond?.mode ?? "active-backup"] ?? ACTIVE_BACKUP;
}

const ACTIVE_BACKUP: Wiring = { steering: "queue", hasInactivePorts: true, pinsRest: false };

/** Why a bond can't be managed as it is, with advice; null where it can. In a what-if any can. */
export function refuse(team: TeamState, hypothetical: boolean): string | null {
  const { bond } = team;
  if (bond === null) return `there is no bond ${team.config.bond}`;
  if (hypothetical) return null;
  const wiring = WIRINGS[bond.mode];
  if (wiring === undefined)
    return `mode ${bond.mode} is not supported: use ${SHAPED_MODES.join(", ")}`;
  if (bond.miimonMs === 0) {
    const command = `ip link set ${bond.name} type bond miimon 100`;
    return `${bond.name} has miimon 0 and never sees a lost cable: ${command}`;
  }
  return refuseQueues(team);
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
