/** Plans for worlds that have not happened yet: the same planner, asked about a loss. */
import { LAST_VNIC_MINOR } from "../model/kernel.ts";
import type { Plan } from "../model/plan.ts";
import type { TeamState, VnicState, World } from "../model/world.ts";
import { settlePlacement } from "./after-loss.ts";
import { changeKernel, type TeamChange } from "./kernel.ts";
import { assemblePlan, isManaged, judge, makingOf, planWorld, type TeamAnswer } from "./plan.ts";
import type { Presence } from "./roster.ts";
import { planTeam, shortOf, type TeamCase, type TeamResult } from "./team.ts";

/**
 * The world as it will be once a plan is applied: what the kernel's filters then say of each vNIC. Planning it
 * again changes nothing.
 */
export function applied(world: World, plan: Plan): World {
  const byMac = new Map(plan.vnics.map((vnic) => [vnic.mac, vnic]));
  const bonds = new Map(world.teams.map((team) => [team.config.name, team.config.bond]));
  return {
    ...world,
    kernel: plan.kernel,
    domains: world.domains.map((domain) => ({
      ...domain,
      vnics: domain.vnics.map((vnic): VnicState => {
        const planned = byMac.get(vnic.mac);
        if (planned === undefined || planned.team !== vnic.team || planned.minor === 0) return vnic;
        const filter = plan.kernel.get(`vnic ${bonds.get(planned.team) ?? ""} ${vnic.mac}`);
        // While its guest still runs elsewhere a vNIC has classes only.
        if (filter?.kind !== "vnic") return { ...vnic, kernel: null };
        const { minor, home, via } = planned;
        return { ...vnic, kernel: { minor, handle: filter.handle, home, via } };
      }),
    })),
    teams: world.teams.map((team): TeamState => {
      const moved = plan.kernel.get(`active-port ${team.config.bond}`);
      const { bond } = team;
      const uplinks = team.uplinks.map((uplink) => {
        const port = plan.kernel.get(`port-queue ${uplink.name}`);
        return port?.kind === "port-queue" ? { ...uplink, queueId: port.queueId } : uplink;
      });
      if (moved?.kind !== "active-port" || bond === null) return { ...team, uplinks };
      return { ...team, uplinks, bond: { ...bond, activePort: moved.port } };
    }),
  };
}

/** The world at the moment after uplinks of a team lost their carrier, demands latched as they were. */
export function withLoss(world: World, teamName: string, lost: readonly string[]): World {
  return {
    ...world,
    teams: world.teams.map((team) =>
      team.config.name === teamName ? loseUplinks(team, lost, world.nowMs) : team,
    ),
    domains: world.domains.map((domain) => ({
      ...domain,
      vnics: domain.vnics.map((vnic) =>
        vnic.team === teamName && vnic.latchedDemandBitsPerSecond === null
          ? { ...vnic, latchedDemandBitsPerSecond: vnic.demandBitsPerSecond }
          : vnic,
      ),
    })),
  };
}

function loseUplinks(team: TeamState, lost: readonly string[], nowMs: number): TeamState {
  const gone = { carrier: false, bondUp: false, lostAtMs: nowMs, returnedAtMs: null };
  return {
    ...team,
    uplinks: team.uplinks.map((uplink) =>
      lost.includes(uplink.name) ? { ...uplink, ...gone } : uplink,
    ),
  };
}

/** What would be planned if one uplink were lost, for each usable uplink of each team. */
export interface LossPlan {
  readonly team: string;
  readonly uplink: string;
  readonly plan: Plan;
}

/**
 * Plans every single loss ahead: each as planWorld would plan the world once `plan` is applied and the uplink lost.
 * That world is not made: its teams are asked about in columns, which differ only by what the kernel will say.
 * `plan` must be the plan of `world`.
 * @returns the loss plans, and the plan with survivesOneLoss filled in
 */
