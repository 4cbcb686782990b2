/**
 * The rate of every vNIC's class on every uplink: where it is carried now, and where it would be after the loss
 * of the uplink that carries it. For the present world and for each single loss, the classes that then carry
 * traffic sum to at most the capacity, whichever of the other uplinks the driver sends the displaced to.
 *
 * Where all fits, each class has its whole reservation and nobody's rate depends on another's: then sums are enough,
 * and fitClaims is not asked.
 */
import type { Crowd, Sums } from "./crowd.ts";
import { flaggedIn } from "./flagged.ts";
import { hostLines } from "./host.ts";
import type { Load, UplinkLoad } from "./load.ts";
import { CONTROL_PRIO } from "./priority.ts";
import type { Roster } from "./roster.ts";
import { type Claim, fitClaims, LEAST_RATE, sum } from "./share.ts";
import type { Usability } from "./usable.ts";

/** What stands on one managed uplink. */
export interface UplinkGrants {
  readonly entry: Usability;
  /** Its place in the team. */
  readonly place: number;
  /** In the order of hostLines. */
  readonly host: readonly HostGrant[];
  /** HTB rate of each placed vNIC's class there, same order; made when first asked for. */
  readonly rates: Float64Array;
  /** The sum of rates of what it carries, the host included. */
  readonly committedBitsPerSecond: number;
  readonly residents: Crowd;
  /** All fits now and after each loss: every class has its whole reservation, or, silent then, its least rate. */
  readonly allFits: boolean;
  /** Rates of its residents, same order; null: each has its whole reservation, who is silent its floor. */
  readonly cut: readonly number[] | null;
}

/** What a class of the host's has there. */
export interface HostGrant {
  readonly rateBitsPerSecond: number;
  readonly limitBitsPerSecond: number;
}

/** The rates of what one uplink carries. */
export interface ResidentRates {
  /** In the order of hostLines. */
  readonly hostRates: readonly number[];
  /** In the order of the uplink's residents. */
  readonly rates: readonly number[];
  readonly floorBitsPerSecond: number;
  readonly committedBitsPerSecond: number;
}

/** One entry a vNIC; 1 for those that send nothing: paused, discarded. Null: everybody sends. */
export type Silence = Uint8Array | null;

/** At most this part of an uplink goes to floors, so that they never crowd out reservations. */
const FLOOR_PART = 0.1;

/** Room that must be left before sums of doubles are trusted to mean that all fits, bits per second. */
const MARGIN_BITS_PER_SECOND = 1;

/**
 * Fits the host and the residents of one uplink into its capacity. The host's reservations are kept before any
 * guest's: without them nobody can log in and mend things.
 * @param silence who sends nothing keeps its floor only
 * @param step HTB's, or 0 for what the rates mean without HTB's rounding
 */
export function fitResidents(
  load: Load,
  uplink: UplinkLoad,
  silence: Silence,
  step: typeof LEAST_RATE | 0,
): ResidentRates {
  const floor = floorOn(load, uplink);
  const fitting = hostClaims(load, floor);
  const hosts = fitting.length;
  for (const index of uplink.residents.indexes) fitting.push(claimAt(load.roster, index, silence));
  const all = fitClaims(roomOn(uplink, step), fitting, floor, step);
  return {
    hostRates: all.slice(0, hosts),
    rates: all.slice(hosts),
    floorBitsPerSecond: floor,
    committedBitsPerSecond: sum(all),
  };
}

/** No floor counts for more than this on an uplink. */
export function floorOn({ config }: Load, { entry, residents }: UplinkLoad): number {
  const capacity = entry.capacityBitsPerSecond;
  const sharers = residents.size + 1 + config.hostClasses.length;
  return Math.min(config.floorBitsPerSecond, (capacity * FLOOR_PART) / sharers);
}

/** The claims of the host's classes on an uplink where floors are at most `floor`, in the order of hostLines. */
export function hostClaims({ config }: Load, floor: number): Claim[] {
  return hostLines(config).map(({ share }) => ({
    floorBitsPerSecond: floor,
    reservationBitsPerSecond: share.reservationBitsPerSecond,
    prio: CONTROL_PRIO,
  }));
}

