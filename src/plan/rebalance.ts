/**
 * Which vNICs move so that a team's uplinks are used evenly: measured loads against capacities. Nothing moves while the
 * team isn't whole, against a policy's wish, out of a reservation, or soon after it moved; see docs/decisions.
 */
import type { Balance, BalanceMove } from "../model/plan.ts";
import { formatDuration, formatRate } from "../model/units.ts";
import type { TeamState, World } from "../model/world.ts";
import { hostReservation } from "./host.ts";
import { heldUntilMs } from "./moves.ts";
import type { Placement } from "./placement.ts";
import type { Member, Presence, Roster } from "./roster.ts";
import { evenUtilisation, findShifts, type Shiftable, type Spread, unevenness } from "./spread.ts";
import type { Usability } from "./usable.ts";

/** Who may be moved: anybody; nobody with a reservation, since a loss would then break one; nobody. */
export type Movers = "all" | "unreserved" | "none";

export interface RebalanceCase {
  readonly world: World;
  readonly team: TeamState;
  readonly uplinks: readonly Usability[];
  readonly roster: Roster;
  readonly placement: Placement;
  readonly activePort: string | null;
  readonly movers: Movers;
  /** Moves that are only suggested, or wait, are made: to see what they would bring. */
  readonly carriesOut: boolean;
}

export interface Rebalanced {
  readonly balance: Balance | null;
  /** The given one, or one with the moves that are made. */
  readonly placement: Placement;
  /** When it wants to be asked again; null: not at all. */
  readonly wakeAtMs: number | null;
}

/** Windows after a move, or after measuring began, until averages have forgotten what was before (95 %). */
const SETTLE_WINDOWS = 3;
/**
 * Frames that overtake those still queued at the old uplink arrive out of order. A queue of two large frames or less
 * has left before the next one is through the new uplink.
 */
const QUIET_BYTES = 3100;
/** Between two looks at a queue. */
const QUIET_LOOK_MS = 100;
/** A queue that never runs empty is left after this long: its vNIC sends more than it gets, and it gets more elsewhere. */
const LONGEST_WAIT_MS = 2000;
/** The least time between two looks at the balance, whatever the window. */
const LEAST_LOOK_MS = 1000;

/** Evens out a team's load, or says what would. */
export function rebalance(asked: RebalanceCase): Rebalanced {
  const { world, team, uplinks, roster, placement } = asked;
  const { mode, threshold } = team.config.rebalance;
  const still = { placement, wakeAtMs: null };
  if (mode === "off" || world.hypothetical === true) return { balance: null, ...still };
  const usable = uplinks.flatMap((entry, place) => (entry.usable ? [place] : []));
  const spread = spreadOf(asked, usable);
  const balance = (reason: string, moves: readonly BalanceMove[] = []): Balance => ({
    mode,
    evenUtilisation: evenUtilisation(spread),
    uplinks: usable.map((place, at) => ({
      name: uplinks[place]?.uplink.name ?? "",
      utilisation: utilisationAt(spread, at),
    })),
    moves,
    reason,
  });
  const missing = uplinks.find((entry) => entry.lost || (entry.managed && !entry.usable));
  if (missing !== undefined)
    return { balance: balance(`waits for ${missing.uplink.name}: ${missing.reason}`), ...still };
  if (usable.length < 2) return { balance: balance("there is one uplink only"), ...still };
  const again = {
    placement,
    wakeAtMs: world.nowMs + Math.max(LEAST_LOOK_MS, team.config.loadWindowMs),
  };
  const off = unevenness(spread);
  const allowed = percent(threshold);
  if (off <= threshold)
    return { balance: balance(`even to ${percent(off)}, ${allowed} are allowed`), ...again };
  const uneven = `uneven by ${percent(off)}, ${allowed} are allowed`;
  if (changesUplinks(roster.presence, placement))
    return { balance: balance(`${uneven}; vNICs are being placed for other reasons`), ...again };
  const settledAtMs = settlesAtMs(team);
  if (world.nowMs < settledAtMs) {
    const left = formatDuration(settledAtMs - world.nowMs);
    return { balance: balance(`${uneven}; measured anew for ${left} after a move`), ...again };
  }
  const shifts = findShifts(spread, shiftables(asked, usable), threshold);
  if (shifts.length === 0)
    return { balance: balance(`${uneven}; no vNIC that may move would mend it`), ...again };
  const busy =
    mode === "on" &&
    shifts.some(({ id }) => (roster.members[id]?.vnic.backlogBytes ?? 0) > QUIET_BYTES);
  const waits = busy && world.nowMs - (team.movesWaitSinceMs ?? world.nowMs) < LONGEST_WAIT_MS;
  const shown = mode === "suggest" ? "suggested" : waits ? "waiting" : "made";
  const state = asked.carriesOut ? "made" : shown;
  const moves = shifts.map(({ id, to }): BalanceMove => {
    const { domain, vnic } = roster.members[id] as Member;
    const [from, target] = [placement.homes[id] as number, usable[to] as number];
    return {
      domain: domain.name,
      mac: vnic.mac,
      from: uplinks[from]?.uplink.name ?? "",
      to: uplinks[target]?.uplink.name ?? "",
      loadBitsPerSecond: roster.loads[id] as number,
      state,
      reason: moveReason(asked, spread, usable, id, target),
    };
  });
  if (state === "made") {
    const made = moveHomes(placement, shifts, usable, moves);
    return { balance: balance(uneven, moves), placement: made, wakeAtMs: again.wakeAtMs };
  }
  if (state === "suggested") return { balance: balance(uneven, moves), ...again };
  const reason = `${uneven}; waits until what moves has nothing queued`;
  return {
    balance: balance(reason, moves),
    placement,
    wakeAtMs: world.nowMs + QUIET_LOOK_MS,
  };
}

