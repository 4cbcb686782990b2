/** What a loss would bring, once it is settled: the planner asked about a world that isn't. */
import type { Plan, TeamCondition } from "../model/plan.ts";
import type { SimulationDocument } from "../model/simulation.ts";
import type { DomainState, World } from "../model/world.ts";
import { hostLines } from "./host.ts";
import { applied, withLoss } from "./loss.ts";
import { isManaged, makingOf, planWorld } from "./plan.ts";

interface Simulation {
  /** Without the loss. */
  readonly before: Plan;
  /** With it, grace times elapsed and all that is due done. */
  readonly after: Plan;
}

/** Longer than any grace time, milliseconds (units.ts: 30 days are the longest duration). */
const ALL_GRACE_MS = 31 * 24 * 3600e3;

/**
 * Plans the world as it is, applies that plan, then the losses.
 * @param wanted names of uplinks of the world's teams; empty: nothing is lost
 */
export function simulateLoss(world: World, wanted: readonly string[]): SimulationDocument {
  const names = world.teams.flatMap((team) => team.uplinks.map((uplink) => uplink.name));
  const failed = names.filter((name) => wanted.includes(name));
  return describeSimulation(world, failed, simulate(world, failed));
}

function simulate(world: World, failed: readonly string[]): Simulation {
  const domains = world.domains.map(resumed);
  const present = { ...world, domains, hypothetical: true };
  const before = planWorld(present);
  if (failed.length === 0) return { before, after: before };
  let lost = applied(present, before);
  for (const { config, uplinks } of world.teams) {
    const own = failed.filter((name) => uplinks.some((uplink) => uplink.name === name));
    if (own.length > 0) lost = withLoss(lost, config.name, own);
  }
  return { before, after: planWorld({ ...lost, nowMs: lost.nowMs + ALL_GRACE_MS }) };
}

/** What we have paused for a loss of today is judged anew, by what it wanted then. */
function resumed(given: DomainState): DomainState {
  // What is being moved is still here, and may stay.
  const domain = given.migration === null ? given : { ...given, migration: null };
  if (domain.pausedByUs === null) return domain;
  const { demandBitsPerSecond } = domain.pausedByUs;
  return {
    ...domain,
    phase: "running",
    pausedByUs: null,
    vnics: domain.vnics.map((vnic) => ({
      ...vnic,
      latchedDemandBitsPerSecond: demandBitsPerSecond[vnic.mac] ?? null,
    })),
  };
}

/** Of the teams that can be managed. */
function describeHost(plan: Plan): SimulationDocument["host"] {
  const results = (makingOf(plan)?.answers ?? []).filter(isManaged);
  return results.flatMap(({ asked, grants, hostExpected }) => {
    const lines = hostLines(asked.team.config);
    return [...hostExpected].flatMap(([uplink, expected]) => {
      const granted = grants.find(({ entry }) => entry.uplink.name === uplink)?.host ?? [];
      return lines.map(({ name }, line) => ({
        uplink,
        name,
        reservationBitsPerSecond: granted[line]?.rateBitsPerSecond ?? 0,
        limitBitsPerSecond: granted[line]?.limitBitsPerSecond ?? 0,
        expectedBitsPerSecond: expected[line] ?? 0,
      }));
    });
  });
}

const CONDITIONS: readonly TeamCondition[] = ["barred", "ok", "degraded", "isolated", "refused"];

function describeSimulation(
  world: World,
  failed: readonly string[],
  { before, after }: Simulation,
): SimulationDocument {
  const uplinks = after.teams.flatMap((team) => team.uplinks);
  const usable = new Set(uplinks.flatMap(({ name, usable: is }) => (is ? [name] : [])));
  const worst = Math.max(0, ...after.teams.map((team) => CONDITIONS.indexOf(team.condition)));
  const policies = new Map(
    world.domains.flatMap((domain) => domain.vnics.map((vnic) => [vnic.mac, vnic.policy] as const)),
  );
  const earlier = new Map(before.vnics.map((vnic) => [vnic.mac, vnic]));
  return {
    failed,
    condition: CONDITIONS[worst] ?? "ok",
    uplinks,
    host: describeHost(after),
    vnics: after.vnics.map((vnic) => {
      const was = earlier.get(vnic.mac);
      return {
        domain: vnic.domain,
        mac: vnic.mac,
        priority: vnic.priority,
        home: vnic.via,
        homeBeforeLoss: was?.via ?? null,
        reservationBitsPerSecond: policies.get(vnic.mac)?.bandwidth.reservationBitsPerSecond ?? 0,
        expectedBitsPerSecond: vnic.expectedBitsPerSecond,
        unmetReservationBitsPerSecond: vnic.unmetReservationBitsPerSecond,
        classes: vnic.classes.filter((grant) => usable.has(grant.uplink)),
        reasons: [...new Set([...(was?.reasons ?? []), ...vnic.reasons])],
      };
    }),
    domains: after.domains.map(({ domain, action, reasons }) => ({
      name: domain,
      action,
      reasons,
    })),
  };
}
