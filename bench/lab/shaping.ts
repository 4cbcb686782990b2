/**
 * How exactly limits, shares and reservations hold: few and many flows, TCP and UDP, large and small frames. To be run where
 * the processor's clock counts instructions (Lab.counted), by cables that this clock waits for: TCP hears of a late
 * acknowledgement as it does of a full queue.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../test/lab/bare.ts";
import { ip } from "../../test/lab/command.ts";
import { startDaemon } from "../../test/lab/daemon.ts";
import { type Guest, labConfig, startGuest, whereIs } from "../../test/lab/guests.ts";
import { buildHost } from "../../test/lab/host.ts";
import { outside } from "../../test/lab/switch.ts";
import { Flood, measureClassRates, Sink, Stream } from "../../test/lab/traffic.ts";
import { pullInside, wireInside, wireOutside } from "../../test/lab/wires.ts";
import { atLeast, atMost, type Benchmark, type Result, resultOf } from "../result.ts";

const MBIT = 1e6;
/** An uplink and what is promised of it, bits per second. */
interface Line {
  readonly rate: number;
  readonly reserved: number;
  readonly limit: number;
  /** What each sender tries, more than it can have. */
  readonly wanted: number;
}
const lineOf = (rate: number): Line => ({
  rate,
  reserved: rate / 3,
  limit: rate / 12,
  wanted: rate / 2,
});
/** Little enough for a lab's processor to fill it with small frames. */
const NARROW = lineOf(24 * MBIT);
/** For large frames: eight TCP connections on less than this have no full frame each to send. */
const WIDE = lineOf(48 * MBIT);
/** The line is full with so much of it; the host's own traffic is the rest. */
const FULL_PART = 0.9;
const SETTLE_MS = 2500;
/** Who has three times the shares sends 96 kB in turn: one turn is less than 2 % of what it sends on the narrow line meanwhile. */
const SPAN_MS = 6000;
/** The counted clock gives the same again. */
const ROUNDS = 1;
const BIN_MS = 20;
/** Until a flood's start is none of what is measured. */
const BEGINNING_MS = 500;

interface Kind {
  readonly name: string;
  readonly line: Line;
  /** Of UDP; null for TCP. */
  readonly frameBytes: number | null;
  readonly flows: number;
  /** The largest packet towards the target. */
  readonly mtuBytes?: number;
}

const SMALL_MTU_BYTES = 300;
const LARGE_MTU_BYTES = 1500;

const KINDS: readonly Kind[] = [
  ...[1, 8].flatMap((flows): Kind[] => [
    { name: `UDP, large frames, ${flows}`, line: WIDE, frameBytes: 1400, flows },
    { name: `TCP, large frames, ${flows}`, line: WIDE, frameBytes: null, flows },
    { name: `UDP, small frames, ${flows}`, line: NARROW, frameBytes: 200, flows },
    {
      name: `TCP, small frames, ${flows}`,
      line: NARROW,
      frameBytes: null,
      flows,
      mtuBytes: SMALL_MTU_BYTES,
    },
  ]),
];

export const shaping: Benchmark = {
  name: "shaping",
  run: async () => [...(await measureLine(WIDE)), ...(await measureLine(NARROW))],
};

/** Four guests on one uplink, and each kind of traffic that is measured on such a line. */
async function measureLine(line: Line): Promise<readonly Result[]> {
  await resetToBare();
  wireInside();
  await buildHost();
  const daemon = await startDaemon({ config: labConfig({ speed: words(line.rate) }) });
  const on = (number: number, name: string, bandwidth: string) =>
    startGuest(number, name, `<uplink:bandwidth ${bandwidth}/><uplink:placement prefer="nic0"/>`);
  const guests = [
    on(1, "reserved", `reservation="${words(line.reserved)}" shares="1"`),
    on(2, "one", 'shares="50"'),
    on(3, "three", 'shares="150"'),
    on(4, "limited", `limit="${words(line.limit)}" shares="1000"`),
  ];
  const places = [];
  for (const guest of guests) places.push(await whereIs(daemon, guest));
  const results: Result[] = [];
  for (const kind of KINDS.filter((kind) => kind.line === line)) {
    const rounds: (readonly number[])[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const rates = await measureKind(kind, guests, places);
      // Where the processor is the bottleneck no class is held to anything.
      if (rates.reduce((sum, rate) => sum + rate, 0) >= FULL_PART * line.rate) rounds.push(rates);
      else console.log(`      ${kind.name}: the senders didn't fill the line`);
    }
    if (rounds.length > 0) results.push(...describe(kind, rounds));
  }
  await daemon.kill();
  wireOutside();
  return results;
}

function words(bitsPerSecond: number): string {
  return `${bitsPerSecond / MBIT}mbit`;
}

