/** The configuration that a simulated host has. */
import { buildConfig } from "../../src/policy/config.ts";
import type { LoadedConfig } from "../../src/policy/load.ts";
import { BOND, type Links } from "./links.ts";
import type { Random } from "./random.ts";

/** Short enough that a rest sees the end of every pause. */
export const MAX_PAUSE_MS = 120_000;

/** Half of the hosts state their uplinks' speeds, the others leave all to the drivers. */
export function loadedFor(random: Random, links: Links): LoadedConfig {
  const named = links.ports.map(({ name, speedBitsPerSecond }) => ({
    name,
    speed: speedBitsPerSecond,
  }));
  const config = buildConfig([
    {
      teams: [
        {
          bond: BOND,
          ...(random.chance(0.5) ? { uplinks: named } : {}),
          holdDown: 5000,
          loadWindow: 2000,
          ...(random.chance(0.5) ? { bondUpdelay: 1000 } : {}),
        },
      ],
      maxPause: MAX_PAUSE_MS,
    },
  ]);
  return { config, policies: new Map(), files: [] };
}
