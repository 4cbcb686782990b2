/** The configuration that a simulated host has. */
import { buildConfig } from "../../src/policy/config.ts";
import type { LoadedConfig } from "../../src/policy/load.ts";
import { BOND, type Links } from "./links.ts";
import type { Random } from "./random.ts";

/** Short enough that a rest sees the end of every pause. */
export const MAX_PAUSE_MS = 120_000;

/** Migrations at a time. */
export const CONCURRENT = 2;

/** Shorter than most histories, longer than the averages' memory. */
export const COOL_DOWN_MS = 60_000;

/** The probes' target, 192.0.2.1, as the network has it. */
export const TARGET = "192,0,2,1";

/** Half of the hosts state their uplinks' speeds and have classes for what they send, the others leave all as it is. */
export function loadedFor(random: Random, links: Links): LoadedConfig {
  const named = links.ports.map(({ name, speedBitsPerSecond }) => ({
    name,
    speed: speedBitsPerSecond,
  }));
  const stated = random.chance(0.5);
  const match = [{ protocol: "tcp" as const, destinationPort: "49152-49215" }];
  const host = {
    management: { reservation: 1e6, match: [{ vlan: 5 }] },
    migration: { limit: 200e6, match },
  };
  const config = buildConfig([
    {
      teams: [
        {
          bond: BOND,
          ...(stated ? { uplinks: named, host } : {}),
          // By what was drawn already, too.
          ...(links.ports[0]?.txQueues === 1
            ? { probes: { targets: [TARGET.replaceAll(",", ".")] } }
            : {}),
          holdDown: 5000,
          loadWindow: 2000,
          rebalance: {
            // By what was drawn already, so that seeds keep their histories.
            mode: links.ports.length > 3 ? "suggest" : links.ports.length > 2 ? "on" : "off",
            coolDown: COOL_DOWN_MS,
          },
          ...(random.chance(0.5) ? { bondUpdelay: 1000 } : {}),
        },
      ],
      maxPause: MAX_PAUSE_MS,
      destinations: ["rack2", "rack3"].map((name) => ({ name, uri: `qemu+tls://${name}/system` })),
      // Some take longer, and are aborted.
      migration: { concurrent: CONCURRENT, timeout: 20_000, retry: 60_000 },
    },
  ]);
  return { config, policies: new Map(), files: [], texts: [], policyFiles: new Map() };
}
