/** Which uplinks were lost and came back, by their links and by probes, over all looks of the loop; and tells of it. */
import type { TeamConfig } from "../model/config.ts";
import type { LinkState } from "../model/link.ts";
import { observeUplinks, type UplinkMemories } from "../observe/uplinks.ts";
import type { EventLog } from "./events.ts";
import type { PathSource, TeamDevices } from "./ports.ts";

export class Outages {
  readonly #log: EventLog;
  readonly #probes: PathSource;
  #memories: UplinkMemories = new Map();

  constructor(log: EventLog, probes: PathSource) {
    this.#log = log;
    this.#probes = probes;
  }

  /** Takes a fresh look. @param devices of each team, in the same order */
  look(
    links: readonly LinkState[],
    teams: readonly TeamConfig[],
    devices: readonly TeamDevices[],
    nowMs: number,
  ): UplinkMemories {
    const { paths } = this.#probes;
    const byName = new Map(links.map((link) => [link.name, link]));
    let memories: UplinkMemories = new Map();
    teams.forEach((team, index) => {
      const ports = devices[index]?.ports ?? [];
      const known = team.probes === null ? undefined : paths;
      const seen = observeUplinks(this.#memories, byName, ports, team, nowMs, known);
      memories = new Map([...memories, ...seen.memories]);
      for (const change of seen.changes) {
        const lost = change.change === "lost";
        this.#log.tell(
          lost ? "warning" : "notice",
          lost ? "uplink-lost" : "uplink-returned",
          `team ${team.name}: uplink ${change.uplink} ${lost ? "lost" : "returned"}: ${change.reason}`,
          { team: team.name, uplink: change.uplink },
        );
      }
    });
    this.#memories = memories;
    return memories;
  }
}
