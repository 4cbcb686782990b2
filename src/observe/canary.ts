/** The world as it is managed while only a part of the host is enabled. Pure. */
import { describeScope, type Scope } from "../model/scope.ts";
import type { World } from "../model/world.ts";

/**
 * Leaves out what isn't enabled: other teams are barred, other domains' vNICs have no class of their own and go with
 * the host's. The planner then has nothing to plan for them, and status says why.
 */
export function confine(world: World, scope: Scope): World {
  if (scope.kind === "host") return world;
  const reason = `only ${describeScope(scope)} is enabled; \`uplinkctl enable\` enables the rest`;
  const enabled = scope.kind === "team" ? [scope.team] : scope.teams;
  const isEnabled = (domain: string, team: string) =>
    enabled.includes(team) && (scope.kind === "team" || domain === scope.domain);
  return {
    ...world,
    teams: world.teams.map((team) =>
      enabled.includes(team.config.name) ? team : { ...team, barred: reason },
    ),
    domains: world.domains.map((domain) => ({
      ...domain,
      vnics: domain.vnics.map((vnic) =>
        vnic.team === null || isEnabled(domain.name, vnic.team)
          ? vnic
          : { ...vnic, team: null, unshapedReason: reason },
      ),
    })),
  };
}
