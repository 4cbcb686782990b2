import { setTimeout as sleep } from "node:timers/promises";
import { readClassCounts } from "./host.ts";
import { type End, Meter } from "./meter.ts";

/** Bytes that Ethernet, IP and UDP put before a datagram's payload; HTB counts all of them. */
const headerBytes = { 4: 42, 6: 62 } as const;

export interface FloodShape {
  readonly from: End;
  readonly to: End;
  /** Layer 2, as HTB counts. */
  readonly bitsPerSecond: number;
  /** The whole frame as HTB counts it. Small ones keep queues short, large ones cost less CPU. */
  readonly frameBytes?: number;
  readonly family?: 4 | 6;
  readonly port?: number;
}

/** A stream of UDP datagrams at a steady rate, until stopped. */
export class Flood {
  readonly #meter: Meter;
  readonly #frameBytes: number;

  constructor(shape: FloodShape) {
    const { from, to, family = 4, frameBytes = 1000, port = 5100 } = shape;
    const payloadBytes = frameBytes - headerBytes[family];
    const payloadBits = Math.round((shape.bitsPerSecond * payloadBytes) / frameBytes);
    const [source, target] = family === 4 ? [from.ipv4, to.ipv4] : [from.ipv6, to.ipv6];
    this.#frameBytes = frameBytes;
    this.#meter = new Meter(
      from.namespace,
      ...["flood", source, target, String(port), String(payloadBits), String(payloadBytes), "0"],
    );
  }

  /** Stops it and says at what rate it really sent. */
  async stop(): Promise<{ readonly bitsPerSecond: number }> {
    this.#meter.stop();
    const report = await this.#meter.report<{ datagrams: number; elapsedMs: number }>();
    return { bitsPerSecond: (report.datagrams * this.#frameBytes * 8000) / report.elapsedMs };
  }
}

/** One TCP connection that takes what it gets, until stopped. Needs a Sink at its target. */
export class Stream {
  readonly #meter: Meter;

  constructor({
    from,
    to,
    port = 5100,
  }: { readonly from: End; readonly to: End; readonly port?: number }) {
    this.#meter = new Meter(from.namespace, "stream", from.ipv4, to.ipv4, String(port), "0");
  }

  async stop(): Promise<{ readonly bytes: number }> {
    this.#meter.stop();
    return this.#meter.report<{ bytes: number }>();
  }
}

export interface SinkReport {
  /** Payload bytes that came in each window of time. */
  readonly windows: readonly number[];
  readonly bytes: number;
  readonly datagrams: number;
  readonly elapsedMs: number;
}

/** Takes in UDP and TCP on a port, until stopped. Without one, a target answers datagrams with ICMP errors. */
export class Sink {
  readonly #meter: Meter;

  constructor(
    at: End,
    { port = 5100, windowMs = 250 }: { readonly port?: number; readonly windowMs?: number } = {},
  ) {
    this.#meter = new Meter(at.namespace, "sink", String(port), String(windowMs), "0");
  }

  async stop(): Promise<SinkReport> {
    this.#meter.stop();
    return this.#meter.report<SinkReport>();
  }
}

export interface FrameCount {
  readonly frames: number;
  /** Frames with the interface's own address as their source, come back to it. */
  readonly reflected: number;
  /** Frames that came a second time within 50 ms. */
  readonly twice: number;
}

/** Counts what an interface of a namespace takes in, until stopped. */
export class Watch {
  readonly #meter: Meter;

  constructor(namespace: string, link = "eth0") {
    this.#meter = new Meter(namespace, "watch", link, "0");
  }

  async stop(): Promise<FrameCount> {
    this.#meter.stop();
    return this.#meter.report<FrameCount>();
  }
}

/**
 * Rates at which HTB classes let traffic out over a span of time, in layer 2 bits per second, by link and
 * class id. Reading the counters takes some 0.1 s under TCG, so spans of a few seconds are good to 2 %.
 */
export async function measureClassRates(
  links: readonly string[],
  spanMs: number,
): Promise<Map<string, Map<string, number>>> {
  const before = links.map(readTimed);
  await sleep(spanMs);
  const after = links.map(readTimed);
  const rates = new Map<string, Map<string, number>>();
  for (const [index, link] of links.entries()) {
    const [first, second] = [before[index], after[index]];
    if (first === undefined || second === undefined) continue;
    const seconds = (second.atMs - first.atMs) / 1000;
    const ofLink = new Map<string, number>();
    for (const [handle, { bytes }] of second.counts) {
      const earlier = first.counts.get(handle)?.bytes ?? 0n;
      ofLink.set(handle, (Number(bytes - earlier) * 8) / seconds);
    }
    rates.set(link, ofLink);
  }
  return rates;
}

/** A look that takes no longer is good enough: when in it the kernel counted isn't known. */
const QUICK_LOOK_MS = 120;
const LOOKS = 4;

interface TimedCounts {
  readonly atMs: number;
  readonly tookMs: number;
  readonly counts: ReturnType<typeof readClassCounts>;
}

/** The quickest of a few looks, on a machine that is busy for a moment. */
function readTimed(link: string): TimedCounts {
  let best: TimedCounts | undefined;
  for (let look = 0; look < LOOKS; look += 1) {
    const startMs = performance.now();
    const counts = readClassCounts(link);
    const tookMs = performance.now() - startMs;
    if (best === undefined || tookMs < best.tookMs) {
      best = { atMs: startMs + tookMs / 2, tookMs, counts };
    }
    if (tookMs <= QUICK_LOOK_MS) break;
  }
  return best as TimedCounts;
}
