/** A configuration written in the words of uplinkd.yaml: read back, it gives the same. Pure. */
import { stringify } from "yaml";
import type { Config, TeamConfig, UplinkConfig } from "../model/config.ts";
import type { HostClass } from "../model/host-traffic.ts";
import type { ProbeRules } from "../model/probe.ts";
import { formatPercent, formatRate, parseRate } from "../model/units.ts";

export function writeConfig(config: Config): string {
  return stringify({
    teams: config.autoTeams ? "auto" : config.teams.map(writeTeam),
    admission: config.admission.mode,
    survive: config.admission.survive,
    annotations: config.annotations,
    caps: config.caps.map((cap) => ({
      domain: cap.domain,
      maxPriority: cap.maxPriority,
      ...given("maxReservation", cap.maxReservationBitsPerSecond, writeRate),
      actions: [...cap.actions],
    })),
    owners: config.owners.map(({ domain, manager }) => ({ domain, manager })),
    destinations: config.destinations.map(({ name, uri, migrateUri }) => ({
      name,
      uri,
      ...(migrateUri === null ? {} : { migrateUri }),
    })),
    migration: {
      concurrent: config.migration.concurrent,
      ...given("bandwidth", config.migration.bandwidthBitsPerSecond, writeRate),
      timeout: writeDuration(config.migration.timeoutMs),
      retry: writeDuration(config.migration.retryMs),
    },
    maxPause: writeDuration(config.maxPauseMs),
    resync: writeDuration(config.resyncMs),
    announcements:
      config.announcements === null
        ? "off"
        : {
            count: config.announcements.count,
            interval: writeDuration(config.announcements.intervalMs),
          },
  });
}

function writeTeam(team: TeamConfig): object {
  return {
    bond: team.bond,
    name: team.name,
    uplinks: team.uplinks.map(writeUplink),
    headroom: formatPercent(team.headroom),
    floor: writeRate(team.floorBitsPerSecond),
    holdDown: writeDuration(team.holdDownMs),
    holdDownMax: writeDuration(team.holdDownMaxMs),
    bondUpdelay: team.bondUpdelayMs === null ? "keep" : writeDuration(team.bondUpdelayMs),
    ...(team.steering === null ? {} : { steering: team.steering }),
    loadWindow: writeDuration(team.loadWindowMs),
    rebalance: {
      mode: team.rebalance.mode,
      threshold: formatPercent(team.rebalance.threshold),
      coolDown: writeDuration(team.rebalance.coolDownMs),
    },
    sources: team.sources,
    probes: team.probes === null ? "off" : writeProbes(team.probes),
    host: {
      reservation: writeRate(team.host.reservationBitsPerSecond),
      ...given("limit", team.host.limitBitsPerSecond, writeRate),
      shares: team.host.shares,
      priority: team.host.priority,
      ...Object.fromEntries(team.hostClasses.map((entry) => [entry.name, writeHostClass(entry)])),
    },
  };
}

function writeHostClass(entry: HostClass): object {
  return {
    reservation: writeRate(entry.reservationBitsPerSecond),
    ...given("limit", entry.limitBitsPerSecond, writeRate),
    shares: entry.shares,
    priority: entry.priority,
    match: entry.matches.map((match) => ({
      ...given("protocol", match.protocol, same),
      ...given("sourcePort", match.sourcePorts, same),
      ...given("destinationPort", match.destinationPorts, same),
      ...given("source", match.source, same),
      ...given("destination", match.destination, same),
      ...given("vlan", match.vlanId, same),
    })),
  };
}

function same<T>(value: T): T {
  return value;
}

function writeProbes(rules: ProbeRules): object {
  return {
    interval: writeDuration(rules.intervalMs),
    losses: rules.losses,
    targets: rules.targets.map(({ address, vlanId, sources }) => ({
      address,
      vlan: vlanId,
      sources: Object.entries(sources).map(([uplink, own]) => ({ uplink, address: own })),
    })),
    require: rules.require,
    between: rules.betweenVlanIds.length === 0 ? "off" : [...rules.betweenVlanIds],
  };
}

function writeUplink(uplink: UplinkConfig): object {
  return {
    name: uplink.name,
    ...given("speed", uplink.speedBitsPerSecond, writeRate),
    ...(uplink.label === null ? {} : { label: uplink.label }),
  };
}

function given<T>(key: string, value: T | null, write: (value: T) => unknown): object {
  return value === null ? {} : { [key]: write(value) };
}

/** formatRate rounds for people's eyes; here nothing may get lost. */
function writeRate(bitsPerSecond: number): string {
  const short = formatRate(bitsPerSecond);
  return parseRate(short) === bitsPerSecond ? short : `${bitsPerSecond}bit`;
}

/** One unit only, since that is what the parser takes. */
function writeDuration(ms: number): string {
  if (ms >= 60e3 && ms % 60e3 === 0) return `${ms / 60e3}m`;
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}
