/** The plan of one team: usability, placement, grants, degradation and kernel objects put together. */

import type { KernelObject } from "../model/kernel.ts";
import type { TeamPlan, VnicPlan } from "../model/plan.ts";
import type { DomainState, TeamState, World } from "../model/world.ts";
import { type Casualty, discardsAtLoss, settleDegradation } from "./actions.ts";
import { wantOf } from "./demand.ts";
import { expectRates } from "./expect.ts";
import { ceilingOf, grantClasses, type Load, loadUplinks, type UplinkGrants } from "./grants.ts";
import { assignHandles, assignMinors, assignQueueIds } from "./identity.ts";
import { addTeamObjects } from "./objects.ts";
import { pauseEndsAtMs } from "./pause.ts";
import { type Member, type Placed, placeMembers } from "./placement.ts";
import { judgeUplinks, type Usability } from "./usable.ts";

export interface TeamResult {
  readonly team: TeamPlan;
  readonly vnics: readonly VnicPlan[];
  /** With the time at which each is due. */
  readonly casualties: readonly DueCasualty[];
  readonly nextWakeAtMs: number | null;
  /** Adds the team's kernel objects to a map. */
  readonly addObjects: (objects: Map<string, KernelObject>) => void;
}

export interface DueCasualty extends Casualty {
  readonly dueAtMs: number;
}

/** Plans a team. */
export function planTeam(world: World, team: TeamState): TeamResult {
  const hypothetical = world.hypothetical === true;
  const uplinks = judgeUplinks(team, world.nowMs);
  const { bond } = team;
  const refusal = refuse(team, hypothetical);
  if (bond === null || refusal !== null) return refused(team, uplinks, refusal ?? "no such bond");
  const fallback = fallbackOf(team, uplinks);
  const activeMoves = activeMustMove(team, uplinks);
  const placed = placeMembers(membersOf(world.domains, team.config.name), {
    uplinks,
    activePort: activePortOf(team, uplinks),
    hostBitsPerSecond: team.config.host.reservationBitsPerSecond,
    nowMs: world.nowMs,
  });
  const load = loadUplinks(team.config, uplinks, placed);
  const missing = uplinks.filter((entry) => entry.lost || (entry.managed && !entry.usable));
  const isolated = !uplinks.some((entry) => entry.usable);
  const judged =
    missing.length === 0 || isolated ? [] : settleDegradation(team, load, hypothetical);
  const since = Math.max(0, ...missing.map(missingSinceMs));
  const casualties = judged.map((casualty) => ({
    ...casualty,
    dueAtMs: casualty.immediate ? world.nowMs : since + casualty.graceMs,
  }));
  const { silent, discarded } = findSilent(world, casualties, placed, isolated);
  const drained = new Set(
    uplinks.filter((entry) => !entry.lost && !entry.usable).map((entry) => entry.uplink.name),
  );
  // An uplink that is drained fails nobody: what leaves it goes on.
  const discardedWhenDisplaced = indexesOf(
    placed,
    (member) => discardsAtLoss(member) && !drained.has(member.home ?? ""),
  );
  const grants = grantClasses(load, silent, discardedWhenDisplaced);
  const expected = expectAll(team, load, silent);
  const minors = assignMinors(placed, world.kernel, bond.name);
  const wakes = [
    ...uplinks.flatMap((entry) => (entry.heldUntilMs === null ? [] : [entry.heldUntilMs])),
    ...casualties.map((casualty) => casualty.dueAtMs),
    ...placed.flatMap((member) => (member.heldUntilMs === null ? [] : [member.heldUntilMs])),
  ].filter((at) => at > world.nowMs);
  return {
    team: describeTeam(team, bond.name, uplinks, missing, grants),
    vnics: placed.map((member, index) =>
      describeVnic(member, index, team.config.name, minors[index] ?? null, grants, expected),
    ),
    casualties,
    nextWakeAtMs: wakes.length === 0 ? null : Math.min(...wakes),
    addObjects: (objects) => {
      addTeamObjects(objects, {
        team,
        uplinks,
        placed,
        grants,
        minors,
        handles: assignHandles(placed),
        queueIds: queueIdsOf(uplinks),
        fallback,
        moveActiveTo: activeMoves ? fallback : null,
        discarded,
        discardedWhenDisplaced,
      });
    },
  };
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
  casualties: readonly DueCasualty[],
  placed: readonly Placed[],
  isolated: boolean,
): { silent: Set<number>; discarded: Set<number> } {
  const silent = new Set<number>();
  const discarded = new Set<number>();
  for (const { domain, action, dueAtMs, indexes } of casualties) {
    const due = dueAtMs <= world.nowMs;
    const stopped = action === "pause" || action === "migrate";
    const isDone = world.hypothetical === true ? due : isPaused(world, domain);
    if (action === "discard" && due) for (const index of indexes) discarded.add(index);
    if ((action === "discard" && due) || (stopped && isDone))
      for (const index of indexes) silent.add(index);
  }
  // With nothing usable nobody was judged, and what is paused stays so.
  if (isolated) {
    for (const index of indexesOf(placed, ({ domain }) => isPaused(world, domain)))
      silent.add(index);
  }
  return { silent, discarded };
}

