/** A host with many vNICs: the real planner's plan for the lab's own links, without a thousand real guests. */

import type { KernelMap } from "../../src/model/kernel.ts";
import type { LinkState } from "../../src/model/link.ts";
import type { Plan } from "../../src/model/plan.ts";
import type { World } from "../../src/model/world.ts";
import { planWorld } from "../../src/plan/plan.ts";
import { ip, run } from "../../test/lab/command.ts";
import { uplinkNames } from "../../test/lab/host.ts";
import { buildWorld, GBIT, type VnicSpec } from "../../test/unit/world.ts";

export interface FleetShape {
  readonly vnics: number;
  /** What each uplink is told to be; more than the lab can carry, so that no shaper limits. */
  readonly speedBitsPerSecond?: number;
  /** One vNIC's own wish; by default an equal share. */
  readonly wish?: (index: number) => VnicSpec;
}

/** The planner's world of a team on the lab's bond, as the daemon would see it. */
export function fleetWorld(links: readonly LinkState[], shape: FleetShape): World {
  const indexOf = (name: string) => links.find((link) => link.name === name)?.ifindex ?? 0;
  const world = buildWorld({
    uplinks: uplinkNames().map((name) => ({
      name,
      ifindex: indexOf(name),
      speedBitsPerSecond: shape.speedBitsPerSecond ?? 10 * GBIT,
    })),
    domains: Array.from({ length: shape.vnics }, (_, index) => ({
      name: `vm${index}`,
      vnics: [shape.wish?.(index) ?? {}],
    })),
  });
  return {
    ...world,
    teams: world.teams.map((team) =>
      team.bond === null ? team : { ...team, bond: { ...team.bond, ifindex: indexOf("bond0") } },
    ),
  };
}

/** Plans a fleet. */
export function fleetPlan(links: readonly LinkState[], shape: FleetShape): Plan {
  return planWorld(fleetWorld(links, shape));
}

/** Takes away whatever stands on bond and uplinks, whoever made it, and our shared actions. */
export function clearKernel(): void {
  for (const device of ["bond0", ...uplinkNames()]) {
    for (const what of ["root", "clsact"]) {
      // Nothing there to take away is as good.
      run("sh", "-c", `tc qdisc del dev ${device} ${what} 2>/dev/null || :`);
    }
  }
  // A filter lets go of its shared action only after a while.
  run("sleep", "0.3");
  run("sh", "-c", "tc actions flush action skbedit 2>/dev/null || :");
  ip(uplinkNames().map((name) => `link set ${name} promisc off`));
}

/** How many objects of a kind a plan has. */
export function countKind(objects: KernelMap, kind: string): number {
  return [...objects.values()].filter((object) => object.kind === kind).length;
}
