/**
 * The rate of every vNIC's class on every uplink: where it is carried now, and where it would be after the loss
 * of the uplink that carries it. For the present world and for each single loss, the classes that then carry
 * traffic sum to at most the capacity, whichever of the other uplinks the driver sends the displaced to.
 */
import type { TeamConfig } from "../model/config.ts";
import { wantOf } from "./demand.ts";
import type { Placed } from "./placement.ts";
import { CONTROL_PRIO, htbPrio } from "./priority.ts";
import { type Claim, fitClaims, LEAST_RATE, sum } from "./share.ts";
import type { Usability } from "./usable.ts";

/** What stands on one managed uplink. */
export interface UplinkGrants {
  readonly entry: Usability;
  readonly hostBitsPerSecond: number;
  readonly hostLimitBitsPerSecond: number;
  /** HTB rate of each placed vNIC's class there, same order. */
  readonly rates: Float64Array;
  /** The sum of rates of what it carries, the host included. */
  readonly committedBitsPerSecond: number;
}

/** A team's vNICs by the uplinks that carry them; computed once, asked often. */
export interface Load {
  readonly config: TeamConfig;
  readonly placed: readonly Placed[];
  readonly uplinks: readonly UplinkLoad[];
  /** One a placed vNIC, same order. */
  readonly claims: readonly Claim[];
  /** What each wants (see wantOf), same order; infinity where that isn't known. */
  readonly wants: Float64Array;
}

export interface UplinkLoad {
  readonly entry: Usability;
  /**
   * Indexes of the vNICs that it carries; of an unusable uplink those whose home it is, since that is what comes
   * back to it if nobody is there to tell otherwise.
   */
  readonly residents: readonly number[];
  /** Indexes of the vNICs that its loss would displace. */
  readonly senders: readonly number[];
}

/** Sorts placed vNICs by uplink. */
export function loadUplinks(
  config: TeamConfig,
  uplinks: readonly Usability[],
  placed: readonly Placed[],
): Load {
  const loads = new Map(
    uplinks.map((entry) => [
      entry.uplink.name,
      { entry, residents: [] as number[], senders: [] as number[] },
    ]),
  );
  for (const [index, { home, via }] of placed.entries()) {
    const carrier = loads.get(via ?? home ?? "");
    carrier?.senders.push(index);
    if (carrier?.entry.usable === true) carrier.residents.push(index);
    const owner = loads.get(home ?? "");
    if (owner?.entry.usable === false) owner.residents.push(index);
  }
  return {
    config,
    placed,
    uplinks: [...loads.values()],
    claims: placed.map((member) => claimOf(member, config.floorBitsPerSecond)),
    wants: Float64Array.from(placed, wantOf),
  };
}

function claimOf({ vnic }: Placed, floorBitsPerSecond: number): Claim {
  const { reservationBitsPerSecond, limitBitsPerSecond } = vnic.policy.bandwidth;
  return {
    floorBitsPerSecond: Math.min(floorBitsPerSecond, limitBitsPerSecond ?? floorBitsPerSecond),
    reservationBitsPerSecond,
    prio: htbPrio(vnic.policy.priority),
  };
}

/** The rates of what one uplink carries. */
export interface ResidentRates {
  readonly hostBitsPerSecond: number;
  /** In the order of the uplink's residents. */
  readonly rates: readonly number[];
  readonly floorBitsPerSecond: number;
  readonly committedBitsPerSecond: number;
}

/** At most this part of an uplink goes to floors, so that they never crowd out reservations. */
const FLOOR_PART = 0.1;

/**
 * Fits the host and the residents of one uplink into its capacity. The host's reservation is kept before any
 * guest's: without it nobody can log in and mend things.
 * @param silent indexes of vNICs that send nothing (paused, discarded): they keep their floor only
 * @param step HTB's, or 0 for what the rates mean without HTB's rounding
 */