/** What residents may be granted: the classes of those that a loss would bring need HTB's least rate each. */
export function roomOn(uplink: UplinkLoad, step: typeof LEAST_RATE | 0): number {
  return uplink.entry.capacityBitsPerSecond - uplink.mostDisplaced * step;
}

function claimAt(roster: Roster, index: number, silence: Silence): Claim {
  const claim = roster.claims[index] as Claim;
  return silence?.[index] === 1 ? { ...claim, reservationBitsPerSecond: 0 } : claim;
}

/**
 * Computes all grants of a team, one entry a managed uplink, in the team's order.
 * @param silence who sends nothing: paused by us, discarded
 * @param silenceAfterLoss who will send nothing once its uplink is lost
 * @param earlier grants that have the same rates where all fits
 */
export function grantClasses(
  load: Load,
  silence: Silence,
  silenceAfterLoss: Silence,
  earlier: readonly UplinkGrants[] = [],
): UplinkGrants[] {
  const { roster } = load;
  // Not the grants themselves: what is made when first asked for would keep them, and they those before them.
  const earlierRates = earlier.map(({ allFits, rates }) => (allFits ? rates : null));
  let both: Silence | undefined;
  const either = (): Silence => {
    if (both === undefined) both = unite(silence, silenceAfterLoss);
    return both;
  };
  const quiet = sumSilent(load, silence, null);
  const quieter = sumSilent(load, silenceAfterLoss, silence);
  const groups = new Map(
    load.uplinks
      .filter((uplink) => uplink.entry.managed)
      .map((uplink) => {
        const { entry, place, residents, senders } = uplink;
        // What is lost has everybody back at once, and of whom it still carries nobody was looked at.
        if (!entry.usable) {
          const displaced =
            senders.size === 0
              ? senders.sums
              : sumClaims(roster, senders.indexes, senders.sums, either());
          return [uplink, { own: null, present: residents.sums, displaced }];
        }
        // Of a usable uplink both are the same vNICs, and only who is discarded then makes a difference.
        const present = without(residents.sums, quiet?.[place]);
        return [uplink, { own: silence, present, displaced: without(present, quieter?.[place]) }];
      }),
  );
  return [...groups].map(([uplink, { own, present }], at): UplinkGrants => {
    const { entry, residents } = uplink;
    const capacity = entry.capacityBitsPerSecond;
    const floor = floorOn(load, uplink);
    const plain = floor >= load.config.floorBitsPerSecond;
    const whole = plain ? grantWhole(load, uplink, floor, present) : null;
    const fit = whole ?? fitResidents(load, uplink, own, LEAST_RATE);
    const cut = whole === null ? fit.rates : null;
    const left = capacity - fit.committedBitsPerSecond;
    const others = [...groups].filter(([other]) => other !== uplink);
    const allFits =
      plain && cut === null && others.every(([, { displaced }]) => fits(displaced, left));
    let rates = allFits ? (earlierRates[at] ?? null) : null;
    const makeRates = () => {
      const made = new Float64Array(roster.members.length).fill(LEAST_RATE);
      // For each lost uplink in turn, its vNICs share what the residents leave, by priority.
      for (const [{ senders }, { displaced }] of others) {
        if (plain && fits(displaced, left)) writeWhole(made, roster, senders.indexes, either());
        else {
          const claims = Array.from(senders.indexes, (index) => claimAt(roster, index, either()));
          write(made, senders.indexes, fitClaims(left, claims, floor));
        }
      }
      if (cut === null) writeWhole(made, roster, residents.indexes, own);
      else write(made, residents.indexes, cut);
      return made;
    };
    return {
      entry,
      place: uplink.place,
      host: hostLines(load.config).map(({ share }, line): HostGrant => {
        const rateBitsPerSecond = fit.hostRates[line] ?? LEAST_RATE;
        const limit = ceilingOf(share.limitBitsPerSecond, capacity, rateBitsPerSecond);
        return { rateBitsPerSecond, limitBitsPerSecond: limit };
      }),
      get rates() {
        rates ??= makeRates();
        return rates;
      },
      committedBitsPerSecond: fit.committedBitsPerSecond,
      residents,
      allFits,
      cut,
    };
  });
}

