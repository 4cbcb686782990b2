/** What happens to the simulated host, as plain data: a list of these and a seed are a whole history. */
import type { Wish } from "./guest.ts";
import type { Random } from "./random.ts";

/** `port` and `guest` are places in the host's lists, taken modulo their lengths. */
export type Happening =
  | { readonly kind: "nothing" }
  | { readonly kind: "cable-out" | "cable-in"; readonly port: number }
  | { readonly kind: "flap"; readonly port: number; readonly downMs: number }
  | { readonly kind: "port-down" | "port-up"; readonly port: number }
  | { readonly kind: "port-released" | "port-enslaved"; readonly port: number }
  | { readonly kind: "device-gone" | "device-back"; readonly port: number }
  | { readonly kind: "speed"; readonly port: number; readonly mbit: number }
  /** Behind a link that stays up. */
  | { readonly kind: "path-cut"; readonly port: number; readonly way: "out" | "in" | "both" }
  | { readonly kind: "path-mended"; readonly port: number }
  /** Whether the probes' target answers, and whether other hosts make themselves heard. */
  | { readonly kind: "outside"; readonly answers: boolean; readonly floods: boolean }
  | { readonly kind: "start" | "stop" | "leave"; readonly guest: number }
  | { readonly kind: "arrive"; readonly guest: number; readonly arrivesMs: number }
  | { readonly kind: "plug" | "unplug"; readonly guest: number; readonly vnic: number }
  | { readonly kind: "annotate"; readonly guest: number; readonly wish: Wish }
  | { readonly kind: "demand"; readonly guest: number; readonly mbit: number }
  | { readonly kind: "person-pauses" | "person-resumes"; readonly guest: number }
  | { readonly kind: "hold" | "unhold"; readonly guest: number }
  | { readonly kind: "drain"; readonly port: number; readonly force: boolean }
  | { readonly kind: "undrain"; readonly port: number }
  | { readonly kind: "release" | "enable" }
  | {
      readonly kind: "libvirt";
      readonly health: "slow" | "dead" | "unreachable";
      readonly lastsMs: number;
    }
  | { readonly kind: "libvirtd-restarts" }
  | { readonly kind: "signals-lost"; readonly count: number }
  | { readonly kind: "disorder"; readonly lastsMs: number }
  | { readonly kind: "calls-refused"; readonly count: number }
  | { readonly kind: "batch-refused"; readonly step: number; readonly errno: number }
  | { readonly kind: "batch-breaks"; readonly step: number }
  | { readonly kind: "kernel-events-lost"; readonly count: number }
  | { readonly kind: "tampering"; readonly at: number; readonly how: "delete" | "slower" }
  /** The same object again and again. */
  | {
      readonly kind: "contest";
      readonly at: number;
      readonly times: number;
      readonly everyMs: number;
    }
  | { readonly kind: "foreign-root" | "foreign-root-gone"; readonly port: number }
  | { readonly kind: "disk-full"; readonly lastsMs: number }
  | { readonly kind: "crash"; readonly downMs: number }
  /** Crashes at the n-th point from now at which the daemon waits for, or changes, anything outside. */
  | { readonly kind: "crash-at"; readonly point: number; readonly downMs: number }
  | { readonly kind: "restart"; readonly downMs: number }
  /** A restart as another version, which finds in the journal what a newer one has added. */
  | { readonly kind: "upgrade"; readonly downMs: number }
  /** kill -9, and what is left of the journal can't be read. */
  | { readonly kind: "journal-damaged"; readonly downMs: number }
  | { readonly kind: "clock-jump"; readonly byMs: number };

export interface Event {
  /** After the event before, milliseconds. */
  readonly afterMs: number;
  readonly what: Happening;
}

type Maker = (random: Random) => Happening;

const port = (random: Random) => random.between(0, 7);
const guest = (random: Random) => random.between(0, 63);

export function drawWish(random: Random): Wish {
  const reservationMbit = random.pick([0, 0, 50, 200, 1000, 4000]);
  return {
    priority: random.pick(["critical", "high", "normal", "low"]),
    reservationMbit,
    limitMbit: random.chance(0.3) ? reservationMbit + random.pick([100, 2000]) : null,
    // Not drawn by itself: recorded histories keep what their seeds meant.
    inboundMbit: reservationMbit === 50 ? 10 : reservationMbit === 1000 ? 500 : null,
    shares: random.pick([10, 100, 100, 1000]),
    action: random.pick(["throttle", "discard", "pause", "pause", "migrate"]),
    graceMs: random.pick([0, 500, 5000]),
  };
}

