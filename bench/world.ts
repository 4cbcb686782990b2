/** Worlds to measure by: so many domains on so many uplinks, a mixture that is the same in every run. */

import type { Mac } from "../src/model/mac.ts";
import { FALLBACK_POLICY, mergePolicy, type NetworkWish } from "../src/model/policy.ts";
import type { DomainState, TeamState, World } from "../src/model/world.ts";
import { applied } from "../src/plan/loss.ts";
import { planWorld } from "../src/plan/plan.ts";
import { PLAIN_CONFIG } from "../test/unit/world.ts";

/** Of all uplinks together: with one of 4 or 8 lost, a roomy world has enough for all, a crowded one has not. */
export const CROWDS = { roomy: 0.6, crowded: 0.97 } as const;

const NOW_MS = 1_000_000_000;
/** What a domain of the mixture wants on average, bits per second. */
const MEAN_DEMAND_BITS_PER_SECOND = 20e6;

/**
 * A settled world: its own plan is applied, as between two events in the daemon. One vNIC a domain, none lost.
 * @param load what all want together, as a part of what all uplinks have
 */
export function benchWorld(domains: number, uplinks: number, load: number): World {
  const world: World = {
    nowMs: NOW_MS,
    config: PLAIN_CONFIG,
    teams: [teamOf(domains, uplinks, load)],
    domains: Array.from({ length: domains }, (_, index) => domainOf(index, uplinks)),
    kernel: new Map(),
  };
  return applied(world, planWorld(world));
}

/** The same world a moment later: one of its domains wants something else. @param event tells which */
export function changeDomain(world: World, event: number): World {
  const at = (event * 7919 + 13) % world.domains.length;
  const domain = world.domains[at] as DomainState;
  const vnics = domain.vnics.map((vnic) => ({
    ...vnic,
    demandBitsPerSecond: (event * 104_729) % 30_000_000,
  }));
  const domains = world.domains.with(at, { ...domain, vnics });
  return { ...world, nowMs: world.nowMs + 1, domains };
}

function teamOf(domains: number, uplinks: number, load: number): TeamState {
  const speed = Math.round((domains * MEAN_DEMAND_BITS_PER_SECOND) / load / uplinks / 0.95 / 1e6);
  const names = Array.from({ length: uplinks }, (_, index) => `eno${index + 1}`);
  return {
    config: {
      name: "bond0",
      bond: "bond0",
      uplinks: names.map((name) => ({ name, label: null, speedBitsPerSecond: null })),
      headroom: 0.05,
      host: {
        reservationBitsPerSecond: 10e6,
        limitBitsPerSecond: null,
        shares: 100,
        priority: "normal",
      },
      hostClasses: [],
      floorBitsPerSecond: 64_000,
      holdDownMs: 30_000,
      holdDownMaxMs: 600_000,
      bondUpdelayMs: null,
      loadWindowMs: 10_000,
      rebalance: { mode: "off", threshold: 0.1, coolDownMs: 300_000 },
      sources: { forged: "off", unregistered: "off" },
      steering: null,
      probes: null,
    },
    bond: {
      name: "bond0",
      ifindex: 90,
      mode: "active-backup",
      activePort: "eno1",
      primaryPort: null,
      miimonMs: 100,
      updelayMs: 0,
      txQueues: 16,
      hashPolicy: "layer2",
      portOrder: [],
    },
    uplinks: names.map((name, index) => ({
      name,
      ifindex: 2 + index,
      label: null,
      speedBitsPerSecond: speed * 1e6,
      adminUp: true,
      carrier: true,
      bondUp: true,
      inBond: true,
      distributing: true,
      healthy: true,
      pathReason: "",
      probeMac: null,
      drainedAtMs: null,
      queueId: index + 1,
      txQueues: 4,
      lostAtMs: null,
      returnedAtMs: null,
      holdDownMs: 30_000,
    })),
    conflicts: [],
    hostDemandBitsPerSecond: 5e6,
    hostClassDemandsBitsPerSecond: [],
    hostMacs: [],
    passedOnFrom: [],
    lastMoveAtMs: null,
    movesWaitSinceMs: null,
  };
}

/** A tenth high, a fifth low that is paused, some discarded, some with wishes; demands from 1 to 58 Mbit/s. */
function domainOf(index: number, uplinks: number): DomainState {
  const wish: NetworkWish =
    index % 10 === 0
      ? { priority: "high", bandwidth: { reservationBitsPerSecond: 25e6, shares: 400 } }
      : index % 5 === 1
        ? { priority: "low", failover: { action: "pause", graceMs: 0 } }
        : index % 20 === 2
          ? { priority: "low", failover: { action: "discard" } }
          : { bandwidth: { reservationBitsPerSecond: index % 3 === 0 ? 10e6 : 0 } };
  const placement = {
    ...(index % 50 === 7 ? { prefer: [`eno${1 + (index % uplinks)}`] } : {}),
    ...(index % 50 === 9 ? { apart: [`vm${index - 1}`] } : {}),
  };
  // Squares of a sequence that is spread evenly: many small, few large. Their mean is the one above.
  const even = (index * 0.6180339887498949) % 1;
  const demand = Math.round((0.05 + 2.85 * even ** 2) * MEAN_DEMAND_BITS_PER_SECOND);
  const hex = (shift: number) => ((index >> shift) & 255).toString(16).padStart(2, "0");
  return {
    name: `vm${index}`,
    uuid: `00000000-0000-4000-8000-${index.toString(16).padStart(12, "0")}`,
    phase: "running",
    vnics: [
      {
        mac: `52:54:00:${hex(16)}:${hex(8)}:${hex(0)}` as Mac,
        vlanIds: [0],
        recentMoves: [],
        team: "bond0",
        unshapedReason: null,
        tap: `vnet${index}`,
        isMacvtap: false,
        policy: mergePolicy(FALLBACK_POLICY, { ...wish, placement }),
        kernel: null,
        demandBitsPerSecond: demand,
        measuredSinceMs: 0,
        backlogBytes: 0,
        latchedDemandBitsPerSecond: null,
      },
    ],
    problems: [],
    owner: null,
    held: false,
    pausedByUs: null,
    exempt: null,
    migration: null,
    refusals: [],
  };
}
