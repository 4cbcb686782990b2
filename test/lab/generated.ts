import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { SimulationDocument } from "../../src/model/simulation.ts";
import type { World } from "../../src/model/world.ts";
import { simulateLoss } from "../../src/plan/simulate.ts";
import { parseScenario } from "../../src/policy/scenario.ts";
import { readJson } from "./command.ts";
import { type Daemon, type DomainShape, startDomain } from "./daemon.ts";
import { activePort, readClassCounts } from "./host.ts";
import { until } from "./wait.ts";

/** What a generated guest was promised; rates in Mbit/s. */
export interface GeneratedGuest {
  readonly domain: DomainShape;
  readonly mac: string;
  readonly priority: string;
  readonly reservation: number;
  readonly limit: number | null;
  readonly shares: number;
  readonly action: string;
  readonly prefer: string | null;
  readonly apart: string | null;
}

/** Uplinks with Mbit/s each, and what the host itself has reserved on each. */
export interface Frame {
  readonly speeds: readonly number[];
  readonly host: number;
  /** How long a returned uplink is kept out; not at all by default. */
  readonly holdDownMs?: number;
  /** What every guest has been measured to want; absent: nothing was measured, and reservations count as load. */
  readonly demand?: number;
}

/** Where a team is on its way through several losses. */
export interface Midway {
  /** Uplinks that are gone already. */
  readonly gone: readonly string[];
  /** By which uplink each MAC's frames go now. */
  readonly vias: Homes;
}

/** Numbers that look random and are the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Two to four guests, whose reservations often fit on both uplinks together and not always on one.
 * @param world a number of its own for each, so that no name and no MAC comes twice
 */
export function generateGuests(
  world: number,
  { speeds }: Frame,
  actions: readonly string[],
): readonly GeneratedGuest[] {
  const random = seeded(world);
  const integer = (least: number, most: number) =>
    least + Math.floor(random() * (most - least + 1));
  const one = <T>(of: readonly T[]) => of[integer(0, of.length - 1)] as T;
  const line = Math.min(...speeds);
  const count = integer(2, 4);
  return Array.from({ length: count }, (_, index) => {
    const reservation = random() < 0.25 ? 0 : integer(1, Math.floor(line * 0.6)) + one([0, 0.5]);
    const guest = {
      priority: one(["critical", "high", "normal", "low"]),
      reservation,
      limit: random() < 0.3 ? reservation + integer(1, line) : null,
      shares: one([25, 100, 100, 200, 400]),
      action: one(actions),
      prefer: random() < 0.3 ? one(speeds.map((_, index) => `nic${index}`)) : null,
      apart: random() < 0.2 ? `w${world}g${integer(0, count - 1)}` : null,
    };
    const number = index + 1;
    const mac = `52:54:00:${world.toString(16).padStart(2, "0")}:00:${number.toString(16).padStart(2, "0")}`;
    const name = `w${world}g${index}`;
    return { ...guest, mac, domain: { name, macs: [mac], annotation: writeAnnotation(guest) } };
  });
}

function writeAnnotation(guest: Omit<GeneratedGuest, "domain" | "mac">): string {
  const { priority, reservation, limit, shares, action, prefer, apart } = guest;
  const placement = [
    ...(prefer === null ? [] : [`prefer="${prefer}"`]),
    ...(apart === null ? [] : [`apart="${apart}"`]),
  ];
  return (
    `<uplink:priority>${priority}</uplink:priority>` +
    `<uplink:bandwidth reservation="${reservation}mbit" shares="${shares}"` +
    `${limit === null ? "" : ` limit="${limit}mbit"`}/>` +
    `${placement.length === 0 ? "" : `<uplink:placement ${placement.join(" ")}/>`}` +
    `<uplink:failover action="${action}"/>`
  );
}

/** A daemon's configuration that says the same as the scenario; it takes a returned uplink at once. */
export function frameConfig({ speeds, host, holdDownMs = 0 }: Frame): string {
  const uplinks = speeds.map((speed, index) => `{name: nic${index}, speed: ${speed}mbit}`);
  return `teams:
  - bond: bond0
    uplinks: [${uplinks.join(", ")}]
    headroom: 0%
    floor: 0bit
    holdDown: ${holdDownMs}ms
    holdDownMax: ${4 * holdDownMs}ms
    loadWindow: 2s
    host: {reservation: ${host}mbit, priority: critical}
announcements: off
`;
}

/**
 * What `uplinkctl simulate --scenario FILE --json` answers, for which no daemon is asked.
 * @param homes where the guests are before the loss, by MAC
 */
