/**
 * Chaos: one step after the other, each of one to three faults at about the same time, drawn from a seed. After each the
 * host has to be right again within a stated time, and no traffic may be silent for longer than its faults allow.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { Random } from "../../simulation/random.ts";
import { CommandError, inNamespace, ip } from "../command.ts";
import { LabFault } from "../fault.ts";
import { attribute } from "../host.ts";
import { tapOf } from "../libvirt.ts";
import { Conversation, type Direction } from "../loss.ts";
import { ping } from "../standin.ts";
import { outside } from "../switch.ts";
import { until } from "../wait.ts";
import { type End, FAULTS, type Fault, type FaultName, MENDED_MS } from "./fault.ts";
import { ChaosHost, DOMAINS } from "./host.ts";
import { findWrong } from "./right.ts";

/** Between two datagrams of a conversation. */
const INTERVAL_MS = 5;
/** Between two pings of the real domain; its guest's processor is emulated twice. */
const PING_INTERVAL_MS = 200;
/** So many pings in a row may go without an answer, besides those that the faults account for. */
const PINGS_SPARE = 5;
/**
 * Right again so long after the outside has ended its part. Hold-down is 2 s, a full look comes every 5 s, libvirt is
 * asked for again within 5 s, and a look at everything takes a second on emulated processors.
 */
export const RIGHT_WITHIN_MS = 30_000;

/** A host that has just been built, libvirt and all. */
const SETTLED_WITHIN_MS = 60_000;

/** iPXE's start, on a processor that is emulated twice. */
const GUEST_BOOT_MS = 240_000;

export interface ChaosShape {
  readonly seed: number;
  readonly durationMs: number;
}

/** What came of a step. */
interface Step {
  readonly faults: readonly FaultName[];
  /** From the outside's end of the faults to all being right. */
  readonly rightAfterMs: number;
  /** Of each conversation and direction the longest that was lost in a row. */
  readonly silenceMs: number;
  readonly lost: number;
  readonly sent: number;
}

export interface ChaosReport {
  readonly steps: readonly Step[];
  /** Each with the seed and the number of its step. */
  readonly violations: readonly string[];
}

/** Builds the host, lets chaos come over it for so long, and tells of each step as it ends. */
export async function runChaos({ seed, durationMs }: ChaosShape): Promise<ChaosReport> {
  const host = await ChaosHost.build();
  try {
    const rightAfterMs = await untilRight(host, SETTLED_WITHIN_MS);
    // Neighbours are known, and the real guest's boot is over, before anything is counted.
    for (const standin of host.standins) ping(standin.namespace, outside.ipv4);
    await until(
      "the real domain's answer",
      () => ping(outside.namespace, DOMAINS[1].ipv4, { count: 1 }) === 1,
      GUEST_BOOT_MS,
      500,
    );
    // A guest whose processor stands still would else be forgotten there, and not even be asked.
    const { ipv4, macs } = DOMAINS[1];
    ip([`neigh replace ${ipv4} lladdr ${macs[0]} dev sbr nud permanent`], outside.namespace);
    console.log(`      right after ${Math.round(rightAfterMs)} ms, seed ${seed}`);
    const random = new Random(seed);
    const steps: Step[] = [];
    const violations: string[] = [];
    const endMs = performance.now() + durationMs;
    while (performance.now() < endMs) {
      const number = steps.length + 1;
      const name = `seed ${seed}, step ${number}`;
      // The first step has none: it shows what the lab itself loses.
      const faults = number === 1 ? [] : drawFaults(random);
      const { step, wrong } = await liveThrough(host, faults, random);
      if (number === 1 && wrong.length > 0)
        throw new LabFault(
          `it can't be told what faults do where none does this: ${wrong.join("; ")}`,
        );
      steps.push(step);
      const what = step.faults.length === 0 ? "nothing" : step.faults.join(" + ");
      const figures = `right after ${Math.round(step.rightAfterMs)} ms, ${step.lost} of ${step.sent} lost, ${step.silenceMs} ms in a row`;
      console.log(`      ${number}: ${what}: ${figures}`);
      for (const text of wrong) {
        console.log(`      VIOLATION: ${text}`);
        violations.push(`${name} (${what}): ${text}`);
      }
      // A host that isn't right shows nothing in the next step.
      if (wrong.some((text) => text.startsWith(NOT_RIGHT))) break;
    }
    return { steps, violations };
  } catch (error) {
    // What the end of a host that is not right says would hide it.
    console.log(String(error));
    throw error;
  } finally {
    await host.end();
  }
}

