import { setTimeout as sleep } from "node:timers/promises";
import { LabFault } from "./fault.ts";
import { type End, Meter } from "./meter.ts";
import { plug, pull } from "./qmp.ts";

export interface ConversationShape {
  readonly a: End;
  readonly b: End;
  /** A datagram each way per this time; 1 ms by default. */
  readonly intervalMicroseconds?: number;
  readonly family?: 4 | 6;
  /** Its own for each conversation that runs at the same time. */
  readonly port?: number;
}

/** Datagrams in a row that never came; atMs is when the first was sent, in the conversation's time. */
export interface Gap {
  readonly atMs: number;
  readonly frames: number;
}

/** What became of the datagrams of one direction. */
export interface Direction {
  readonly sent: number;
  readonly received: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly reordered: number;
  readonly longestSilenceMs: number;
  readonly gaps: readonly Gap[];
}

export interface LossReport {
  /** From a to b. */
  readonly there: Direction;
  /** From b to a: the receive filters and the switch's learning are on this way. */
  readonly back: Direction;
  /** How late the latest datagram of both was sent. */
  readonly latestMs: number;
  /** Datagrams of either that were sent more than 2 ms after their time, and those of a alone. */
  readonly late: readonly Late[];
  readonly lateThere: readonly Late[];
}

/** Datagrams in a row that were sent late; in the conversation's time, as planned. */
interface Late {
  readonly fromMs: number;
  readonly toMs: number;
  readonly worstMs: number;
}

interface PaceReport {
  readonly sent: number;
  readonly refused: number;
  readonly latestMs: number;
  /** Number of the datagram that was sent the latest after its time. */
  readonly latest: number;
  readonly received: number;
  readonly duplicates: number;
  readonly reordered: number;
  readonly longestSilenceMs: number;
  readonly next: number;
  readonly missing: readonly (readonly [number, number])[];
  /** First, how many, and the worst delay in milliseconds. */
  readonly late: readonly (readonly [number, number, number])[];
}

/** Both programs are ready to receive by then, under TCG too. */
const startDelayMs = 1000;
/** What is on its way at the end arrives within this. */
const graceMs = 300;
/** Ten minutes: a conversation that nobody ends, ends. */
const limitMs = 600_000;
/** Under TCG a sender wakes up to 20 ms late and makes up for it; beyond this nothing timed is true. */
export const latestLimitMs = 200;

/** How late a sender may be at that moment, milliseconds. A daemon at work makes it up to 100 late on two processors. */
const PUNCTUAL_MS = 150;
/** A pull is over within this time, bonding's own detection by polling included. */
const DECIDED_MS = 220;
const BEFORE_MS = 30;
/** A millisecond on its way, and one of rounding. */
const SLACK_MS = 2;

/** Small numbered datagrams both ways between two ends, at a fixed pace, until finished. */
export class Conversation {
  readonly #a: Meter;
  readonly #b: Meter;
  readonly #intervalMs: number;
  readonly #startNs: bigint;

  private constructor(a: Meter, b: Meter, intervalMs: number, startNs: bigint) {
    this.#a = a;
    this.#b = b;
    this.#intervalMs = intervalMs;
    this.#startNs = startNs;
  }

  /** Begins, and returns once the first datagrams are under way. */
  static async start(shape: ConversationShape): Promise<Conversation> {
    const intervalMicroseconds = shape.intervalMicroseconds ?? 1000;
    const family = shape.family ?? 4;
    const startNs = process.hrtime.bigint() + BigInt(startDelayMs) * 1_000_000n;
    const address = (end: End) => (family === 4 ? end.ipv4 : end.ipv6);
    const meter = (from: End, to: End) =>
      new Meter(
        from.namespace,
        ...["pace", address(from), address(to), String(shape.port ?? 5000)],
        ...[String(intervalMicroseconds), String((limitMs * 1000) / intervalMicroseconds)],
        ...[String(startNs), String(graceMs)],
      );
    const [a, b] = [meter(shape.a, shape.b), meter(shape.b, shape.a)];
    await sleep(startDelayMs + 100);
    return new Conversation(a, b, intervalMicroseconds / 1000, startNs);
  }