export function simulated(
  { speeds, host, demand }: Frame,
  guests: readonly GeneratedGuest[],
  homes: Homes,
  failed: readonly string[],
  midway: Midway = { gone: [], vias: new Map() },
): SimulationDocument {
  const scenario = {
    team: {
      bond: "bond0",
      active: activePort(),
      headroom: "0%",
      uplinks: speeds.map((speed, index) => ({
        name: `nic${index}`,
        speed: `${speed}mbit`,
        carrier: !midway.gone.includes(`nic${index}`),
      })),
      host: { reservation: `${host}mbit` },
    },
    domains: guests.map((guest) => ({
      name: guest.domain.name,
      network: {
        priority: guest.priority,
        bandwidth: {
          reservation: `${guest.reservation}mbit`,
          shares: guest.shares,
          ...(guest.limit === null ? {} : { limit: `${guest.limit}mbit` }),
        },
        placement: {
          prefer: guest.prefer === null ? [] : [guest.prefer],
          apart: guest.apart === null ? [] : [guest.apart],
        },
        failover: { action: guest.action },
      },
      vnics: [
        {
          mac: guest.mac,
          home: homes.get(guest.mac),
          ...(demand === undefined ? {} : { demand: `${demand}mbit` }),
        },
      ],
    })),
  };
  // JSON is YAML.
  const parsed = parseScenario("scenario.yaml", JSON.stringify(scenario));
  if (!parsed.ok) throw new Error(parsed.errors.map((error) => error.describe()).join("\n"));
  return simulateLoss(withVias(parsed.value, midway.vias), failed);
}

/** A scenario has no word for a vNIC that another uplink than its home carries already. */
function withVias(world: World, vias: Midway["vias"]): World {
  return {
    ...world,
    domains: world.domains.map((domain) => ({
      ...domain,
      vnics: domain.vnics.map((vnic) => {
        const via = vias.get(vnic.mac);
        if (via === undefined || vnic.kernel === null) return vnic;
        return { ...vnic, kernel: { ...vnic.kernel, via } };
      }),
    })),
  };
}

/** An uplink for each MAC. */
export type Homes = ReadonlyMap<string, string>;

/** Waits until the daemon has measured that nobody sends, and planned by it: a loss goes by the last plan. */
export async function untilMeasured(daemon: Daemon): Promise<void> {
  const isMeasured = async () => {
    const { domains } = await daemon.status();
    return domains.every(({ vnics }) =>
      vnics.every(({ demandBitsPerSecond }) => demandBitsPerSecond === 0),
    );
  };
  await until("demands to be measured", isMeasured, 30_000, 500);
  const before = (await daemon.status()).daemon.lastResyncMs;
  const isPlanned = async () => (await daemon.status()).daemon.lastResyncMs !== before;
  await until("a plan by what was measured", isPlanned, 30_000, 500);
}

/** By which uplink each MAC's frames go, as the kernel's filters say. */
export function readVias(): Homes {
  return new Map([...readPins()].map(([mac, { uplink }]) => [mac, uplink ?? ""]));
}

/** A vNIC's state, field by field, in what tc can tell. */
export interface Held {
  readonly mac: string;
  readonly home: string | null;
  readonly classes: readonly {
    readonly uplink: string;
    readonly rateBitsPerSecond: number;
    readonly ceilBitsPerSecond: number;
  }[];
}

/** What the kernel holds for each guest, on these uplinks. */
export function readHeld(
  guests: readonly GeneratedGuest[],
  uplinks: readonly string[],
): readonly Held[] {
  const pins = readPins();
  const counts = uplinks.map((uplink) => ({ uplink, classes: readClassCounts(uplink) }));
  return guests.map(({ mac }) => {
    const pin = pins.get(mac);
    return {
      mac,
      home: pin?.uplink ?? null,
      classes: counts.map(({ uplink, classes }) => {
        const found = classes.get(pin?.classId ?? "");
        return {
          uplink,
          rateBitsPerSecond: found?.rateBitsPerSecond ?? Number.NaN,
          ceilBitsPerSecond: found?.ceilBitsPerSecond ?? Number.NaN,
        };
      }),
    };
  });
}

/** The same as simulate tells it. */
export function expectHeld(answer: SimulationDocument): readonly Held[] {
  return answer.vnics.map(({ mac, home, classes }) => ({
    mac,
    home,
    classes: classes.map(({ uplink, reservationBitsPerSecond, limitBitsPerSecond }) => ({
      uplink,
      rateBitsPerSecond: asTcPrints(reservationBitsPerSecond),
      ceilBitsPerSecond: asTcPrints(limitBitsPerSecond),
    })),
  }));
}