/** Whether we paused it and don't resume it at once because its time is over. */
function isPaused(world: World, domain: DomainState): boolean {
  const endsAtMs = pauseEndsAtMs(world, domain);
  return domain.phase === "paused" && endsAtMs !== null && endsAtMs > world.nowMs;
}

function expectAll(team: TeamState, load: Load, silent: ReadonlySet<number>): Float64Array {
  const expected = new Float64Array(load.placed.length);
  for (const uplink of load.uplinks) {
    if (uplink.entry.usable) expectRates(team, load, uplink, silent, expected);
  }
  return expected;
}

/** Why a bond can't be managed as it is, with advice; null where it can. In a what-if any can. */
export function refuse(team: TeamState, hypothetical: boolean): string | null {
  const { bond } = team;
  if (bond === null) return `there is no bond ${team.config.bond}`;
  if (hypothetical) return null;
  if (bond.mode !== "active-backup") {
    return `mode ${bond.mode} is not supported yet: use active-backup`;
  }
  if (bond.miimonMs === 0) {
    return `${bond.name} has miimon 0 and never fails over: ip link set ${bond.name} type bond miimon 100`;
  }
  return null;
}

function refused(team: TeamState, uplinks: readonly Usability[], reason: string): TeamResult {
  return {
    team: {
      name: team.config.name,
      bond: team.config.bond,
      condition: "refused",
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
    },
    vnics: [],
    casualties: [],
    nextWakeAtMs: null,
    addObjects: () => {},
  };
}

function describeTeam(
  team: TeamState,
  bond: string,
  uplinks: readonly Usability[],
  missing: readonly Usability[],
  grants: readonly UplinkGrants[],
): TeamPlan {
  const isolated = !uplinks.some((entry) => entry.usable);
  return {
    name: team.config.name,
    bond,
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
  };
}

function membersOf(domains: readonly DomainState[], team: string): Member[] {
  return domains.flatMap((domain) =>
    domain.vnics.filter((vnic) => vnic.team === team).map((vnic) => ({ domain, vnic })),
  );
}

function indexesOf(placed: readonly Placed[], test: (member: Placed) => boolean): Set<number> {
  const indexes = new Set<number>();
  placed.forEach((member, index) => {
    if (test(member)) indexes.add(index);
  });
  return indexes;
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

function describeVnic(
  member: Placed,
  index: number,
  team: string,
  minor: number | null,
  grants: readonly UplinkGrants[],
  expected: Float64Array,
): VnicPlan {
  const { vnic, domain, via, home } = member;
  const { reservationBitsPerSecond, limitBitsPerSecond } = vnic.policy.bandwidth;
  const gets = expected[index] ?? 0;
  const unmet = Math.min(reservationBitsPerSecond, wantOf(member)) - gets;
  return {
    domain: domain.name,
    mac: vnic.mac,
    team,
    priority: vnic.policy.priority,
    home,
    via,
    minor: minor ?? 0,
    classes: grants.map(({ entry, rates }) => {
      const rate = rates[index] ?? 0;
      return {
        uplink: entry.uplink.name,
        reservationBitsPerSecond: rate,
        limitBitsPerSecond: ceilingOf(limitBitsPerSecond, entry.capacityBitsPerSecond, rate),
      };
    }),
    expectedBitsPerSecond: gets,
    unmetReservationBitsPerSecond: Math.max(0, unmet),
    survivesOneLoss: true,
    reasons:
      minor === null
        ? [...member.reasons, "no class number is left: it is in the default class"]
        : member.reasons,
  };
}
