/** Which bonds are teams, and which devices belong to them. */
import type { Config, TeamConfig } from "../model/config.ts";
import type { LinkState } from "../model/link.ts";
import type { LoadPlace } from "../observe/demand.ts";
import { defaultTeam } from "../policy/config.ts";
import type { JournalContents } from "./journal.ts";
import type { TeamDevices } from "./ports.ts";

/** The configured teams; with none configured, every active-backup bond that is a bridge's port. */
export function findTeams(config: Config, links: readonly LinkState[]): readonly TeamConfig[] {
  if (!config.autoTeams) return config.teams;
  const bridges = new Set(
    links.filter((link) => link.kind === "bridge").map((link) => link.ifindex),
  );
  return links
    .filter(
      (link) =>
        link.bond?.mode === "active-backup" &&
        link.masterIfindex !== null &&
        bridges.has(link.masterIfindex),
    )
    .map((link) => defaultTeam(link.name));
}

/** A team's bond, its configured uplinks, and whatever else is a port of the bond. */
export function devicesOf(team: TeamConfig, links: readonly LinkState[]): TeamDevices {
  const bond = links.find((link) => link.name === team.bond);
  const ports = links.filter((link) => bond !== undefined && link.masterIfindex === bond.ifindex);
  const names = new Set([
    ...team.uplinks.map((uplink) => uplink.name),
    ...ports.map((port) => port.name),
  ]);
  return { bond: team.bond, ports: [...names] };
}

/** Which team's load the classes of a device are, and what it is averaged over. */
export function placesOf(
  teams: readonly TeamConfig[],
  devices: readonly TeamDevices[],
): (device: string) => LoadPlace | null {
  const places = new Map<string, LoadPlace>();
  for (const [index, { name, loadWindowMs }] of teams.entries())
    for (const port of devices[index]?.ports ?? [])
      places.set(port, { team: name, windowMs: loadWindowMs });
  return (device) => places.get(device) ?? null;
}

/**
 * Devices that we have changed and that are in no team any more, as a port that was taken out of its bond: what we
 * left there is still ours to take away. Where the journal that knew them is lost, every NIC may be one.
 * @returns in the form of a team without a bond
 */
export function findStrays(
  saved: Pick<JournalContents, "before" | "clsactCreated" | "lost">,
  teams: readonly TeamDevices[],
  links: readonly LinkState[],
): TeamDevices {
  const changed = [
    ...saved.clsactCreated,
    ...saved.before.flatMap((object) => ("device" in object ? [object.device] : [])),
  ];
  const known = new Set(teams.flatMap((team) => [team.bond, ...team.ports]));
  const isStray = ({ name, kind }: LinkState) =>
    !known.has(name) && (changed.includes(name) || (saved.lost !== null && kind === null));
  return { bond: "", ports: links.filter(isStray).map(({ name }) => name) };
}