type ClaimSums = Pick<Sums, "floors" | "leasts" | "fulls" | "needs">;

/** The part of some vNICs' claims that goes once they are silent. */
interface Silenced {
  fulls: number;
  needs: number;
}

/**
 * Sums up what falls silent on each uplink, by place; null where nobody does.
 * @param already who was silent before, and doesn't count
 */
function sumSilent(load: Load, silence: Silence, already: Silence): Silenced[] | null {
  if (silence === null) return null;
  const { roster, carriers } = load;
  const sums = load.uplinks.map((): Silenced => ({ fulls: 0, needs: 0 }));
  for (const index of flaggedIn(silence)) {
    const sum = sums[carriers[index] as number];
    if (sum !== undefined && already?.[index] !== 1) addClaim(sum, roster, index);
  }
  return sums;
}

function addClaim(sum: Silenced, roster: Roster, index: number): void {
  const least = roster.leasts[index] as number;
  sum.fulls += (roster.fulls[index] as number) - least;
  sum.needs += Math.max(0, (roster.reservations[index] as number) - least);
}

function without(sums: ClaimSums, silenced: Silenced | undefined): ClaimSums {
  if (silenced === undefined) return sums;
  const { floors, leasts, fulls, needs } = sums;
  return { floors, leasts, fulls: fulls - silenced.fulls, needs: needs - silenced.needs };
}

/** The sums of some vNICs of whom those that are silent have no claim. */
function sumClaims(
  roster: Roster,
  indexes: Int32Array,
  sums: ClaimSums,
  silence: Silence,
): ClaimSums {
  if (silence === null) return sums;
  const silenced = { fulls: 0, needs: 0 };
  for (const index of indexes) if (silence[index] === 1) addClaim(silenced, roster, index);
  return without(sums, silenced);
}

/** Whether floors and reservations all fit, as fitClaims would find. */
function fits({ floors, leasts, needs }: ClaimSums, capacity: number): boolean {
  return (
    floors + MARGIN_BITS_PER_SECOND < capacity && leasts + needs + MARGIN_BITS_PER_SECOND < capacity
  );
}

/** The grants of an uplink where all fits; null where it doesn't. */
function grantWhole(
  load: Load,
  uplink: UplinkLoad,
  floor: number,
  present: ClaimSums,
): ResidentRates | null {
  const claims = hostClaims(load, floor);
  const hostRates = fitClaims(Number.MAX_SAFE_INTEGER, claims, floor);
  const needed = claims.map(({ reservationBitsPerSecond }, line) =>
    Math.max(hostRates[line] ?? LEAST_RATE, reservationBitsPerSecond),
  );
  const sums = {
    ...present,
    floors: present.floors + Math.max(LEAST_RATE, floor) * claims.length,
    leasts: present.leasts + sum(needed),
  };
  if (!fits(sums, roomOn(uplink, LEAST_RATE))) return null;
  return {
    hostRates,
    rates: [],
    floorBitsPerSecond: floor,
    committedBitsPerSecond: sum(hostRates) + present.fulls,
  };
}

function writeWhole(
  rates: Float64Array,
  roster: Roster,
  indexes: Int32Array,
  silence: Silence,
): void {
  const { fulls, leasts } = roster;
  for (let position = 0; position < indexes.length; position += 1) {
    const index = indexes[position] as number;
    rates[index] = (
      silence !== null && silence[index] === 1 ? leasts[index] : fulls[index]
    ) as number;
  }
}

function write(rates: Float64Array, indexes: Int32Array, granted: readonly number[]): void {
  for (let position = 0; position < indexes.length; position += 1)
    rates[indexes[position] as number] = granted[position] ?? LEAST_RATE;
}

function unite(one: Silence, other: Silence): Silence {
  if (one === null || other === null) return one ?? other;
  const both = one.slice();
  for (let index = 0; index < both.length; index += 1) if (other[index] === 1) both[index] = 1;
  return both;
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
