/**
 * Memory that a burst of work has left behind is given back. By itself the engine collects when its heap has grown by a
 * good part, and after a thousand starts on a host that is quiet from then on that never happens: what was thrown away
 * stays, and so do the pages it was on. Most of those are the C library's: buffers that the heap only refers to. So do
 * pages of the program itself that only its start, or the burst, has used.
 */
import type { Clock } from "../model/clock.ts";
import { trimHeap } from "../native/libc.ts";
import { dropProgramPages } from "../native/program-pages.ts";

export interface ThriftOptions {
  readonly clock: Clock;
  /** What the process has in memory now, without what is files': that comes and goes by itself; null if that can't be read. */
  readonly ownBytes: () => number | null;
  /** Collects everything, and gives back what is free. The thread stands still meanwhile. */
  readonly collect: () => void;
}

/** Less is not worth standing still for, and comes back by itself: compiled code, the young generation. */
const GROWTH_BYTES = 10e6;
/** After the first sign of growth: mostly the burst is over then, and one that goes on pauses us that seldom. */
const DELAY_MS = 10_000;
/** After such a collection once more: if it was in a burst's midst, what came after it may have grown by less. */
const ONCE_MORE_MS = 60_000;

export class Thrift {
  readonly #options: ThriftOptions;
  /** After the last collection; none yet: what a start leaves behind is the first burst. */
  #leftBytes = 0;
  #cancel: (() => void) | null = null;
  #cancelOnceMore: (() => void) | null = null;

  constructor(options: ThriftOptions) {
    this.#options = options;
  }

  /** Looks whether that has grown, and if so collects some time later; cheap, for every run of the loop. */
  look(): void {
    const { clock, ownBytes } = this.#options;
    const own = this.#cancel === null ? ownBytes() : null;
    if (own === null || own < this.#leftBytes + GROWTH_BYTES) return;
    this.#cancel = clock.after(DELAY_MS, () => {
      this.#cancel = null;
      this.#collect();
      this.#cancelOnceMore?.();
      this.#cancelOnceMore = clock.after(ONCE_MORE_MS, () => this.#collect());
    });
  }

  #collect(): void {
    this.#options.collect();
    this.#leftBytes = this.#options.ownBytes() ?? this.#leftBytes;
  }

  /** Nothing is collected any more. */
  stop(): void {
    this.#cancel?.();
    this.#cancelOnceMore?.();
  }
}

/** Collects with what `--expose-gc` of the unit gives, where it is set, and gives back what is free or no longer used. */
export function collectHeap(): void {
  globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
  // The engine frees what its buffers took; the C library keeps all of that but what is at the end of its heap.
  trimHeap();
  dropProgramPages();
}