const WARM_UP_MS = 1000;
const NOT_RIGHT = "not right again";

async function liveThrough(
  host: ChaosHost,
  faults: readonly FaultName[],
  random: Random,
): Promise<{ readonly step: Step; readonly wrong: readonly string[] }> {
  const cable = random.between(0, 1);
  const loggedBefore = host.log.length;
  const talks = await Promise.all(
    host.standins.map((standin, index) =>
      Conversation.start({
        a: standin,
        b: outside,
        intervalMicroseconds: INTERVAL_MS * 1000,
        port: 5000 + index,
      }),
    ),
  );
  const pings = new Pings(DOMAINS[1].ipv4, tapOf(DOMAINS[1].name, DOMAINS[1].macs[0]));
  // A meter that starts late misses what the other one has sent by then.
  await sleep(WARM_UP_MS);
  const sinceMs = Math.min(...talks.map((talk) => talk.nowMs()));
  const ends: End[] = [];
  let absentMs = 0;
  for (const name of faults) {
    const fault: Fault = FAULTS[name];
    const madeMs = performance.now();
    const end = await unlessGone(() => fault.make({ host, random, cable }));
    ends.push(
      fault.isAbsence !== true
        ? end
        : async () => {
            await end?.();
            absentMs += performance.now() - madeMs;
          },
    );
    await sleep(random.pick([0, 20, 300]));
  }
  await sleep(random.between(100, 3000));
  await endAll(ends);
  const wrong: string[] = [];
  const rightAfterMs = await untilRight(host, RIGHT_WITHIN_MS).catch((error: Error) => {
    wrong.push(`${NOT_RIGHT} after ${RIGHT_WITHIN_MS} ms: ${error.message}`);
    return RIGHT_WITHIN_MS;
  });
  const reports = await Promise.all(talks.map((talk) => talk.finish(Number.POSITIVE_INFINITY)));
  const unanswered = await pings.stop();
  const directions = reports.flatMap(({ there, back }) => [there, back]);
  const silenceMs = Math.max(...directions.map((direction) => longestLoss(direction, sinceMs)));
  const limitsMs = faults.map((name) => FAULTS[name].silenceMs);
  // What somebody else breaks while uplinkd is away is mended once it is back.
  const waitsMs = limitsMs.includes(MENDED_MS) ? Math.round(absentMs) : 0;
  const allowedMs = Math.max(NO_FAULT_MS, ...limitsMs) + waitsMs;
  if (silenceMs > allowedMs) {
    const each = directions.map((direction) => longestLoss(direction, sinceMs)).join(", ");
    wrong.push(`frames lost for ${silenceMs} ms in a row, ${allowedMs} are allowed (${each})`);
  }
  if (unanswered * PING_INTERVAL_MS > allowedMs + PINGS_SPARE * PING_INTERVAL_MS)
    wrong.push(`the real domain gave no answer ${unanswered} times in a row`);
  const told = host.log.slice(loggedBefore);
  for (const [line] of told.matchAll(/^<\d>(bug|domain-paused|Error).*$/gm)) wrong.push(line);
  const sum = (of: (direction: Direction) => number) =>
    directions.reduce((total, direction) => total + of(direction), 0);
  const [lost, sent] = [sum((direction) => direction.lost), sum((direction) => direction.sent)];
  if (wrong.length > 0) console.log(told.replaceAll(/^/gm, "        "));
  return { step: { faults, rightAfterMs, silenceMs, lost, sent }, wrong };
}

/** What an earlier fault of the step has taken away can't be changed, and that is all right. */
async function unlessGone(make: () => Promise<End> | End): Promise<End> {
  try {
    return await make();
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return null;
  }
}

/** Last made, first ended; once more what needs the end of another one. What is still not as it was, isn't right afterwards. */
async function endAll(ends: readonly End[]): Promise<void> {
  const again: End[] = [];
  for (const end of ends.toReversed()) {
    try {
      await end?.();
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      again.push(end);
    }
  }
  for (const end of again) {
    await unlessGone(async () => {
      await end?.();
      return null;
    });
  }
}

/** A step without faults: what late processes lose. */
const NO_FAULT_MS = 60;

/** @returns after how long @throws Error that says what isn't right */
async function untilRight(host: ChaosHost, limitMs: number): Promise<number> {
  const start = performance.now();
  for (;;) {
    const wrong = await findWrong(host);
    const tookMs = performance.now() - start;
    if (wrong === null) return tookMs;
    if (tookMs > limitMs) throw new Error(wrong);
    await sleep(200);
  }
}