function utilisationAt({ loads, capacities }: Spread, at: number): number {
  return (loads[at] as number) / (capacities[at] as number);
}

function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}

function spreadOf(asked: RebalanceCase, usable: readonly number[]): Spread {
  const { team, uplinks, roster, placement, activePort } = asked;
  const size = usable.length;
  const spread = {
    capacities: Float64Array.from(usable, (at) => uplinks[at]?.capacityBitsPerSecond ?? 0),
    loads: new Float64Array(size),
    reserved: new Float64Array(size).fill(hostReservation(team.config)),
  };
  const slots = new Int16Array(uplinks.length).fill(-1);
  for (const [slot, place] of usable.entries()) {
    slots[place] = slot;
    if (uplinks[place]?.uplink.name === activePort) spread.loads[slot] = hostLoad(team);
  }
  for (const [index, via] of placement.vias.entries()) {
    const slot = via < 0 ? -1 : (slots[via] as number);
    if (slot < 0) continue;
    spread.loads[slot] = (spread.loads[slot] as number) + (roster.loads[index] as number);
    spread.reserved[slot] = (spread.reserved[slot] as number) + (roster.fulls[index] as number);
  }
  return spread;
}

/** Whether a placement gives anybody another uplink than the kernel has, or a first one. */
export function changesUplinks({ senders }: Presence, { vias }: Placement): boolean {
  for (let index = 0; index < vias.length; index += 1)
    if (vias[index] !== senders[index]) return true;
  return false;
}

/** What the host itself is measured to send, all of it by the active port. */
function hostLoad({ hostDemandBitsPerSecond, hostClassDemandsBitsPerSecond }: TeamState): number {
  const classes = hostClassDemandsBitsPerSecond.reduce((sum: number, rate) => sum + (rate ?? 0), 0);
  return (hostDemandBitsPerSecond ?? 0) + classes;
}

/** When what the last move in the team changed is measured. */
function settlesAtMs({ lastMoveAtMs, config }: TeamState): number {
  if (lastMoveAtMs === null) return 0;
  return lastMoveAtMs + SETTLE_WINDOWS * config.loadWindowMs;
}