export function planLosses(
  world: World,
  plan: Plan,
): { readonly losses: readonly LossPlan[]; readonly plan: Plan } {
  const { answers } = makingOf(plan) ?? makingOf(planWorld(world)) ?? { answers: [] };
  const settled = answers.map((answer) => (isManaged(answer) ? settleCase(answer) : null));
  // Of several teams one is degraded; the others are planned as they are once the plan is applied.
  const others = answers.map((answer, place) => {
    const asked = settled[place] ?? null;
    return asked === null || answers.length === 1 ? answer : planTeam(asked);
  });
  const losses: LossPlan[] = [];
  const short = new Set<string>();
  const note = (answer: TeamAnswer): void => {
    if (!isManaged(answer)) return;
    const { members } = answer.asked.roster;
    for (const index of shortOf(answer)) short.add(members[index]?.vnic.mac ?? "");
  };
  for (const [place, asked] of settled.entries()) {
    const answer = answers[place];
    if (asked === null || answer === undefined || !isManaged(answer)) continue;
    const usable = answer.uplinks.filter((entry) => entry.usable);
    for (const { uplink } of usable) {
      const lost = planTeam(withoutUplink(asked, uplink.name));
      note(lost);
      const all = others.with(place, lost);
      losses.push({
        team: answer.team.name,
        uplink: uplink.name,
        plan: assemblePlan(world, all, new Set(), () =>
          changeKernel(plan.kernel, pairTeams(answers, all)),
        ),
      });
    }
    if (usable.length > 0) for (const other of others.toSpliced(place, 1)) note(other);
  }
  return { losses, plan: assemblePlan(world, answers, short, () => plan.kernel) };
}

/** The same teams before and after a loss, whose vNICs are the same. */
function pairTeams(before: readonly TeamAnswer[], after: readonly TeamAnswer[]): TeamChange[] {
  return after.flatMap((now, place) => {
    const old = before[place];
    return isManaged(now) && old !== undefined && isManaged(old)
      ? [{ old, now, origins: null }]
      : [];
  });
}

/** A team once its plan is applied; the same as applied makes of it. */
function settleCase(result: TeamResult): TeamCase {
  const { asked, uplinks, grants } = result;
  const presence = settlePresence(result);
  const { minors, queueIds, moveActiveTo } = result.objects;
  const managed = uplinks.map((entry) => grants.some((grant) => grant.entry === entry));
  const { bond } = asked.team;
  const owners = new Int32Array(LAST_VNIC_MINOR + 1).fill(-1);
  for (const [index, minor] of minors.entries()) if (minor > 0) owners[minor] = index;
  return {
    ...asked,
    presence,
    settlement: settlePlacement(asked.roster, presence, uplinks, result.load),
    team: {
      ...asked.team,
      bond: bond === null || moveActiveTo === null ? bond : { ...bond, activePort: moveActiveTo },
      uplinks: asked.team.uplinks.map((uplink, place) =>
        managed[place] === true ? { ...uplink, queueId: queueIds.get(uplink.name) ?? 0 } : uplink,
      ),
    },
    numbering: {
      prioOf: (index, minor) => {
        const owner = owners[minor] as number;
        if (owner < 0 || managed[presence.senders[index] as number] !== true) return -1;
        return (asked.roster.ranks[owner] as number) + 1;
      },
      others: [],
    },
  };
}

/** What the kernel's filters say once the plan is applied. While its guest still runs elsewhere a vNIC has none. */
function settlePresence({ asked, placement, objects }: TeamResult): Presence {
  const { members } = asked.roster;
  const presence: Presence = {
    homes: asked.presence.homes.slice(),
    senders: asked.presence.senders.slice(),
    minors: asked.presence.minors.slice(),
    handles: asked.presence.handles.slice(),
  };
  for (let index = 0; index < members.length; index += 1) {
    const minor = objects.minors[index] as number;
    if (minor === 0) continue;
    const incoming = members[index]?.domain.phase === "incoming";
    const home = placement.homes[index] as number;
    const via = placement.vias[index] as number;
    presence.homes[index] = incoming ? -1 : home;
    presence.senders[index] = incoming ? -1 : via >= 0 ? via : home;
    presence.minors[index] = incoming ? -1 : minor;
    presence.handles[index] = incoming ? -1 : (objects.handles[index] as number);
  }
  return presence;
}

/** The same with one uplink's carrier lost, demands latched as they are; see withLoss. */
function withoutUplink(asked: TeamCase, uplink: string): TeamCase {
  const { world, roster } = asked;
  const team = loseUplinks(asked.team, [uplink], world.nowMs);
  return { ...asked, team, judged: judge(world, roster, roster.known) };
}