/** tc divides by 1000 while nothing is lost, and beyond 1 Mbit/s even then (iproute2, tc_print_rate). */
function asTcPrints(bitsPerSecond: number): number {
  let unit = 1;
  let rate = bitsPerSecond;
  while (rate >= 1000 && (rate % 1000 === 0 || rate >= 1e6)) {
    rate = Math.floor(rate / 1000);
    unit *= 1000;
  }
  return rate * unit;
}

export interface Pin {
  readonly classId: string;
  /** Where its frames go now. */
  readonly uplink: string | null;
}

/** Class and port of every vNIC, as the bond's filters and the ports' queue ids say. */
export function readPins(): ReadonlyMap<string, Pin> {
  interface Port {
    readonly ifname: string;
    readonly linkinfo?: { readonly info_slave_data?: { readonly queue_id?: number } };
  }
  interface Filter {
    readonly options?: {
      readonly keys?: { readonly src_mac?: string };
      readonly actions?: readonly {
        readonly priority?: string;
        readonly queue_mapping?: number;
      }[];
    };
  }
  const ports = new Map(
    readJson<Port>("ip", "-d link show").flatMap(({ ifname, linkinfo }) => {
      const queueId = linkinfo?.info_slave_data?.queue_id ?? 0;
      return queueId === 0 ? [] : [[queueId, ifname] as const];
    }),
  );
  const pins = new Map<string, Pin>();
  for (const { options } of readJson<Filter>("tc", "filter show dev bond0 egress pref 7568")) {
    const mac = options?.keys?.src_mac;
    const actions = options?.actions ?? [];
    const queue = actions.find((action) => action.queue_mapping !== undefined)?.queue_mapping;
    const classId = actions.find((action) => action.priority !== undefined)?.priority;
    if (mac === undefined || classId === undefined) continue;
    pins.set(mac, { classId, uplink: ports.get(queue ?? 0) ?? null });
  }
  return pins;
}

/** An uplink that came and went in a test is kept out for less than that. */
const LONGEST_HOLD_DOWN_MS = 30_000;

/** Waits until the daemon's team is as expected; asked seldom, since it has work to do. */
export async function teamIs(daemon: Daemon, condition: string): Promise<void> {
  const isSo = async () => {
    const { teams } = await daemon.status();
    if (teams.every((team) => team.condition === condition)) return true;
    await sleep(100);
    return false;
  };
  await until(`the team ${condition}`, isSo, LONGEST_HOLD_DOWN_MS);
}

/** Until the daemon has done its part the kernel may hold what it held before. */
export async function assertHeld(
  guests: readonly GeneratedGuest[],
  answer: ReturnType<typeof simulated>,
  when: string,
  limitMs = 10_000,
): Promise<void> {
  const usable = answer.uplinks.filter((uplink) => uplink.usable).map(({ name }) => name);
  const expected = expectHeld(answer);
  let held: readonly Held[] = [];
  const isAsExpected = () => {
    held = readHeld(guests, usable);
    return JSON.stringify(held) === JSON.stringify(expected);
  };
  await until("as simulated", isAsExpected, limitMs, 200).catch(() => undefined);
  assert.deepEqual(held, expected, when);
}

/** Starts guests on a whole team, whose daemon runs. @returns where they are */
export async function startWhole(frame: Frame, guests: readonly GeneratedGuest[]): Promise<Homes> {
  for (const { domain } of guests) startDomain(domain);
  const homes = readVias();
  await assertHeld(guests, simulated(frame, guests, homes, []), "whole");
  return homes;
}

/** Until the kernel holds what a plan for the world as it is makes of where everybody is. */
export async function assertSettled(
  frame: Frame,
  guests: readonly GeneratedGuest[],
  homes: Homes,
  gone: readonly string[],
  when: string,
): Promise<void> {
  let last: unknown = null;
  for (let attempt = 0; attempt < 10; attempt++) {
    const answer = simulated(frame, guests, homes, [], { gone, vias: readVias() });
    try {
      await assertHeld(guests, answer, when, 1000);
      return;
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

/** Adds one to each who goes by another uplink than before. */
export function countMoves(moved: Map<string, number>, before: Homes): void {
  for (const [mac, via] of readVias())
    moved.set(mac, (moved.get(mac) ?? 0) + Number(before.get(mac) !== via));
}

/** Nothing is done to any domain. */
export async function assertUntouched(daemon: Daemon): Promise<void> {
  const { domains } = await daemon.status();
  for (const { name, action, pausedByUs, phase } of domains) {
    assert.deepEqual([pausedByUs, phase], [false, "running"], name);
    assert.ok(action === "none" || action === "throttle", `${name}: ${action}`);
  }
}
