/** The host's own traffic: its classes on every uplink, and the filters that tell its frames apart. */
import type { TeamConfig } from "../model/config.ts";
import { MAX_HOST_MATCHES } from "../model/filter-priority.ts";
import type { HostClassName, HostMatch, HostShare } from "../model/host-traffic.ts";
import type { HostMatchFilter, KernelObject } from "../model/kernel.ts";
import { DEFAULT_MINOR, HOST_CLASS_MINORS } from "../model/layout.ts";
import { parsePrefix } from "../model/prefix.ts";
import type { TeamState } from "../model/world.ts";
import { hostHandles } from "./identity.ts";
import { sum } from "./share.ts";

/** A class of the host's, the same on every uplink. */
export interface HostLine {
  readonly name: "default" | HostClassName;
  readonly minor: number;
  readonly share: HostShare;
}

/** The default class first, then those of the configuration, in its order. */
export function hostLines({ host, hostClasses }: TeamConfig): readonly HostLine[] {
  return [
    { name: "default", minor: DEFAULT_MINOR, share: host },
    ...hostClasses.map((share) => ({
      name: share.name,
      minor: HOST_CLASS_MINORS[share.name],
      share,
    })),
  ];
}

/** The place among hostLines of the class that migrations have: their own, else the default one. */
export function migrationLine(config: TeamConfig): number {
  return Math.max(
    0,
    hostLines(config).findIndex(({ name }) => name === "migration"),
  );
}

/** What the host has reserved on each uplink, all its classes together, bits per second. */
export function hostReservation({ host, hostClasses }: TeamConfig): number {
  return (
    host.reservationBitsPerSecond +
    sum(hostClasses.map(({ reservationBitsPerSecond }) => reservationBitsPerSecond))
  );
}

/** What each line sends and wants to send; its reservation where that isn't measured. Order of hostLines. */
export function hostDemands(team: TeamState): number[] {
  const { host, hostClasses } = team.config;
  return [
    team.hostDemandBitsPerSecond ?? host.reservationBitsPerSecond,
    ...hostClasses.map(
      (share, place) => team.hostClassDemandsBitsPerSecond[place] ?? share.reservationBitsPerSecond,
    ),
  ];
}

/**
 * The filters on the bond's egress that give the host's frames their classes. A vNIC's frames never come this far:
 * their own filter has sent them on before.
 */
export function putHostFilters(team: TeamState, put: (object: KernelObject) => void): void {
  const { config, bond } = team;
  if (bond === null || config.hostClasses.length === 0) return;
  const device = bond.name;
  for (const filter of hostMatches(config, device)) put(filter);
  const handles = hostHandles(team.hostMacs);
  for (const [index, mac] of team.hostMacs.entries())
    put({ kind: "host-source", device, mac, handle: handles[index] as number });
}

/** Each match as the kernel's filters, first come first asked; one for each family of addresses that it may mean. */
function hostMatches({ hostClasses }: TeamConfig, device: string): HostMatchFilter[] {
  const filters = hostClasses.flatMap(({ name, matches }) =>
    matches.flatMap((match) =>
      familiesOf(match).map((family): Omit<HostMatchFilter, "position"> => {
        const { vlanId, sourcePorts, destinationPorts, source, destination } = match;
        return {
          kind: "host-match",
          device,
          minor: HOST_CLASS_MINORS[name],
          vlanId,
          etherType: family === null ? null : ETHER_TYPES[family],
          ipProtocol: family === null ? null : protocolNumber(match, family),
          sourcePorts,
          destinationPorts,
          source: comparable(source),
          destination: comparable(destination),
        };
      }),
    ),
  );
  return filters.slice(0, MAX_HOST_MATCHES).map((filter, position) => ({ ...filter, position }));
}

/** All of a family is what its ether type says; flower tells nothing back of a prefix without bits (fl_dump_key_val). */
function comparable(text: string | null): string | null {
  return text === null || parsePrefix(text)?.length === 0 ? null : text;
}

const ETHER_TYPES = { 4: 0x0800, 6: 0x86dd } as const;

/** Null: the family doesn't matter. */
function familiesOf({ source, destination, protocol }: HostMatch): readonly (4 | 6 | null)[] {
  const prefix = parsePrefix(source ?? destination ?? "");
  if (prefix !== null) return [prefix.family];
  return protocol === null ? [null] : [4, 6];
}

/** IANA's protocol numbers. */
function protocolNumber({ protocol }: HostMatch, family: 4 | 6): number | null {
  switch (protocol) {
    case null:
      return null;
    case "tcp":
      return 6;
    case "udp":
      return 17;
    case "icmp":
      return family === 4 ? 1 : 58;
  }
}
