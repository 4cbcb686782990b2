/** Plans for worlds that have not happened yet: the same planner, asked about a loss. */
import type { Plan } from "../model/plan.ts";
import type { TeamState, VnicState, World } from "../model/world.ts";
import { planWorld } from "./plan.ts";
import { isShort } from "./share.ts";

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
      team.config.name === teamName
        ? {
            ...team,
            uplinks: team.uplinks.map((uplink) =>
              lost.includes(uplink.name)
                ? {
                    ...uplink,
                    carrier: false,
                    bondUp: false,
                    lostAtMs: world.nowMs,
                    returnedAtMs: null,
                  }
                : uplink,
            ),
          }
        : team,
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
 * Plans every single loss ahead. `plan` must be the plan of `world`.
 * @returns the loss plans, and the plan with survivesOneLoss filled in
 */
export function planLosses(
  world: World,
  plan: Plan,
): { readonly losses: readonly LossPlan[]; readonly plan: Plan } {
  const after = applied(world, plan);
  const losses: LossPlan[] = [];
  const broken = new Set<string>();
  const reservations = new Map(
    world.domains.flatMap((domain) =>
      domain.vnics.map(
        (vnic) => [vnic.mac, vnic.policy.bandwidth.reservationBitsPerSecond] as const,
      ),
    ),
  );
  for (const team of plan.teams) {
    for (const uplink of team.uplinks) {
      if (!uplink.usable) continue;
      const lossPlan = planWorld(withLoss(after, team.name, [uplink.name]));
      losses.push({ team: team.name, uplink: uplink.name, plan: lossPlan });
      for (const vnic of lossPlan.vnics) {
        const granted =
          vnic.classes.find((grant) => grant.uplink === vnic.via)?.reservationBitsPerSecond ?? 0;
        if (isShort(reservations.get(vnic.mac) ?? 0, granted)) broken.add(vnic.mac);
      }
    }
  }
  return {
    losses,
    plan: {
      ...plan,
      vnics: plan.vnics.map((vnic) => ({ ...vnic, survivesOneLoss: !broken.has(vnic.mac) })),
    },
  };
}