/** Each kind with its weight: common things are common, and every pair of rare ones meets within a few thousand. */
const MAKERS: readonly (readonly [number, Maker])[] = [
  [6, (random) => ({ kind: "cable-out", port: port(random) })],
  [9, (random) => ({ kind: "cable-in", port: port(random) })],
  [4, (random) => ({ kind: "flap", port: port(random), downMs: random.pick([20, 90, 150, 1000]) })],
  [1, (random) => ({ kind: "port-down", port: port(random) })],
  [3, (random) => ({ kind: "port-up", port: port(random) })],
  [1, (random) => ({ kind: "port-released", port: port(random) })],
  [3, (random) => ({ kind: "port-enslaved", port: port(random) })],
  [1, (random) => ({ kind: "device-gone", port: port(random) })],
  [3, (random) => ({ kind: "device-back", port: port(random) })],
  [1, (random) => ({ kind: "speed", port: port(random), mbit: random.pick([1000, 10000, 25000]) })],
  [
    3,
    (random) => ({
      kind: "path-cut",
      port: port(random),
      way: random.pick(["out", "in", "both", "both"]),
    }),
  ],
  [5, (random) => ({ kind: "path-mended", port: port(random) })],
  [1, (random) => ({ kind: "outside", answers: random.chance(0.7), floods: random.chance(0.5) })],
  [12, (random) => ({ kind: "start", guest: guest(random) })],
  [6, (random) => ({ kind: "stop", guest: guest(random) })],
  [2, (random) => ({ kind: "leave", guest: guest(random) })],
  [
    3,
    (random) => ({ kind: "arrive", guest: guest(random), arrivesMs: random.pick([5, 900, 9000]) }),
  ],
  [3, (random) => ({ kind: "plug", guest: guest(random), vnic: random.between(1, 3) })],
  [2, (random) => ({ kind: "unplug", guest: guest(random), vnic: random.between(0, 3) })],
  [5, (random) => ({ kind: "annotate", guest: guest(random), wish: drawWish(random) })],
  [
    9,
    (random) => ({ kind: "demand", guest: guest(random), mbit: random.pick([0, 10, 900, 5000]) }),
  ],
  [3, (random) => ({ kind: "person-pauses", guest: guest(random) })],
  [4, (random) => ({ kind: "person-resumes", guest: guest(random) })],
  [1, (random) => ({ kind: "hold", guest: guest(random) })],
  [2, (random) => ({ kind: "unhold", guest: guest(random) })],
  [1, (random) => ({ kind: "drain", port: port(random), force: random.chance(0.5) })],
  [2, (random) => ({ kind: "undrain", port: port(random) })],
  [0.4, () => ({ kind: "release" })],
  [2, () => ({ kind: "enable" })],
  [
    2,
    (random) => ({
      kind: "libvirt",
      health: random.pick(["slow", "dead", "unreachable"]),
      lastsMs: random.pick([500, 4000, 30_000]),
    }),
  ],
  [1, () => ({ kind: "libvirtd-restarts" })],
  [1, (random) => ({ kind: "signals-lost", count: random.between(1, 4) })],
  [1, (random) => ({ kind: "disorder", lastsMs: random.pick([3000, 20_000]) })],
  [1, (random) => ({ kind: "calls-refused", count: random.between(1, 3) })],
  [
    2,
    (random) => ({
      kind: "batch-refused",
      step: random.between(0, 12),
      errno: random.pick([1, 12, 16, 22]),
    }),
  ],
  [2, (random) => ({ kind: "batch-breaks", step: random.between(0, 12) })],
  [1, (random) => ({ kind: "kernel-events-lost", count: random.between(1, 4) })],
  [
    2,
    (random) => ({
      kind: "tampering",
      at: random.between(0, 999),
      how: random.pick(["delete", "slower"]),
    }),
  ],
  [1, (random) => ({ kind: "foreign-root", port: port(random) })],
  [2, (random) => ({ kind: "foreign-root-gone", port: port(random) })],
  [1, (random) => ({ kind: "disk-full", lastsMs: random.pick([1000, 20_000]) })],
  [1, (random) => ({ kind: "crash", downMs: random.pick([10, 2000, 20_000]) })],
  [
    5,
    (random) => ({
      kind: "crash-at",
      point: random.between(1, 40),
      downMs: random.pick([10, 300, 10_000]),
    }),
  ],
  [1, (random) => ({ kind: "restart", downMs: random.pick([10, 2000]) })],
  [0.5, (random) => ({ kind: "upgrade", downMs: random.pick([10, 2000]) })],
  [0.3, (random) => ({ kind: "journal-damaged", downMs: random.pick([10, 2000]) })],
  [
    0.5,
    (random) => ({
      kind: "contest",
      at: random.between(0, 999),
      times: random.pick([4, 8, 30]),
      everyMs: random.pick([300, 1500, 8000]),
    }),
  ],
  [1, (random) => ({ kind: "clock-jump", byMs: random.pick([-3600e3, -5000, 5000, 3600e3]) })],
];

const TOTAL_WEIGHT = MAKERS.reduce((sum, [weight]) => sum + weight, 0);

/** Draws so many events. */
export function drawEvents(random: Random, count: number): Event[] {
  return Array.from({ length: count }, () => ({ afterMs: drawPause(random), what: draw(random) }));
}

function draw(random: Random): Happening {
  let left = random.fraction() * TOTAL_WEIGHT;
  for (const [weight, make] of MAKERS) {
    left -= weight;
    if (left < 0) return make(random);
  }
  return { kind: "nothing" };
}

/** Most follow each other closely: faults that overlap find more than faults one by one. */
function drawPause(random: Random): number {
  const part = random.fraction();
  if (part < 0.4) return random.between(0, 20);
  if (part < 0.8) return random.between(20, 800);
  if (part < 0.97) return random.between(800, 4000);
  return random.between(4000, 20_000);
}

/** One line for people: `+120ms cable-out port=1`. */
export function describeEvent({ afterMs, what }: Event): string {
  const { kind, ...rest } = what;
  const fields = Object.entries(rest).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return [`+${afterMs}ms`, kind, ...fields].join(" ");
}
