/** A configuration written in the words of uplinkd.yaml: read back, it gives the same. Pure. */
import { stringify } from "yaml";
import type { Config, TeamConfig, UplinkConfig } from "../model/config.ts";
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
    loadWindow: writeDuration(team.loadWindowMs),
    host: {
      reservation: writeRate(team.host.reservationBitsPerSecond),
      ...given("limit", team.host.limitBitsPerSecond, writeRate),
      shares: team.host.shares,
      priority: team.host.priority,
    },
  };
}

function writeUplink(uplink: UplinkConfig): object {
  return {
    name: uplink.name,
    ...given("speed", uplink.speedBitsPerSecond, writeRate),
    ...(uplink.label === null ? {} : { label: uplink.label }),
  };
}

function given(key: string, value: number | null, write: (value: number) => string): object {
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
