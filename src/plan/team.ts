/** The plan of one team: usability, placement, grants, degradation and kernel objects put together. */

import type { Balance, TeamPlan, VnicPlan } from "../model/plan.ts";
import type { DomainState, TeamState, World } from "../model/world.ts";
import { type Casualty, type Judged, settleDegradation } from "./actions.ts";
import { placeAfterLoss, type Settlement } from "./after-loss.ts";
import type { PlacementContext } from "./choice.ts";
import {
  type Earlier,
  loadAgain,
  placeAgain,
  sameGround,
  sameNumbers,
  shareColumns,
} from "./earlier.ts";
import { expectHost, expectRates } from "./expect.ts";
import { flaggedIn } from "./flagged.ts";
import { grantClasses, type Silence, type UplinkGrants } from "./grants.ts";
import { followHash } from "./hash.ts";
import { hostReservation } from "./host.ts";
import { assignHandles, assignMinors, assignQueueIds, type Numbering } from "./identity.ts";
import type { Load } from "./load.ts";
import type { TeamObjectsInput } from "./objects.ts";
import { pauseEndsAtMs } from "./pause.ts";
import { type Placement, placeMembers } from "./placement.ts";
import { type Movers, rebalance } from "./rebalance.ts";
import type { Presence, Roster } from "./roster.ts";
import { isShort } from "./share.ts";
import { findTaps } from "./sources.ts";
import { refuse, wiringOf } from "./steering.ts";
import { judgeUplinks, type Usability } from "./usable.ts";
import { describeVnics } from "./vnic-plan.ts";

/** A team as it is, or as it would be: what is to be planned. */
export interface TeamCase {
  /** Its time and its configuration; its domains are those of the roster. */
  readonly world: World;
  readonly team: TeamState;
  readonly roster: Roster;
  readonly presence: Presence;
  readonly judged: Judged;
  readonly numbering: Numbering;
  /** Of a loss: what was settled before it. */
  readonly settlement?: Settlement | null;
  /** Who may be moved to even out the load. */
  readonly movers: Movers;
  /** Moves that are only suggested, or wait, are made: to see what they would bring. */
  readonly carriesOut: boolean;
}

/** The plan of a team that is managed. What only some of its readers ask for is made when first asked for. */
export interface TeamResult {
  readonly asked: TeamCase;
  readonly team: TeamPlan;
  readonly uplinks: readonly Usability[];
  /** What placing went by. */
  readonly context: PlacementContext;
  readonly placement: Placement;
  readonly load: Load;
  readonly grants: readonly UplinkGrants[];
  readonly silence: Silence;
  readonly casualties: readonly Casualty[];
  readonly nextWakeAtMs: number | null;
  readonly vnics: readonly VnicPlan[];
  /** Bits per second by index in the roster, see expectRates. */
  readonly expected: Float64Array;
  /** The same of the host's classes, for each usable uplink by its name; see expectHost. */
  readonly hostExpected: ReadonlyMap<string, readonly number[]>;
  /** What the kernel's objects are made of. */
  readonly objects: TeamObjectsInput;
}

/**
 * Plans a team.
 * @param earlier whose vNICs' plans are taken where they are the same
 * @returns the plan; of a team that can't be managed only what is said of it
 */