const NAMES = Object.keys(FAULTS) as readonly FaultName[];
const TOTAL_WEIGHT = NAMES.reduce((sum, name) => sum + FAULTS[name].weight, 0);

/** Mostly one, sometimes two or three, no two of a kind. */
function drawFaults(random: Random): readonly FaultName[] {
  const count = random.pick([1, 1, 1, 2, 2, 3]);
  const drawn = new Set<FaultName>();
  while (drawn.size < count) drawn.add(drawFault(random));
  return [...drawn];
}

function drawFault(random: Random): FaultName {
  let left = random.fraction() * TOTAL_WEIGHT;
  for (const name of NAMES) {
    left -= FAULTS[name].weight;
    if (left < 0) return name;
  }
  return "cable pulled";
}

function longestLoss({ gaps }: Direction, sinceMs: number): number {
  const later = gaps.filter(({ atMs }) => atMs >= sinceMs);
  return Math.max(0, ...later.map(({ frames }) => frames * INTERVAL_MS));
}

/** What the guest's tap had passed on by the time of an answer. */
interface Answer {
  readonly sequence: number;
  readonly toGuest: number;
  readonly fromGuest: number;
}

/** Pings from the switch to a guest behind a tap, until stopped. */
class Pings {
  readonly #process: ChildProcess;
  readonly #output: Promise<string>;
  readonly #tap: string;
  readonly #answers: Answer[];

  constructor(address: string, tap: string) {
    this.#tap = tap;
    this.#answers = [this.#passedOn(0)];
    const words = ["ping", "-n", "-i", String(PING_INTERVAL_MS / 1000), "-W", "1", address];
    const [program = "", ...args] = [...inNamespace(outside.namespace), ...words];
    this.#process = spawn(program, args, { stdio: ["ignore", "pipe", "ignore"] });
    this.#output = new Promise((resolve) => {
      let output = "";
      this.#process.stdout?.on("data", (data: Buffer) => {
        output += data.toString();
        for (const [, sequence] of data.toString().matchAll(/icmp_seq=(\d+) ttl/g))
          this.#answers.push(this.#passedOn(Number(sequence)));
      });
      this.#process.on("close", () => resolve(output));
    });
  }

  /**
   * @returns the longest row of pings without an answer, but for those that came to the guest and that it didn't answer:
   * its processor is emulated twice, and on a busy machine stands still for seconds
   */
  async stop(): Promise<number> {
    this.#process.kill("SIGINT");
    const output = await this.#output;
    const sent = Number(/(\d+) packets transmitted/.exec(output)?.[1]);
    if (!Number.isFinite(sent)) throw new LabFault(`ping: ${output}`);
    // The last one's answer may still be on its way.
    const seen = [...this.#answers, this.#passedOn(sent)].sort((a, b) => a.sequence - b.sequence);
    return Math.max(
      ...seen.map((answer, index) => lostOnTheWay(seen[index - 1] ?? answer, answer)),
    );
  }

  #passedOn(sequence: number): Answer {
    const count = (name: string) => Number(attribute(this.#tap, `statistics/${name}`));
    return { sequence, toGuest: count("tx_packets"), fromGuest: count("rx_packets") };
  }
}

/** Between two answers. */
function lostOnTheWay(before: Answer, after: Answer): number {
  const unanswered = after.sequence - before.sequence - 1;
  const there = after.toGuest - before.toGuest - 1;
  const back = after.fromGuest - before.fromGuest - 1;
  return Math.min(unanswered, Math.max(unanswered - there, back, 0));
}

/** Figures by kind of fault, of the steps that had it: a line each, for people and for the docs. */
export function summarize({ steps }: ChaosReport): string {
  const lines = NAMES.flatMap((name) => {
    const with_ = steps.filter(({ faults }) => faults.includes(name));
    if (with_.length === 0) return [];
    const most = (of: (step: Step) => number) => Math.round(Math.max(...with_.map(of)));
    return [
      `${String(with_.length).padStart(4)} ${name.padEnd(30)} right after at most ${most((step) => step.rightAfterMs)} ms, \
silent for at most ${most((step) => step.silenceMs)} of ${FAULTS[name].silenceMs} ms`,
    ];
  });
  const slowest = Math.round(Math.max(0, ...steps.map(({ rightAfterMs }) => rightAfterMs)));
  const lost = steps.reduce((sum, step) => sum + step.lost, 0);
  const sent = steps.reduce((sum, step) => sum + step.sent, 0);
  return [
    ...lines,
    `${steps.length} steps, right again after at most ${slowest} ms, ${lost} of ${sent} frames lost`,
  ].join("\n");
}