  /** The conversation's time: a gap at this moment began with the datagram sent now. */
  nowMs(): number {
    return Number(process.hrtime.bigint() - this.#startNs) / 1e6;
  }

  /**
   * Ends it and gives the account. Throws LabFault when a sender did not keep its pace.
   * @param lateMs how late a datagram may be sent: more than usual where only the loss is of interest, not when;
   *   infinite: the caller judges by `late`, and no pace is asked for
   */
  async finish(lateMs = latestLimitMs): Promise<LossReport> {
    const ranMs = this.nowMs();
    this.#a.stop();
    this.#b.stop();
    const [a, b] = [await this.#a.report<PaceReport>(), await this.#b.report<PaceReport>()];
    for (const { sent, refused, latestMs, latest } of [a, b]) {
      const due = ranMs / this.#intervalMs;
      if (lateMs < Number.POSITIVE_INFINITY && (sent + refused < due * 0.95 || latestMs > lateMs)) {
        throw new LabFault(
          `sent ${sent} of ${Math.round(due)}, number ${latest} ${latestMs} ms late`,
        );
      }
    }
    return {
      there: this.#direction(a, b),
      back: this.#direction(b, a),
      latestMs: Math.max(a.latestMs, b.latestMs),
      late: [...this.#lateOf(a), ...this.#lateOf(b)],
      lateThere: this.#lateOf(a),
    };
  }

  #lateOf({ late }: PaceReport): readonly Late[] {
    return late.map(([first, count, worstMs]) => ({
      fromMs: first * this.#intervalMs,
      toMs: (first + count) * this.#intervalMs,
      worstMs,
    }));
  }

  #direction(from: PaceReport, to: PaceReport): Direction {
    const sent = from.sent + from.refused;
    const missing = [...to.missing];
    if (sent > to.next) missing.push([to.next, sent - to.next]);
    return {
      sent,
      received: to.received,
      lost: sent - to.received,
      duplicates: to.duplicates,
      reordered: to.reordered,
      longestSilenceMs: to.longestSilenceMs,
      gaps: missing.map(([first, frames]) => ({ atMs: first * this.#intervalMs, frames })),
    };
  }
}

/** Frames of a direction that were lost in a span of the conversation's time. */
export function lostBetween(direction: Direction, fromMs: number, toMs: number): number {
  return direction.gaps
    .filter(({ atMs }) => atMs >= fromMs && atMs < toMs)
    .reduce((sum, { frames }) => sum + frames, 0);
}

export interface PullsShape extends ConversationShape {
  /** The cable that is pulled, or how to know it before each pull (the active port may have moved). */
  readonly cable: number | (() => number);
  readonly pulls?: number;
  /** Quiet time before each pull and between a pull and the plug. */
  readonly settleMs?: number;
  /** Runs after each plug: a wait for updelay, for hold-down. */
  readonly afterPlug?: () => Promise<void>;
}

export interface PullsReport {
  /**
   * Frames lost by each pull, and by each plug, per direction. What comes back finds its new way by what the near end
   * sends: `backUnasked` are those lost while the near end sent nothing although it was due.
   */
  readonly pulls: readonly {
    readonly there: number;
    readonly back: number;
    readonly backUnasked: number;
  }[];
  readonly plugs: readonly { readonly there: number; readonly back: number }[];
  readonly whole: LossReport;
}

/** Pulls a cable and plugs it in again, several times, in the middle of one conversation. */
export async function measurePulls(shape: PullsShape): Promise<PullsReport> {
  const settleMs = shape.settleMs ?? 700;
  const conversation = await Conversation.start(shape);
  const moments: {
    readonly pulledMs: number;
    readonly pluggedMs: number;
    readonly endMs: number;
  }[] = [];
  for (let count = 0; count < (shape.pulls ?? 5); count++) {
    await sleep(settleMs);
    const cable = typeof shape.cable === "number" ? shape.cable : shape.cable();
    // The loss may begin with a frame that was sent a moment before and is still in a queue.
    const pulledMs = conversation.nowMs() - 20;
    await pull(cable);
    await sleep(settleMs);
    const pluggedMs = conversation.nowMs() - 20;
    await plug(cable);
    await shape.afterPlug?.();
    await sleep(settleMs);
    moments.push({ pulledMs, pluggedMs, endMs: conversation.nowMs() });
  }
  const whole = await conversation.finish(Number.POSITIVE_INFINITY);
  for (const { pulledMs } of moments) assertPunctual(whole, pulledMs);
  const lost = (fromMs: number, toMs: number) => ({
    there: lostBetween(whole.there, fromMs, toMs),
    back: lostBetween(whole.back, fromMs, toMs),
  });
  return {
    pulls: moments.map(({ pulledMs, pluggedMs }) => ({
      ...lost(pulledMs, pluggedMs),
      backUnasked: lostUnasked(whole, pulledMs, pluggedMs),
    })),
    plugs: moments.map(({ pluggedMs, endMs }) => lost(pluggedMs, endMs)),
    whole,
  };
}

/** Frames of the way back whose gap lies within a time in which the near end was late. */
function lostUnasked({ back, lateThere }: LossReport, fromMs: number, toMs: number): number {
  return back.gaps
    .filter(({ atMs }) => atMs >= fromMs && atMs < toMs)
    .filter(({ atMs, frames }) =>
      lateThere.some(
        (late) =>
          late.fromMs <= atMs + frames && late.toMs >= atMs && late.worstMs >= frames - SLACK_MS,
      ),
    )
    .reduce((sum, { frames }) => sum + frames, 0);
}

/** What a pull costs is decided while the senders are punctual, or nothing is known. */
function assertPunctual({ late }: LossReport, pulledMs: number): void {
  const [fromMs, toMs] = [pulledMs - BEFORE_MS, pulledMs + DECIDED_MS];
  const worst = late.find(
    (span) => span.worstMs > PUNCTUAL_MS && span.fromMs < toMs && span.toMs > fromMs,
  );
  if (worst !== undefined) {
    throw new LabFault(`a sender was ${worst.worstMs} ms late when the cable was pulled`);
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