export function planTeam(asked: TeamCase, earlier: Earlier | null = null): TeamResult | TeamPlan {
  const { world, team, roster, presence, judged } = asked;
  const hypothetical = world.hypothetical === true;
  const uplinks = judgeUplinks(team, world.nowMs);
  const { bond } = team;
  const refusal = team.barred ?? refuse(team, hypothetical);
  if (bond === null || refusal !== null) return unmanaged(team, uplinks, refusal ?? "no such bond");
  const fallback = fallbackOf(team, uplinks);
  const activeMoves = activeMustMove(team, uplinks);
  const activePort = activePortOf(team, uplinks);
  const context = {
    uplinks,
    activePort,
    hostBitsPerSecond: hostReservation(team.config),
    nowMs: world.nowMs,
  };
  const hashed = wiringOf(team).steering === "hash";
  const quick =
    hashed || asked.settlement == null ? null : placeAfterLoss(roster, asked.settlement, context);
  const again = hashed || earlier === null ? null : placeAgain(asked, context, earlier);
  const placed =
    quick?.placement ??
    again ??
    (hashed ? followHash(team, uplinks, roster) : placeMembers(roster, presence, context));
  const {
    placement: settled,
    balance,
    wakeAtMs,
  } = rebalance({
    // Where bonding chooses, there is nothing to move.
    ...{ world, team: hashed ? withoutRebalancing(team) : team, uplinks, roster },
    ...{ placement: placed, activePort, movers: asked.movers, carriesOut: asked.carriesOut },
  });
  const placement = earlier === null ? settled : shareColumns(settled, earlier.result.placement);
  const load = quick?.load ?? loadAgain(asked, uplinks, placement, earlier);
  const missing = uplinks.filter((entry) => entry.lost || (entry.managed && !entry.usable));
  const isolated = !uplinks.some((entry) => entry.usable);
  const since = Math.max(0, ...missing.map(missingSinceMs));
  const casualties =
    missing.length === 0 || isolated ? [] : settleDegradation(world, team, load, judged, since);
  const { silence, discarded } = findSilent(world, casualties, roster, isolated);
  const discardedWhenDisplaced = discardsOf(roster, placement, uplinks);
  const known = silence === null && earlier !== null && sameGround(load, earlier) ? earlier : null;
  const grants = grantClasses(load, silence, discardedWhenDisplaced, known?.result.grants);
  const wakes = [
    ...uplinks.flatMap((entry) => (entry.heldUntilMs === null ? [] : [entry.heldUntilMs])),
    ...casualties.map((casualty) => casualty.dueAtMs),
    ...placement.heldUntilMs,
    ...(wakeAtMs === null ? [] : [wakeAtMs]),
  ].filter((at) => at > world.nowMs);
  let vnics: readonly VnicPlan[] | null = null;
  let expected: Float64Array | null = null;
  let former = earlier;
  let objects: TeamObjectsInput | null = null;
  const result: TeamResult = {
    asked,
    team: describeTeam(team, { uplinks, missing, grants, balance }),
    uplinks,
    context,
    placement,
    load,
    grants,
    silence,
    casualties,
    nextWakeAtMs: least(wakes),
    get vnics() {
      if (vnics === null) {
        vnics = describeVnics(result, former);
        // Or every plan would keep all those before it.
        former = null;
      }
      return vnics;
    },
    get expected() {
      expected ??= expectRates(team, load, silence);
      return expected;
    },
    get hostExpected() {
      const usable = load.uplinks.filter((uplink) => uplink.entry.usable);
      return new Map(
        usable.map((uplink) => [uplink.entry.uplink.name, expectHost(team, load, uplink, silence)]),
      );
    },
    get objects() {
      objects ??= {
        team,
        uplinks,
        roster,
        placement,
        grants,
        minors:
          former !== null && sameNumbers(asked, former)
            ? former.result.objects.minors
            : assignMinors(roster, presence, asked.numbering),
        handles: assignHandles(roster, presence),
        taps: findTaps(team, roster),
        queueIds: queueIdsOf(uplinks),
        fallback,
        moveActiveTo: activeMoves ? fallback : null,
        discarded,
        discardedWhenDisplaced,
      };
      return objects;
    },
  };
  return result;
}

function withoutRebalancing(team: TeamState): TeamState {
  const { config } = team;
  return { ...team, config: { ...config, rebalance: { ...config.rebalance, mode: "off" } } };
}

/** The least of some times; null for none. Not by spreading: there may be as many as vNICs. */
export function least(times: readonly number[]): number | null {
  let found: number | null = null;
  for (const at of times) if (found === null || at < found) found = at;
  return found;
}

/** Indexes of the vNICs whose reservation isn't met where they are carried, or that nothing carries. */
export function shortOf({ asked, placement, grants, silence }: TeamResult): number[] {
  const { reservations, leasts } = asked.roster;
  const short: number[] = [];
  const judgeRate = (index: number, granted: number): void => {
    if (isShort(reservations[index] as number, granted)) short.push(index);
  };
  const usable = grants.filter((grant) => grant.entry.usable);
  if (usable.length === 0) for (const index of placement.vias.keys()) judgeRate(index, 0);
  const whole = new Set<number>();
  for (const { cut, residents, place } of usable) {
    if (cut === null) whole.add(place);
    else
      for (const [position, rate] of cut.entries())
        judgeRate(residents.indexes[position] as number, rate);
  }
  // What is neither cut nor silent has its whole reservation.
  if (silence === null || whole.size === 0) return short;
  for (const index of flaggedIn(silence))
    if (whole.has(placement.vias[index] as number)) judgeRate(index, leasts[index] as number);
  return short;
}

/** Since when an uplink is missing; 0 where that was before we looked. */
function missingSinceMs({ uplink }: Usability): number {
  return uplink.drainedAtMs ?? uplink.lostAtMs ?? 0;
}

/**
 * Who sends nothing now: whose data is discarded, and whom we paused and keep paused. In a what-if all that is
 * due has been done.
 */
