/** Which domains are moved to another host now, where to, and how fast they may be sent. Pure. */
import type { DomainPlan } from "../model/plan.ts";
import { bitsPerSecondFromMebibytesPerSecond, formatDuration, formatRate } from "../model/units.ts";
import type { DomainState, World } from "../model/world.ts";
import type { Casualty } from "./actions.ts";
import { migrationLine } from "./host.ts";
import { activePortOf, type TeamResult } from "./team.ts";

/** libvirt counts a migration's bandwidth in whole MiB/s (VIR_MIGRATE_PARAM_BANDWIDTH). */
const LEAST_BITS_PER_SECOND = bitsPerSecondFromMebibytesPerSecond(1);

/** Why a domain can't be moved anywhere, or null; see nextDestination. */
export function whyNowhere(world: World, domain: DomainState): string | null {
  if (nextDestination(world, domain) !== null) return null;
  const wanted = wantedDestinations(world, domain);
  if (wanted.length === 0) return "uplinkd.yaml has no destinations";
  return wanted.map((name) => `${name} ${whyNot(world, domain, name)}`).join(", ");
}

/** The first destination of its policies, else of the configuration, to which it may still be moved; null: none. */
export function nextDestination(world: World, domain: DomainState): string | null {
  const left = wantedDestinations(world, domain).find(
    (name) => whyNot(world, domain, name) === null,
  );
  return left ?? null;
}

function wantedDestinations({ config }: World, { vnics }: DomainState): readonly string[] {
  const own = vnics.flatMap(({ policy }) => policy.failover.destinations);
  return [...new Set(own.length > 0 ? own : config.destinations.map(({ name }) => name))];
}

function whyNot({ config, nowMs }: World, domain: DomainState, name: string): string | null {
  if (!config.destinations.some((destination) => destination.name === name))
    return "is no destination of uplinkd.yaml";
  const refusal = domain.refusals.find(
    ({ destination, untilMs }) => destination === name && untilMs > nowMs,
  );
  return refusal === undefined ? null : `didn't take it (${refusal.reason})`;
}

/** What is said of a migration that is under way: it goes on, or is to be aborted. */
export function planUnderWay(
  world: World,
  domain: DomainState,
  casualties: readonly Casualty[],
): DomainPlan | null {
  const { migration, name } = domain;
  if (migration === null) return null;
  const { destination, bandwidthBitsPerSecond } = migration;
  const reasons = casualties.map(({ reason }) => reason);
  const why = whyAbort(world, domain);
  if (why !== null) {
    return {
      domain: name,
      action: casualties.length > 0 ? "throttle" : "none",
      dueAtMs: world.nowMs,
      migration: null,
      reasons: [`its migration to ${destination} is aborted: ${why}`, ...reasons],
    };
  }
  // One that is no longer needed goes on: most of the guest may be there already.
  return {
    domain: name,
    action: "migrate",
    dueAtMs: world.nowMs,
    migration: { destination, bandwidthBitsPerSecond },
    reasons: [
      `being moved to ${destination} with at most ${formatRate(bandwidthBitsPerSecond)}`,
      ...reasons,
    ],
  };
}

function whyAbort(world: World, domain: DomainState): string | null {
  const endsAtMs = migrationEndsAtMs(world, domain);
  if (domain.held) return "held by an operator";
  if (domain.owner !== null) return `${domain.owner} manages it`;
  if (endsAtMs === null || world.nowMs < endsAtMs) return null;
  return `it takes longer than ${formatDuration(world.config.migration.timeoutMs)}`;
}

/** When a migration that is under way is aborted, world time; null: there is none. */
export function migrationEndsAtMs(world: World, { migration }: DomainState): number | null {
  return migration === null ? null : migration.sinceMs + world.config.migration.timeoutMs;
}

/**
 * Lets begin what is due, in the order in which domains fall, as many as may be under way at a time.
 * @param plans of all domains
 * @returns the same with `migration` filled in, and who waits told why
 */
export function beginMigrations(
  world: World,
  results: readonly TeamResult[],
  plans: readonly DomainPlan[],
): readonly DomainPlan[] {
  const due = new Set<string>();
  for (const { action, dueAtMs, domain, migration } of plans)
    if (action === "migrate" && migration === null && dueAtMs <= world.nowMs) due.add(domain);
  if (due.size === 0) return plans;
  const { concurrent, bandwidthBitsPerSecond: most } = world.config.migration;
  const underWay = world.domains.filter(({ migration }) => migration !== null);
  let free = concurrent - underWay.length;
  const left = roomLeft(results) / concurrent;
  const bandwidth = Math.min(left, most ?? left);
  const changed = new Map<string, DomainPlan>();
  const byName = new Map(plans.map((plan) => [plan.domain, plan]));
  for (const { domain } of results.flatMap(({ casualties }) => casualties)) {
    const plan = byName.get(domain.name);
    const destination = nextDestination(world, domain);
    if (!due.delete(domain.name) || plan === undefined || destination === null) continue;
    const waits = (why: string) =>
      changed.set(domain.name, {
        ...plan,
        reasons: [`to ${destination}, and waits: ${why}`, ...plan.reasons],
      });
    if (world.hypothetical === true) {
      changed.set(domain.name, { ...plan, reasons: [`to ${destination}`, ...plan.reasons] });
    } else if (bandwidth < LEAST_BITS_PER_SECOND) {
      const least = formatRate(LEAST_BITS_PER_SECOND);
      waits(
        `reservations leave ${formatRate(Math.max(0, left))} for it, and libvirt's least is ${least}`,
      );
    } else if (free <= 0) {
      waits(`${concurrent} ${concurrent === 1 ? "is" : "are"} moved at a time`);
    } else {
      free -= 1;
      changed.set(domain.name, {
        ...plan,
        migration: { destination, bandwidthBitsPerSecond: Math.floor(bandwidth) },
      });
    }
  }
  return plans.map((plan) => changed.get(plan.domain) ?? plan);
}

/**
 * What reservations leave, the part of the host's class that migrations have included, on the ports by which the host
 * sends. By which team it reaches the destination its routing decides, so the least of them counts.
 */
function roomLeft(results: readonly TeamResult[]): number {
  let least = Number.POSITIVE_INFINITY;
  for (const { asked, uplinks, grants } of results) {
    const active = activePortOf(asked.team, uplinks);
    for (const grant of grants) {
      const { entry, committedBitsPerSecond, host } = grant;
      if (!entry.usable || (active !== null && entry.uplink.name !== active)) continue;
      const own = host[migrationLine(asked.team.config)];
      if (own === undefined) continue;
      const left = entry.capacityBitsPerSecond - committedBitsPerSecond + own.rateBitsPerSecond;
      least = Math.min(least, left, own.limitBitsPerSecond);
    }
  }
  return least === Number.POSITIVE_INFINITY ? 0 : least;
}
