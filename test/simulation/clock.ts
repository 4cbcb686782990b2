/** Virtual time: nothing waits for it, and it goes on only from one call to the next. */
import type { Clock } from "../../src/model/clock.ts";

interface Alarm {
  readonly atMs: number;
  readonly sequence: number;
  call: (() => void) | null;
}

/** 2026-01-01: what is compared with it must not be mistaken for a duration. */
const START_MS = 1_767_225_600_000;

export class VirtualClock implements Clock {
  /** A binary heap, the next alarm first. */
  readonly #alarms: Alarm[] = [];
  #nowMs = START_MS;
  #sequence = 0;

  readonly now = (): number => this.#nowMs;

  readonly after = (delayMs: number, call: () => void): (() => void) => {
    this.#sequence += 1;
    const atMs = this.#nowMs + Math.max(0, delayMs);
    const alarm: Alarm = { atMs, sequence: this.#sequence, call };
    this.#push(alarm);
    return () => {
      alarm.call = null;
    };
  };

  /**
   * Goes on by so much, calling what falls due on the way, in order.
   * @param settle awaited after each call: what it set going must have come to rest before time goes on
   */
  async advance(durationMs: number, settle: () => Promise<void>): Promise<void> {
    const endMs = this.#nowMs + durationMs;
    for (;;) {
      const [next] = this.#alarms;
      if (next === undefined || next.atMs > endMs) break;
      this.#pop();
      const { call } = next;
      if (call === null) continue;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.call = null;
      call();
      await settle();
    }
    this.#nowMs = endMs;
  }

  #push(alarm: Alarm): void {
    const heap = this.#alarms;
    let at = heap.length;
    heap.push(alarm);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Alarm;
      if (!isBefore(alarm, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = alarm;
  }

  #pop(): void {
    const heap = this.#alarms;
    const last = heap.pop() as Alarm;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as Alarm)) child += 1;
      if (!isBefore(heap[child] as Alarm, last)) break;
      heap[at] = heap[child] as Alarm;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Alarm, b: Alarm): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}