function findSilent(
  world: World,
  casualties: readonly Casualty[],
  { members }: Roster,
  isolated: boolean,
): { silence: Silence; discarded: Silence } {
  let silence: Silence = null;
  let discarded: Silence = null;
  for (const casualty of casualties) {
    const { action, first, end } = casualty;
    const due = casualty.dueAtMs <= world.nowMs;
    const stopped = action === "pause" || action === "migrate";
    const discards = action === "discard" && due;
    if (discards) {
      discarded ??= new Uint8Array(members.length);
      discarded.fill(1, first, end);
    }
    const isDone = () => (world.hypothetical === true ? due : isPaused(world, casualty.domain));
    if (discards || (stopped && isDone())) {
      silence ??= new Uint8Array(members.length);
      silence.fill(1, first, end);
    }
  }
  // With nothing usable nobody was judged, and what is paused stays so.
  if (isolated)
    silence = Uint8Array.from(members, ({ domain }) => (isPaused(world, domain) ? 1 : 0));
  return { silence, discarded };
}

/** Whose data is discarded once it is displaced. An uplink that is drained fails nobody: what leaves it goes on. */
function discardsOf(
  { discards }: Roster,
  { homes }: Placement,
  uplinks: readonly Usability[],
): Silence {
  if (!discards.includes(1)) return null;
  const drained = uplinks.map((entry) => !entry.lost && !entry.usable);
  if (!drained.includes(true)) return discards;
  return discards.map((flag, index) => (drained[homes[index] as number] === true ? 0 : flag));
}

/** Whether we paused it and don't resume it at once because its time is over. */
function isPaused(world: World, domain: DomainState): boolean {
  if (domain.phase !== "paused") return false;
  const endsAtMs = pauseEndsAtMs(world, domain);
  return endsAtMs !== null && endsAtMs > world.nowMs;
}

function unmanaged(team: TeamState, uplinks: readonly Usability[], reason: string): TeamPlan {
  return {
    name: team.config.name,
    bond: team.config.bond,
    condition: team.barred === undefined ? "refused" : "barred",
    uplinks: uplinks.map((entry) => ({
      name: entry.uplink.name,
      team: team.config.name,
      usable: false,
      capacityBitsPerSecond: 0,
      committedBitsPerSecond: 0,
      reason: entry.reason,
    })),
    reasons: [reason],
    conflicts: team.conflicts,
    balance: null,
  };
}

function describeTeam(
  team: TeamState,
  told: {
    readonly uplinks: readonly Usability[];
    readonly missing: readonly Usability[];
    readonly grants: readonly UplinkGrants[];
    readonly balance: Balance | null;
  },
): TeamPlan {
  const { uplinks, missing, grants, balance } = told;
  const isolated = !uplinks.some((entry) => entry.usable);
  return {
    name: team.config.name,
    bond: team.bond?.name ?? team.config.bond,
    condition: isolated ? "isolated" : missing.length > 0 ? "degraded" : "ok",
    uplinks: uplinks.map((entry) => ({
      name: entry.uplink.name,
      team: team.config.name,
      usable: entry.usable,
      capacityBitsPerSecond: entry.usable ? entry.capacityBitsPerSecond : 0,
      committedBitsPerSecond: entry.usable
        ? (grants.find((grant) => grant.entry === entry)?.committedBitsPerSecond ?? 0)
        : 0,
      reason: entry.reason,
    })),
    reasons: missing.map((entry) => `${entry.uplink.name}: ${entry.reason}`),
    conflicts: team.conflicts,
    balance,
  };
}

function queueIdsOf(uplinks: readonly Usability[]): Map<string, number> {
  const statesOf = (managed: boolean) =>
    uplinks.filter((entry) => entry.managed === managed).map((entry) => entry.uplink);
  return assignQueueIds(statesOf(true), statesOf(false));
}

/** The active port as planned; null where the bond has none, or isn't of active-backup mode. */
export function activePortOf(team: TeamState, uplinks: readonly Usability[]): string | null {
  if (team.bond?.mode !== "active-backup") return null;
  return activeMustMove(team, uplinks) ? fallbackOf(team, uplinks) : team.bond.activePort;
}

/** Whether the bond has to be told to use another port: its own is lost or drained, or it has none. */
function activeMustMove({ bond }: TeamState, uplinks: readonly Usability[]): boolean {
  if (bond?.mode !== "active-backup") return false;
  if (bond.activePort === null) return true;
  const active = uplinks.find((entry) => entry.uplink.name === bond.activePort);
  return active?.managed === true && !active.ready && !active.usable;
}

/** The active port if it is usable, else the primary, else the widest usable one, else the first in order. */
function fallbackOf(team: TeamState, uplinks: readonly Usability[]): string | null {
  const usable = uplinks.filter((entry) => entry.usable);
  const { bond } = team;
  const named = (name: string | null) => usable.find((entry) => entry.uplink.name === name);
  const widest = usable.reduce<Usability | undefined>(
    (best, entry) =>
      best === undefined || entry.capacityBitsPerSecond > best.capacityBitsPerSecond ? entry : best,
    undefined,
  );
  const chosen = named(bond?.activePort ?? null) ?? named(bond?.primaryPort ?? null) ?? widest;
  return chosen?.uplink.name ?? null;
}
