/** What is told of frames whose source address isn't their sender's: in status, in explanations, in the log. */
import type { SourceCount } from "../model/source-count.ts";
import type { SourceStatus, SourcesStatus } from "../model/status.ts";
import type { TeamState, VnicState, World } from "../model/world.ts";
import { judgesSources } from "../plan/sources.ts";
import type { EventLog } from "./events.ts";

/** A flood of forged frames is one line a minute and interface. */
const QUIET_MS = 60_000;

/** A team's sources as status shows them; null where nothing is done about them. */
export function describeSources(
  team: TeamState,
  world: World,
  counts: readonly SourceCount[],
): SourcesStatus | null {
  if (!judgesSources(team.config)) return null;
  const { forged, unregistered } = team.config.sources;
  const own = counts.filter(({ bond }) => bond === team.bond?.name);
  const framesOf = (ifindex: number, kind: SourceCount["kind"]) =>
    Number(own.find((one) => one.fromIfindex === ifindex && one.kind === kind)?.frames ?? 0n);
  const interfaces = team.passedOnFrom.flatMap(({ name, ifindex, bridged }): SourceStatus[] => {
    if (bridged === undefined) return [];
    const forgedFrames = forged === "off" ? 0 : framesOf(ifindex, "forged");
    const unregisteredFrames = unregistered === "off" ? 0 : framesOf(ifindex, "unregistered");
    if (forgedFrames + unregisteredFrames === 0) return [];
    const domain = world.domains.find(({ vnics }) => vnics.some(({ tap }) => tap === name));
    return [{ device: name, domain: domain?.name ?? null, forgedFrames, unregisteredFrames }];
  });
  return { forged, unregistered, interfaces };
}

/** What holds for a vNIC's source address, for people; none where nothing is done about it. */
export function sourceReasons(vnic: VnicState, team: TeamState | undefined): string[] {
  if (team === undefined || !judgesSources(team.config)) return [];
  const { forged, unregistered } = team.config.sources;
  if (vnic.isMacvtap) {
    return [
      "source addresses: its own is kept from guests behind taps; what its macvtap itself forges can't be told on the bond, and isn't dropped",
    ];
  }
  const isThere = team.passedOnFrom.some(
    ({ name, bridged }) => name === vnic.tap && bridged !== undefined,
  );
  if (!isThere) return ["source addresses: not judged, its tap is no port of a bridge on the bond"];
  const other = { off: "unjudged", log: "counted", drop: "dropped" } as const;
  return [
    `source addresses: by ${vnic.tap}, frames with another vNIC's are ${other[forged]}, with no vNIC's ${other[unregistered]}`,
  ];
}

/** Tells of new frames in the log. */
export class SourceWatch {
  readonly #told = new Map<string, { frames: number; atMs: number }>();

  note(teams: readonly SourcesStatus[], nowMs: number, log: EventLog): void {
    for (const { forged, unregistered, interfaces } of teams) {
      for (const { device, domain, forgedFrames, unregisteredFrames } of interfaces) {
        const tell = (kind: "forged" | "unregistered", frames: number, isDropped: boolean) => {
          const fresh = this.#fresh(`${device} ${kind}`, frames, nowMs);
          if (fresh === 0) return;
          const whose =
            kind === "forged" ? "another vNIC's address" : "an address that is no vNIC's";
          const who = domain === null ? device : `${device} (domain ${domain})`;
          const end = isDropped ? "dropped" : "let through in the default class";
          log.tell("warning", `source-${kind}`, `${who}: ${fresh} frames with ${whose}, ${end}`, {
            ...{ device, domain: domain ?? "", frames: fresh },
          });
        };
        tell("forged", forgedFrames, forged === "drop");
        tell("unregistered", unregisteredFrames, unregistered === "drop");
      }
    }
  }

  /** How many are worth a line now; a counter that fell belongs to a new filter. */
  #fresh(key: string, frames: number, nowMs: number): number {
    const told = this.#told.get(key);
    const before = told === undefined || frames < told.frames ? 0 : told.frames;
    if (frames === before || (told !== undefined && nowMs < told.atMs + QUIET_MS)) return 0;
    this.#told.set(key, { frames, atMs: nowMs });
    return frames - before;
  }
}