export function fitResidents(
  load: Load,
  uplink: UplinkLoad,
  silent: ReadonlySet<number>,
  step: typeof LEAST_RATE | 0,
): ResidentRates {
  const { config, claims } = load;
  const capacity = uplink.entry.capacityBitsPerSecond;
  const floor = Math.min(
    config.floorBitsPerSecond,
    (capacity * FLOOR_PART) / (uplink.residents.length + 1),
  );
  const fitting: Claim[] = [
    {
      floorBitsPerSecond: floor,
      reservationBitsPerSecond: config.host.reservationBitsPerSecond,
      prio: CONTROL_PRIO,
    },
  ];
  for (const index of uplink.residents) fitting.push(claimAt(claims, index, silent));
  // The classes of those that a loss would bring here need HTB's least rate each.
  const displaced = Math.max(
    0,
    ...load.uplinks.map((other) => (other === uplink ? 0 : other.senders.length)),
  );
  const all = fitClaims(capacity - displaced * step, fitting, floor, step);
  const [hostBitsPerSecond = LEAST_RATE, ...rates] = all;
  return { hostBitsPerSecond, rates, floorBitsPerSecond: floor, committedBitsPerSecond: sum(all) };
}

function claimAt(claims: readonly Claim[], index: number, silent: ReadonlySet<number>): Claim {
  const claim = claims[index] as Claim;
  return silent.has(index) ? { ...claim, reservationBitsPerSecond: 0 } : claim;
}

/**
 * Computes all grants of a team, one entry a managed uplink, in the team's order.
 * @param silent indexes of vNICs that send nothing: paused by us, discarded
 * @param silentAfterLoss indexes of vNICs that will send nothing once their uplink is lost
 */
export function grantClasses(
  load: Load,
  silent: ReadonlySet<number>,
  silentAfterLoss: ReadonlySet<number>,
): UplinkGrants[] {
  const managed = load.uplinks.filter((uplink) => uplink.entry.managed);
  return managed.map((uplink): UplinkGrants => {
    const { entry, residents } = uplink;
    const capacity = entry.capacityBitsPerSecond;
    const fit = fitResidents(load, uplink, entry.usable ? silent : new Set(), LEAST_RATE);
    const rates = new Float64Array(load.placed.length).fill(LEAST_RATE);
    // For each lost uplink in turn, its vNICs share what the residents leave, by priority.
    const left = capacity - fit.committedBitsPerSecond;
    for (const other of managed) {
      if (other === uplink) continue;
      const claims = other.senders.map((index) =>
        claimAt(load.claims, index, silentAfterLoss.has(index) ? silentAfterLoss : silent),
      );
      const standby = fitClaims(left, claims, fit.floorBitsPerSecond);
      for (const [position, index] of other.senders.entries()) {
        rates[index] = standby[position] ?? LEAST_RATE;
      }
    }
    for (const [position, index] of residents.entries()) {
      rates[index] = fit.rates[position] ?? LEAST_RATE;
    }
    return {
      entry,
      hostBitsPerSecond: fit.hostBitsPerSecond,
      hostLimitBitsPerSecond: ceilingOf(
        load.config.host.limitBitsPerSecond,
        capacity,
        fit.hostBitsPerSecond,
      ),
      rates,
      committedBitsPerSecond: fit.committedBitsPerSecond,
    };
  });
}

/** HTB's ceil: never below the rate, or HTB would not even give that. */
export function ceilingOf(
  limitBitsPerSecond: number | null,
  capacityBitsPerSecond: number,
  rateBitsPerSecond: number,
): number {
  const ceiling = Math.min(limitBitsPerSecond ?? capacityBitsPerSecond, capacityBitsPerSecond);
  return Math.max(rateBitsPerSecond, Math.floor(ceiling / LEAST_RATE) * LEAST_RATE);
}

/** The control class's rate: LACPDUs, LLDP, announcements and probes are a few frames a second. */
const CONTROL_BITS_PER_SECOND = 1_000_000;
/** On a slow uplink the control class takes at most this part of its speed. */
const CONTROL_PART = 0.01;

/**
 * The rate of the control class, which stands beside the root class and lives in the headroom, so that guests
 * and host can be promised the whole capacity.
 */
export function controlRate(capacityBitsPerSecond: number): number {
  const part = Math.min(CONTROL_BITS_PER_SECOND, capacityBitsPerSecond * CONTROL_PART);
  return Math.max(LEAST_RATE, Math.floor(part / LEAST_RATE) * LEAST_RATE);
}
