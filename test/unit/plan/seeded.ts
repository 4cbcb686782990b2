/**
 * Worlds by number, the same for ever: what fast-check's worlds lack for comparing planners with each other. Two
 * teams, incoming and paused domains, rates that are no whole bits, ports that aren't ours, vNICs without a uplink.
 */

import type { TeamConfig } from "../../../src/model/config.ts";
import { type HtbClass, type KernelObject, kernelKey } from "../../../src/model/kernel.ts";
import type { Mac } from "../../../src/model/mac.ts";
import {
  FAILOVER_ACTIONS,
  FALLBACK_POLICY,
  mergePolicy,
  type NetworkPolicy,
  PRIORITIES,
} from "../../../src/model/policy.ts";
import type {
  DomainState,
  TeamState,
  UplinkState,
  VnicState,
  World,
} from "../../../src/model/world.ts";
import { NOW, PLAIN_CONFIG } from "../world.ts";

const DESTINATION = { name: "rack2", uri: "qemu+tls://rack2/system", migrateUri: null };

/** A number from 0 up to but not including 1, the next of a sequence that the seed determines (xorshift, 32 bits). */
type Dice = () => number;

function diceOf(seed: number): Dice {
  let state = (seed * 2654435761 + 1) >>> 0 || 1;
  const next = () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
  for (let round = 0; round < 8; round += 1) next();
  return next;
}

/** The world of that number. */
export function seededWorld(seed: number): World {
  const dice = diceOf(seed);
  const teams = Array.from({ length: dice() < 0.25 ? 2 : 1 }, (_, index) => teamOf(dice, index));
  const crowd = pick(dice, [0.3, 1, 1, 3]);
  const count = Math.floor(dice() ** 2 * 60);
  const kernel = new Map<string, KernelObject>();
  const domains = Array.from({ length: count }, (_, index) =>
    domainOf(dice, index, teams, crowd / Math.max(1, count), kernel),
  );
  if (dice() < 0.2) {
    const stray = teams[0]?.config.bond ?? "";
    const object = {
      kind: "vnic",
      steering: "queue",
      device: stray,
      mac: "52:54:00:ff:00:01" as Mac,
      handle: 77,
      minor: 0x12,
      actionIndex: 0,
    } as const;
    kernel.set(kernelKey(object), object);
  }
  return {
    nowMs: NOW,
    ...(dice() < 0.2 ? { hypothetical: true } : {}),
    config: { ...PLAIN_CONFIG, destinations: [DESTINATION] },
    teams,
    domains,
    kernel,
  };
}

function pick<T>(dice: Dice, choices: readonly T[]): T {
  return choices[Math.floor(dice() * choices.length)] as T;
}

function teamOf(dice: Dice, index: number): TeamState {
  const count = 1 + Math.floor(dice() * 5);
  const healthy = dice() < 0.6;
  const uplinks = Array.from({ length: count }, (_, at) => uplinkOf(dice, index, at, healthy));
  const name = `team${index}`;
  const config: TeamConfig = {
    name,
    bond: `bond${index}`,
    uplinks: uplinks.map((uplink) => ({
      name: uplink.name,
      label: uplink.label,
      speedBitsPerSecond: null,
    })),
    headroom: pick(dice, [0, 0.05]),
    host: {
      reservationBitsPerSecond: pick(dice, [0, 10e6, 100e6]),
      limitBitsPerSecond: pick(dice, [null, 200e6]),
      shares: 100,
      priority: pick(dice, PRIORITIES),
    },
    hostClasses: [],
    floorBitsPerSecond: pick(dice, [0, 64_000, 1e6, 100e6]),
    holdDownMs: 30_000,
    holdDownMaxMs: 600_000,
    bondUpdelayMs: pick(dice, [null, 30_050]),
    loadWindowMs: 10_000,
    rebalance: { mode: "off", threshold: 0.1, coolDownMs: 300_000 },
    sources: { forged: "off", unregistered: "off" },
    steering: null,
    probes: null,
  };
  const active = dice() < 0.9 ? (uplinks[Math.floor(dice() * count)]?.name ?? null) : null;
  return {
    config,
    bond: {
      name: config.bond,
      ifindex: 90 + index,
      mode: dice() < 0.95 ? "active-backup" : "balance-rr",
      activePort: active,
      primaryPort: dice() < 0.2 ? (uplinks[0]?.name ?? null) : null,
      miimonMs: dice() < 0.97 ? 100 : 0,
      updelayMs: 0,
      txQueues: 16,
      hashPolicy: "layer2",
      portOrder: uplinks.map(({ name }) => name),
    },
    uplinks,
    conflicts:
      dice() < 0.1
        ? [
            {
              device: uplinks[0]?.name ?? "",
              found: pick(dice, ["qdisc ingress ffff:", "root qdisc fq 8001:"]),
              message: "foreign",
              remedy: "",
              blocking: dice() < 0.7,
            },
          ]
        : [],
    lastMoveAtMs: null,
    movesWaitSinceMs: null,
    hostDemandBitsPerSecond: dice() < 0.5 ? null : Math.floor(dice() * 300e6),
    hostClassDemandsBitsPerSecond: [],
    hostMacs: [],
    passedOnFrom: [],
  };
}

