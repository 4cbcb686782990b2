/** `uplinkctl simulate` on the live host: the planner asked about this world with something lost. */
import type { SimulationDocument } from "../model/simulation.ts";
import type { World } from "../model/world.ts";
import { simulateLoss } from "../plan/simulate.ts";
import type { ControlLoop } from "./loop.ts";

export class WhatIf {
  readonly #loop: Pick<ControlLoop, "imagine" | "last">;

  constructor(loop: Pick<ControlLoop, "imagine" | "last">) {
    this.#loop = loop;
  }

  /** Uplinks of the teams that are managed, which can be asked about. */
  uplinkNames(): readonly string[] {
    const teams = this.#world()?.teams ?? [];
    return teams.flatMap((team) => team.uplinks.map((uplink) => uplink.name));
  }

  /** @param failed of {@link uplinkNames} */
  simulate(failed: readonly string[]): SimulationDocument {
    const world = this.#world();
    if (world !== null) return simulateLoss(world, failed);
    return { failed: [], condition: "refused", uplinks: [], host: [], vnics: [], domains: [] };
  }

  /** A team that isn't managed is left out: there a what-if would promise what nobody keeps. */
  #world(): World | null {
    const world = this.#loop.imagine([]);
    if (world === null) return null;
    const refused = new Set(
      this.#loop.last?.plan.teams.flatMap(({ condition, name }) =>
        condition === "refused" || condition === "barred" ? [name] : [],
      ),
    );
    return { ...world, teams: world.teams.filter((team) => !refused.has(team.config.name)) };
  }
}
