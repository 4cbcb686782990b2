/**
 * Objects that somebody else changes again and again. To mend them each time would be a fight without end, which costs
 * both sides the processor and the guests their queues; so it is told once, with who it may be, and left alone for a while
 * that doubles each time. What the plan wants anew is written at once all the same: that is no answer to the other.
 */
import { type KernelMap, type KernelObject, kernelKey } from "../model/kernel.ts";
import { sameObject } from "../model/same-object.ts";
import type { Contest } from "../model/status.ts";
import type { Step } from "../model/step.ts";
import type { Tampering } from "./tampering.ts";

/** So often within the window, and it is no accident: a person's mistakes, and a test's, are fewer. */
const TIMES = 5;
const WINDOW_MS = 60_000;
/** The first pause: long enough to end the fight, short enough to be no harm where it was none. */
const FIRST_PAUSE_MS = 30_000;
/** The longest: whoever stopped the other program sees ours mended within this. */
const LONGEST_PAUSE_MS = 480_000;
/** Objects that are watched; beyond, the oldest is forgotten. A storm over everything is told by its first. */
const MAX_WATCHED = 1000;

interface Record {
  /** When it was changed, within the window. */
  changesAtMs: number[];
  /** All changes since it was first noticed. */
  times: number;
  readonly sinceMs: number;
  /** 0: watched only. */
  pauses: number;
  pausedUntilMs: number;
  /** What the plan wants in its place; null: nothing. */
  wanted: KernelObject | null;
  who: string;
  /** Theirs stands as we have left it: to mend it afterwards tells of no new change. */
  isTheirs: boolean;
}

export class Contests {
  readonly #records = new Map<string, Record>();
  readonly #suspect: (device: string) => string;

  /** @param suspect who it is likely to be that changes a device's objects */
  constructor(suspect: (device: string) => string) {
    this.#suspect = suspect;
  }

  /** The steps that are to be taken now, and those that are left because of the other. */
  sift(
    steps: readonly Step[],
    desired: KernelMap,
    nowMs: number,
  ): { readonly due: readonly Step[]; readonly left: readonly Step[] } {
    if (this.#records.size === 0) return { due: steps, left: [] };
    const left = new Set<string>();
    for (const step of steps) {
      const key = kernelKey(step.object);
      const record = this.#records.get(key);
      if (record === undefined || record.pausedUntilMs <= nowMs) continue;
      if (isSame(desired.get(key) ?? null, record.wanted)) left.add(key);
    }
    if (left.size === 0) return { due: steps, left: [] };
    const isLeft = (step: Step) => left.has(kernelKey(step.object)) || standsOnLeft(step, left);
    return { due: steps.filter((step) => !isLeft(step)), left: steps.filter(isLeft) };
  }

  /**
   * Notes what somebody else did.
   * @returns what has become a contest, or goes on as one, with this
   */
  note(changes: readonly Tampering[], desired: KernelMap, nowMs: number): readonly Contest[] {
    const keys = new Set(changes.map(({ object }) => object));
    const begun: string[] = [];
    for (const { object: key } of changes) {
      const wanted = desired.get(key) ?? null;
      // What goes with its qdisc is no fight of its own.
      if (wanted !== null && hasParentIn(wanted, keys)) continue;
      const record = this.#recordOf(key, nowMs);
      // Found after a pause as it was left, this is no new change.
      if (record.isTheirs) continue;
      record.times += 1;
      record.changesAtMs = [...record.changesAtMs.filter((at) => at > nowMs - WINDOW_MS), nowMs];
      if (record.pauses === 0 && record.changesAtMs.length < TIMES) continue;
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** record.pauses, LONGEST_PAUSE_MS);
      record.pauses += 1;
      record.pausedUntilMs = nowMs + pauseMs;
      record.wanted = wanted;
      record.who = this.whoOf(key);
      record.isTheirs = true;
      begun.push(key);
    }
    return this.list().filter(({ object }) => begun.includes(object));
  }