function uplinkOf(dice: Dice, team: number, at: number, healthy: boolean): UplinkState {
  const fate = healthy ? 1 : dice();
  const lost = fate < 0.12;
  const back = fate >= 0.12 && fate < 0.2;
  return {
    name: `eno${team}${at}`,
    ifindex: 2 + team * 10 + at,
    label: dice() < 0.2 ? pick(dice, ["blue", "red"]) : null,
    speedBitsPerSecond: dice() < 0.05 ? null : pick(dice, [100e6, 1e9, 10e9, 10e9, 25e9]),
    adminUp: true,
    carrier: !lost,
    bondUp: !lost,
    inBond: dice() >= 0.03,
    distributing: true,
    healthy: fate < 0.2 || fate >= 0.24,
    pathReason: "",
    probeMac: null,
    drainedAtMs: fate >= 0.24 && fate < 0.3 ? NOW - 20_000 : null,
    queueId: dice() < 0.8 ? at + 1 : 0,
    txQueues: pick(dice, [1, 4]),
    lostAtMs: lost || back ? NOW - 20_000 : null,
    returnedAtMs: back ? NOW - 1000 : null,
    holdDownMs: 30_000,
  };
}

function domainOf(
  dice: Dice,
  index: number,
  teams: readonly TeamState[],
  crowd: number,
  kernel: Map<string, KernelObject>,
): DomainState {
  const name = `vm${index}`;
  const phase = pick(dice, [
    "running",
    "running",
    "running",
    "running",
    "paused",
    "starting",
    "incoming",
  ] as const);
  const vnics = Array.from({ length: dice() < 0.25 ? 2 : 1 }, (_, position) =>
    vnicOf(dice, index, position, teams, crowd, kernel),
  );
  const pausedByUs =
    phase === "paused" && dice() < 0.7
      ? {
          domain: name,
          uuid: name,
          sinceMs: NOW - pick(dice, [1000, 15_000, 700_000]),
          reason: "",
          demandBitsPerSecond: Object.fromEntries(
            vnics.flatMap((vnic) => (dice() < 0.8 ? [[vnic.mac, 1e9 * dice()] as const] : [])),
          ),
        }
      : null;
  return {
    name,
    uuid: name,
    phase,
    vnics,
    problems: [],
    owner: dice() < 0.1 ? "nova" : null,
    held: dice() < 0.1,
    pausedByUs,
    exempt: dice() < 0.05 ? "a person resumed it" : null,
    migration: null,
    refusals: [],
  };
}

function vnicOf(
  dice: Dice,
  domain: number,
  position: number,
  teams: readonly TeamState[],
  crowd: number,
  kernel: Map<string, KernelObject>,
): VnicState {
  const mac = `52:54:00:00:${domain.toString(16).padStart(2, "0")}:0${position}` as Mac;
  const team = dice() < 0.95 ? pick(dice, teams) : null;
  const total =
    team?.uplinks.reduce((sum, uplink) => sum + (uplink.speedBitsPerSecond ?? 0), 0) ?? 0;
  // Around its part of the team, whole or not.
  const rate = () => {
    const value = total * crowd * 2 * dice();
    return dice() < 0.5 ? Math.round(value) : value;
  };
  const demand = dice() < 0.8 ? rate() : null;
  return {
    mac,
    vlanIds: [0],
    recentMoves: [],
    team: team?.config.name ?? null,
    unshapedReason: team === null ? "no bridge" : null,
    tap: null,
    isMacvtap: false,
    policy: policyOf(dice, teams, rate),
    kernel: team !== null && dice() < 0.8 ? kernelOf(dice, domain, position, team, kernel) : null,
    demandBitsPerSecond: demand,
    measuredSinceMs: demand === null ? null : 0,
    backlogBytes: 0,
    latchedDemandBitsPerSecond: dice() < 0.4 ? demand : null,
  };
}

function policyOf(dice: Dice, teams: readonly TeamState[], rate: () => number): NetworkPolicy {
  const reservation = dice() < 0.5 ? 0 : Math.round(rate());
  const names = teams.flatMap((team) => team.uplinks.map((uplink) => uplink.name));
  return mergePolicy(FALLBACK_POLICY, {
    priority: pick(dice, PRIORITIES),
    bandwidth: {
      reservationBitsPerSecond: reservation,
      limitBitsPerSecond: dice() < 0.3 ? reservation + 1000 + Math.round(rate()) : null,
      shares: pick(dice, [1, 25, 100, 100, 333, 1000]),
      burstBytes: dice() < 0.1 ? 100_000 : null,
    },
    placement: {
      prefer: dice() < 0.2 ? [pick(dice, [...names, "gone", "blue"]), pick(dice, names)] : [],
      apart: dice() < 0.2 ? [`vm${Math.floor(dice() * 12)}`] : [],
    },
    failover: {
      action: pick(dice, FAILOVER_ACTIONS),
      graceMs: pick(dice, [0, 5000, 60_000]),
      maxPauseMs: dice() < 0.2 ? 10_000 : null,
    },
  });
}

/** What the kernel's filter says; of some, a class of another priority stands there, or a home that is gone. */
function kernelOf(
  dice: Dice,
  domain: number,
  position: number,
  team: TeamState,
  kernel: Map<string, KernelObject>,
): VnicState["kernel"] {
  const names = [...team.uplinks.map((uplink) => uplink.name), "gone"];
  const home = dice() < 0.95 ? pick(dice, names.slice(0, -1)) : pick(dice, [...names, null]);
  const via = dice() < 0.8 ? home : pick(dice, [...names, null]);
  const minor = 0x10 + domain * 2 + position + (dice() < 0.1 ? 3 : 0);
  if (dice() < 0.5) {
    const object: HtbClass = {
      kind: "class",
      device: via ?? home ?? "",
      minor,
      parentMinor: 1,
      rateBitsPerSecond: 8,
      ceilBitsPerSecond: 8,
      bufferTicks: 1,
      cbufferTicks: 1,
      prio: 1 + Math.floor(dice() * 4),
      quantumBytes: 16_000,
    };
    kernel.set(kernelKey(object), object);
  }
  return { minor, handle: 0x1000 + domain * 2 + position, home, via };
}