/** What may be moved, and where to: lower priorities first where it makes no difference. */
function shiftables(asked: RebalanceCase, usable: readonly number[]): Shiftable[] {
  const { world, team, roster, placement, movers } = asked;
  if (movers === "none") return [];
  const { loadWindowMs, rebalance: rules } = team.config;
  const measuredBeforeMs = world.nowMs - loadWindowMs;
  const items: Shiftable[] = [];
  const company = companyOf(asked);
  for (let turn = roster.order.length - 1; turn >= 0; turn -= 1) {
    const index = roster.order[turn] as number;
    const home = placement.homes[index] as number;
    const load = roster.loads[index] as number;
    if (home < 0 || home !== placement.vias[index] || home !== roster.presence.senders[index])
      continue;
    if (home !== roster.presence.homes[index] || load <= 0) continue;
    if (movers === "unreserved" && (roster.reservations[index] as number) > 0) continue;
    const { domain, vnic } = roster.members[index] as Member;
    if (domain.phase !== "running" || vnic.measuredSinceMs === null) continue;
    if (vnic.measuredSinceMs > measuredBeforeMs) continue;
    if (vnic.recentMoves.length > 0 && isResting(vnic, world.nowMs, rules.coolDownMs)) continue;
    const targets = targetsOf(asked, usable, company, index, home);
    if (targets === 0) continue;
    items.push({
      id: index,
      at: usable.indexOf(home),
      loadBitsPerSecond: load,
      reservedBitsPerSecond: roster.fulls[index] as number,
      targets,
      exclusive: company !== null && (company.has(domain.name) || roster.apart.has(index)),
    });
  }
  return items;
}

function isResting(vnic: Member["vnic"], nowMs: number, coolDownMs: number): boolean {
  if (heldUntilMs(vnic, nowMs) !== null) return true;
  return vnic.recentMoves.some(({ atMs }) => atMs > nowMs - coolDownMs);
}

/** By name of a domain that somebody wants to be apart from: the uplinks where it is, and where those are who want so. */
type Company = ReadonlyMap<string, { readonly there: Set<number>; readonly avoided: Set<number> }>;

function companyOf({ roster, placement }: RebalanceCase): Company | null {
  if (roster.nameCount === 0) return null;
  const company = new Map(
    [...roster.numbers.keys()].map((name) => [
      name,
      { there: new Set<number>(), avoided: new Set<number>() },
    ]),
  );
  for (const [index, { domain, vnic }] of roster.members.entries()) {
    const via = placement.vias[index] as number;
    company.get(domain.name)?.there.add(via);
    for (const name of vnic.policy.placement.apart) company.get(name)?.avoided.add(via);
  }
  return company;
}

/** Bits of the usable uplinks that policy lets a vNIC go to; moving by load comes after every wish. */
function targetsOf(
  asked: RebalanceCase,
  usable: readonly number[],
  company: Company | null,
  index: number,
  home: number,
): number {
  const { uplinks, roster, activePort } = asked;
  const { domain, vnic } = roster.members[index] as Member;
  const { prefer, apart } = vnic.policy.placement;
  const wishOf = (place: number) => {
    const { name, label } = uplinks[place]?.uplink ?? { name: "", label: null };
    const rank = prefer.findIndex((wish) => wish === name || wish === label);
    return rank < 0 ? prefer.length : rank;
  };
  let targets = 0;
  for (const [slot, place] of usable.entries()) {
    if (place === home) continue;
    if (prefer.length > 0 && wishOf(place) > wishOf(home)) continue;
    // As placement has it: a loss of the active port costs more than one of another.
    if ((roster.ranks[index] as number) <= 1 && uplinks[place]?.uplink.name === activePort)
      continue;
    if (company !== null) {
      if (company.get(domain.name)?.avoided.has(place) === true) continue;
      if (apart.some((name) => company.get(name)?.there.has(place) === true)) continue;
    }
    targets |= 1 << slot;
  }
  return targets;
}

function moveReason(
  { uplinks, roster, placement }: RebalanceCase,
  spread: Spread,
  usable: readonly number[],
  index: number,
  target: number,
): string {
  const home = placement.homes[index] as number;
  const [name, to] = [home, target].map((place) => uplinks[place]?.uplink.name);
  const [used, left] = [home, target].map((place) =>
    percent(utilisationAt(spread, usable.indexOf(place))),
  );
  return `from ${name} to ${to} with its ${formatRate(Math.round(roster.loads[index] as number))}: ${name} was used by ${used}, ${to} by ${left}, even is ${percent(evenUtilisation(spread))}`;
}

function moveHomes(
  placement: Placement,
  shifts: readonly { readonly id: number; readonly to: number }[],
  usable: readonly number[],
  moves: readonly BalanceMove[],
): Placement {
  const homes = placement.homes.slice();
  const vias = placement.vias.slice();
  const stories = new Map<number, string>();
  for (const [position, { id, to }] of shifts.entries()) {
    homes[id] = usable[to] as number;
    vias[id] = usable[to] as number;
    stories.set(id, moves[position]?.reason ?? "");
  }
  return { ...placement, homes, vias, stories };
}