/** Rates of the guests' classes, bits per second. */
async function measureKind(
  kind: Kind,
  guests: readonly Guest[],
  places: readonly { readonly classId: string }[],
): Promise<readonly number[]> {
  const mtu = kind.mtuBytes ?? LARGE_MTU_BYTES;
  for (const { namespace } of guests)
    ip([`route replace ${outside.ipv4}/32 dev eth0 mtu lock ${mtu}`], namespace);
  const ports = guests.map((_, index) => 5100 + index);
  const sinks = ports.map((port) => new Sink(outside, { port }));
  await sleep(300);
  const senders = guests.flatMap((from, index) =>
    Array.from({ length: kind.flows }, () => {
      const way = { from, to: outside, port: ports[index] ?? 0 };
      return kind.frameBytes === null
        ? new Stream(way)
        : new Flood({
            ...way,
            frameBytes: kind.frameBytes,
            bitsPerSecond: kind.line.wanted / kind.flows,
          });
    }),
  );
  await sleep(SETTLE_MS);
  const rates = (await measureClassRates(["nic0"], SPAN_MS)).get("nic0");
  await Promise.all(senders.map((sender) => sender.stop()));
  await Promise.all(sinks.map((sink) => sink.stop()));
  const found = places.map(({ classId }) => rates?.get(classId) ?? 0);
  console.log(
    `      ${kind.name}: ${found.map((rate) => (rate / MBIT).toFixed(2)).join(" ")} Mbit/s`,
  );
  return found;
}

/** Above their rates of 100 kbit the two without a reservation share by weight. */
const FLOOR = 0.1 * MBIT;

function describe(kind: Kind, rounds: readonly (readonly number[])[]): readonly Result[] {
  const of = (count: (rates: readonly number[]) => number) => rounds.map(count);
  return [
    resultOf(
      `kept of a reservation: ${kind.name}`,
      "part",
      of(([reserved = 0]) => reserved / kind.line.reserved),
      atLeast(0.98),
    ),
    resultOf(
      `off a limit: ${kind.name}`,
      "part",
      of(([, , , limited = 0]) => Math.abs(limited - kind.line.limit) / kind.line.limit),
      atMost(0.02),
    ),
    resultOf(
      `off shares of one to three: ${kind.name}`,
      "part",
      of(([, one = 0, three = 0]) => Math.abs((three - FLOOR) / (one - FLOOR) / 3 - 1)),
      atMost(0.05),
    ),
  ];
}

/** A high priority's rate while its cable is pulled, in bins as fine as the lab's clock allows. */
export const highPriority: Benchmark = {
  name: "high-priority",
  run: async () => {
    await resetToBare();
    wireInside();
    await buildHost();
    const daemon = await startDaemon({ config: labConfig({ speed: words(NARROW.rate) }) });
    const high = startGuest(
      1,
      "high",
      `<uplink:priority>high</uplink:priority><uplink:bandwidth reservation="${words(NARROW.reserved)}"/><uplink:placement prefer="nic0"/>`,
    );
    const low = startGuest(
      2,
      "low",
      '<uplink:priority>low</uplink:priority><uplink:placement prefer="nic1"/>',
    );
    const [highSink, lowSink] = [
      new Sink(outside, { port: 5100, windowMs: BIN_MS }),
      new Sink(outside, { port: 5101 }),
    ];
    const sinkMs = performance.now();
    await sleep(300);
    // A little more than it must have in each bin, so that a full bin shows.
    const flood = { to: outside, frameBytes: 200 };
    const senders = [
      new Flood({ ...flood, from: high, port: 5100, bitsPerSecond: NARROW.reserved * 1.1 }),
      new Flood({ ...flood, from: low, port: 5101, bitsPerSecond: 2 * NARROW.wanted }),
    ];
    const startedMs = performance.now();
    await sleep(BEGINNING_MS + SETTLE_MS);
    const pulledMs = performance.now();
    await pullInside(0);
    await sleep(SETTLE_MS);
    await Promise.all(senders.map((sender) => sender.stop()));
    const { windows } = await highSink.stop();
    await lowSink.stop();
    await daemon.kill();
    wireOutside();
    // Payload is what the sink counts.
    const least = (0.95 * NARROW.reserved * (158 / 200) * BIN_MS) / 8000;
    const binAt = (atMs: number) => Math.round((atMs - sinkMs) / BIN_MS);
    const below = (fromMs: number) =>
      windows.slice(binAt(fromMs), binAt(fromMs + SETTLE_MS)).filter((bytes) => bytes < least)
        .length;
    // As many are below before the pull as the lab's processor was late.
    const [before, after] = [below(startedMs + BEGINNING_MS), below(pulledMs)];
    const what = `bins of ${BIN_MS} ms below 95 % of a high reservation`;
    return [
      resultOf(`${what}, before a pull`, "bins", [before]),
      resultOf(`${what}, after it`, "bins", [after]),
      resultOf(`${what}, more of them after it`, "bins", [after - before], atMost(1)),
    ];
  },
};