  /** Who it is likely to be that changes an object, with the evidence. */
  whoOf(object: string): string {
    return this.#suspect(deviceOf(object));
  }

  /** Ours stands again. */
  mended(steps: readonly Step[]): void {
    if (this.#records.size === 0) return;
    for (const { object } of steps) {
      const record = this.#records.get(kernelKey(object));
      if (record !== undefined) record.isTheirs = false;
    }
  }

  /** Forgets what has been quiet for as long as its last pause was, and a window more. @returns ended contests */
  end(nowMs: number): readonly string[] {
    const ended: string[] = [];
    for (const [key, { pauses, pausedUntilMs, changesAtMs }] of this.#records) {
      const lastMs = Math.max(pausedUntilMs, changesAtMs.at(-1) ?? 0);
      const pauseMs =
        pauses === 0 ? 0 : Math.min(FIRST_PAUSE_MS * 2 ** (pauses - 1), LONGEST_PAUSE_MS);
      if (nowMs < lastMs + pauseMs + WINDOW_MS) continue;
      this.#records.delete(key);
      if (pauses > 0) ended.push(key);
    }
    return ended;
  }

  list(): readonly Contest[] {
    return [...this.#records].flatMap(([object, record]) => {
      if (record.pauses === 0) return [];
      const { times, sinceMs, who, pausedUntilMs } = record;
      return [{ object, times, sinceMs, who, nextTryAtMs: pausedUntilMs }];
    });
  }

  /** When the first of them is tried again; null: none waits. */
  nextTryAtMs(nowMs: number): number | null {
    const waiting = this.list().filter(({ nextTryAtMs }) => nextTryAtMs > nowMs);
    return waiting.length === 0 ? null : Math.min(...waiting.map(({ nextTryAtMs }) => nextTryAtMs));
  }

  clear(): void {
    this.#records.clear();
  }

  #recordOf(key: string, nowMs: number): Record {
    const known = this.#records.get(key);
    if (known !== undefined) return known;
    const [oldest] = this.#records.keys();
    if (this.#records.size >= MAX_WATCHED && oldest !== undefined) this.#records.delete(oldest);
    const record: Record = {
      changesAtMs: [],
      times: 0,
      sinceMs: nowMs,
      pauses: 0,
      pausedUntilMs: 0,
      wanted: null,
      who: "",
      isTheirs: false,
    };
    this.#records.set(key, record);
    return record;
  }
}

/** `class nic0 7570:10`, `htb nic0`: kinds that stand on a device name it second. */
function deviceOf(key: string): string {
  return key.split(" ")[1] ?? key;
}

function isSame(a: KernelObject | null, b: KernelObject | null): boolean {
  return a === null || b === null ? a === b : sameObject(a, b);
}

/** Whether what a step makes or changes can't stand while that is left which it stands on. */
function standsOnLeft({ op, object }: Step, left: ReadonlySet<string>): boolean {
  return op !== "delete" && hasParentIn(object, left);
}

/** Whether the qdisc, class or hook that an object stands on is among these. */
function hasParentIn(object: KernelObject, keys: ReadonlySet<string>): boolean {
  switch (object.kind) {
    case "leaf":
      return (
        keys.has(kernelKey(object).replace("leaf", "class")) || keys.has(`htb ${object.device}`)
      );
    case "class":
      return keys.has(`htb ${object.device}`);
    case "control": {
      // It would hold the other's class.
      const classKey = `class ${object.device} 7570:${object.minor.toString(16)}`;
      return keys.has(classKey) || keys.has(`htb ${object.device}`);
    }
    case "catch-all":
    case "vnic":
    case "reports":
    case "passed-on":
    case "forged":
    case "declared":
    case "host-source":
    case "host-match":
    case "queue-reset":
    case "reflection":
    case "redirect":
    case "inbound":
      return keys.has(`clsact ${object.device}`);
    default:
      return false;
  }
}
