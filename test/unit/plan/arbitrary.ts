/** Generated worlds for properties: 2 to 4 uplinks of unequal speed, up to 30 vNICs, some lost, held, drained. */
import fc from "fast-check";
import { REBALANCE_MODES } from "../../../src/model/config.ts";
import { HOST_CLASSES, type HostMatch, type HostShare } from "../../../src/model/host-traffic.ts";
import { FAILOVER_ACTIONS, PRIORITIES } from "../../../src/model/policy.ts";
import type { World } from "../../../src/model/world.ts";
import { buildWorld, GBIT, MBIT, NOW, type WorldSpec } from "../world.ts";

const SPEEDS = [100 * MBIT, 1 * GBIT, 10 * GBIT, 25 * GBIT];

/** The first is the most usual, and has the most to get wrong. */
const MODES = ["active-backup", "active-backup", "balance-rr", "802.3ad"] as const;

const uplinkNames = ["eno1", "eno2", "eno3", "eno4"] as const;

const rate = fc.oneof(
  fc.constant(0),
  fc.integer({ min: 0, max: 5000 }).map((mbit) => mbit * MBIT),
  fc.integer({ min: 1, max: 2_000_000_000 }),
);

function uplinks(count: number) {
  return fc.tuple(
    ...uplinkNames.slice(0, count).map((name) =>
      fc.record({
        name: fc.constant(name as string),
        speedBitsPerSecond: fc.constantFrom(...SPEEDS),
        txQueues: fc.constantFrom(1, 4),
        state: fc.constantFrom("up", "up", "up", "up", "lost", "drained", "held"),
      }),
    ),
  );
}

const vnic = fc.record({
  priority: fc.constantFrom(...PRIORITIES),
  reservation: rate,
  limitAbove: fc.option(rate),
  shares: fc.constantFrom(25, 100, 200, 1000),
  action: fc.constantFrom(...FAILOVER_ACTIONS),
  prefer: fc.option(fc.constantFrom(...uplinkNames)),
  apart: fc.option(fc.integer({ min: 0, max: 5 })),
  demand: fc.option(rate),
  backlogBytes: fc.constantFrom(0, 0, 0, 20_000),
  home: fc.option(fc.constantFrom(...uplinkNames)),
  via: fc.option(fc.constantFrom(...uplinkNames)),
  movesAgo: fc.array(fc.integer({ min: 0, max: 200_000 }), { maxLength: 3 }),
});

const hostShare = fc.record({
  reservationBitsPerSecond: fc.constantFrom(0, 1 * MBIT, 20 * MBIT, 50 * MBIT),
  limitBitsPerSecond: fc.constantFrom(null, 50 * MBIT, 2 * GBIT),
  shares: fc.constantFrom(25, 100, 1000),
  priority: fc.constantFrom(...PRIORITIES),
  demand: fc.option(rate),
});

const MATCH: HostMatch = {
  protocol: "tcp",
  sourcePorts: null,
  destinationPorts: "49152-49215",
  source: null,
  destination: null,
  vlanId: null,
};

const domain = fc.record({
  phase: fc.constantFrom("running", "running", "running", "paused", "starting"),
  held: fc.boolean(),
  vnics: fc.array(vnic, { minLength: 1, maxLength: 2 }),
});

/** Specifications of worlds; with `whole`, nothing is lost. */
export function worldSpecs(whole = false): fc.Arbitrary<WorldSpec> {
  return fc
    .integer({ min: 2, max: 4 })
    .chain((count) =>
      fc.record({
        uplinks: uplinks(count),
        domains: fc.array(domain, { maxLength: 20 }),
        headroom: fc.constantFrom(0, 0.05),
        floor: fc.constantFrom(0, 64_000, 1 * MBIT),
        host: fc.constantFrom(0, 10 * MBIT, 100 * MBIT),
        hostDemand: fc.option(rate, { nil: undefined }),
        hostClasses: fc.subarray([...HOST_CLASSES]),
        hostClass: fc.array(hostShare, { minLength: 3, maxLength: 3 }),
        active: fc.integer({ min: 0, max: count - 1 }),
        mode: fc.constantFrom(...MODES),
        rebalance: fc.record({
          mode: fc.constantFrom(...REBALANCE_MODES),
          threshold: fc.constantFrom(0.01, 0.1, 0.3),
          coolDownMs: fc.constantFrom(1000, 100_000),
        }),
        waits: fc.option(fc.integer({ min: 0, max: 3000 }), { nil: undefined }),
      }),
    )
    .map(
      ({ uplinks: links, domains, headroom, floor, host, hostDemand, active, mode, ...more }) => ({
        uplinks: links.map(({ state, ...link }) => ({
          ...link,
          ...(whole ? {} : stateOf(state)),
        })),
        active: mode === "active-backup" ? (uplinkNames[active] ?? null) : null,
        bond: { mode },
        config: {
          // By hash all vNICs move with any port, so that little of what holds else does; steering.test.ts has it.
          steering: mode === "802.3ad" ? ("redirect" as const) : null,
          headroom,
          floorBitsPerSecond: floor,
          // Where all is to come back as it was, load must not draw it elsewhere.
          rebalance: { ...more.rebalance, ...(whole ? { mode: "off" as const } : {}) },
          host: {
            reservationBitsPerSecond: host,
            limitBitsPerSecond: null,
            shares: 100,
            priority: "normal" as const,
          },
          hostClasses: more.hostClasses.map((name, index) => ({
            name,
            matches: [MATCH],
            ...(more.hostClass[index] as HostShare),
          })),
        },
        hostClassDemands: more.hostClasses.map((_, index) => more.hostClass[index]?.demand ?? null),
        ...(hostDemand === undefined ? {} : { hostDemand }),
        ...(more.waits === undefined ? {} : { movesWaitSinceMs: NOW - more.waits }),
        domains: domains.map((entry, index) => ({
          name: `vm${index}`,
          phase: entry.phase as "running",
          held: entry.held,
          vnics: entry.vnics.map((spec) => ({
            priority: spec.priority,
            bandwidth: {
              reservationBitsPerSecond: spec.reservation,
              limitBitsPerSecond:
                spec.limitAbove === null ? null : spec.reservation + spec.limitAbove + 8,
              shares: spec.shares,
            },
            placement: {
              prefer: spec.prefer === null ? [] : [spec.prefer],
              apart: spec.apart === null ? [] : [`vm${spec.apart}`],
            },
            failover: { action: spec.action },
            demand: spec.demand,
            backlogBytes: spec.backlogBytes,
            latched: whole ? null : spec.demand,
            ...(spec.home === null || !links.some((link) => link.name === spec.home)
              ? {}
              : {
                  home: spec.home,
                  ...(spec.via === null || !links.some((link) => link.name === spec.via)
                    ? {}
                    : { via: spec.via }),
                }),
            // Where all is to come back as it was, nothing may be kept from moving.
            recentMoves: whole
              ? []
              : spec.movesAgo
                  .toSorted((a, b) => b - a)
                  .map((agoMs) => ({ atMs: NOW - agoMs, voluntary: agoMs % 3 !== 0 })),
          })),
        })),
      }),
    );
}

function stateOf(state: string) {
  switch (state) {
    case "lost":
      return { carrier: false, bondUp: false, lostAtMs: NOW - 60_000 };
    case "held":
      return { lostAtMs: NOW - 60_000, returnedAtMs: NOW - 1000 };
    case "drained":
      return { drainedAtMs: NOW };
    default:
      return {};
  }
}

export function worlds(whole = false): fc.Arbitrary<World> {
  return worldSpecs(whole).map(buildWorld);
}
