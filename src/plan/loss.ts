/** Plans for worlds that have not happened yet: the same planner, asked about a loss. */
import type { Plan } from "../model/plan.ts";
import type { TeamState, VnicState, World } from "../model/world.ts";
import { changeKernel, type TeamChange } from "./kernel.ts";
import { assemblePlan, isManaged, makingOf, planWorld, type TeamAnswer } from "./plan.ts";
import { loseUplinks, settleCase, withoutUplink } from "./settled.ts";
import { planTeam, shortOf } from "./team.ts";

/**
 * The world as it will be once a plan is applied: what the kernel's filters then say of each vNIC. Planning it
 * again changes nothing.
 */
export function applied(world: World, plan: Plan): World {
  const byMac = new Map(plan.vnics.map((vnic) => [vnic.mac, vnic]));
  // Whose vNICs get another uplink, or a first one: see changesUplinks.
  const moved = new Set(
    world.domains
      .flatMap((domain) => domain.vnics)
      .filter(({ mac, team, kernel }) => {
        const planned = byMac.get(mac);
        return planned?.team === team && planned.via !== (kernel?.via ?? kernel?.home ?? null);
      })
      .map(({ team }) => team),
  );
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
      const active = plan.kernel.get(`active-port ${team.config.bond}`);
      const { bond } = team;
      const lastMoveAtMs = moved.has(team.config.name) ? world.nowMs : team.lastMoveAtMs;
      const uplinks = team.uplinks.map((uplink) => {
        const port = plan.kernel.get(`port-queue ${uplink.name}`);
        return port?.kind === "port-queue" ? { ...uplink, queueId: port.queueId } : uplink;
      });
      if (active?.kind !== "active-port" || bond === null)
        return { ...team, uplinks, lastMoveAtMs };
      return { ...team, uplinks, lastMoveAtMs, bond: { ...bond, activePort: active.port } };
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
