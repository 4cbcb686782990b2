/**
 * The kernel's own news of links and traffic control, and the fast reaction to a lost port. A worker thread sits in
 * poll, so that neither planning nor logging in the main thread delays it; the bytes to send at a loss are compiled
 * ahead and lie ready there.
 */
import { Worker } from "node:worker_threads";
import { NetlinkError, UplinkError } from "../model/errors.ts";
import { errnoName } from "../native/errno.ts";
import * as libc from "../native/libc.ts";
import type { Link } from "./link.ts";
import { COUNTS } from "./monitor-counts.ts";

/** A request of a reaction that the kernel refused. */
export interface ReactionError {
  readonly object: string;
  readonly errno: number;
  readonly extAck: string;
}

/** What the worker tells. Times are of process.hrtime (CLOCK_MONOTONIC), nanoseconds. */
export type MonitorEvent =
  /** A link is new, has changed or is gone; changes of counters alone are left out. */
  | { readonly type: "link"; readonly link: Link; readonly removed: boolean }
  /** Someone else changed qdiscs, classes or filters of these interfaces; 0 stands for shared actions. */
  | { readonly type: "tc"; readonly ifindexes: readonly number[] }
  /** Events were lost; links have been read again by the worker, all else is to be read anew. */
  | { readonly type: "overrun" }
  /** An armed port was lost and its bytes are sent; it is no longer armed. */
  | {
      readonly type: "reacted";
      readonly ifindex: number;
      readonly eventAtNs: bigint;
      readonly sentAtNs: bigint;
      readonly errors: readonly ReactionError[];
    }
  /** The worker has ended, and no events come any more. */
  | { readonly type: "failed"; readonly message: string };

/** What the main thread tells the worker. */
export type MonitorCommand =
  | {
      readonly type: "arm";
      readonly ifindex: number;
      readonly chunks: readonly Uint8Array[];
      readonly objects: readonly (readonly string[])[];
    }
  | { readonly type: "disarm"; readonly ifindex: number }
  /** Whether changes of traffic control are listened to; that they are again is answered. */
  | { readonly type: "listen"; readonly on: boolean }
  | { readonly type: "react"; readonly ifindex: number }
  | { readonly type: "stop" };

export interface MonitorWorkerData {
  /** eventfd that wakes the worker: a command waits for it. */
  readonly wakeFd: number;
  /** Traffic-control events that these sockets' requests caused are our own and not told. */
  readonly ownPortIds: readonly number[];
  /** The event socket's receive buffer. */
  readonly bufferBytes: number;
  /** Shared with the main thread, see COUNTS. */
  readonly counts: Int32Array;
}

/** Some thousands of events: the boot of a host full of domains, while the worker is kept from its processor. */
const EVENT_BUFFER_BYTES = 4 << 20;

export class Monitor {
  readonly #worker: Worker;
  readonly #wakeFd: number;
  readonly #counts: Int32Array;
  #closed = false;
  #ended = false;
  /** Told when the worker listens to everything again, or has ended. */
  readonly #waiting: (() => void)[] = [];

  private constructor(worker: Worker, { wakeFd, counts }: MonitorWorkerData) {
    this.#worker = worker;
    this.#wakeFd = wakeFd;
    this.#counts = counts;
  }

  /**
   * Starts the worker and waits until it listens and is warm; what changes from then on is told.
   * @param ownPortIds see RequestSocket.portId
   * @param bufferBytes room for events that wait; more are lost, told as an overrun and made up for
   * @throws NetlinkError if it can't start
   */
  static async start(
    ownPortIds: readonly number[],
    onEvent: (event: MonitorEvent) => void,
    bufferBytes = EVENT_BUFFER_BYTES,
  ): Promise<Monitor> {
    const wakeFd = libc.eventDescriptor();
    if (wakeFd < 0) {
      throw new NetlinkError(
        "link monitor",
        -wakeFd,
        "",
        `no eventfd for the link monitor: ${errnoName(-wakeFd)}`,
        "backoff",
      );
    }
    const counts = new Int32Array(
      new SharedArrayBuffer(Object.keys(COUNTS).length * Int32Array.BYTES_PER_ELEMENT),
    );
    const data: MonitorWorkerData = { wakeFd, ownPortIds, bufferBytes, counts };
    const worker = new Worker(workerUrl(import.meta.url), { workerData: data });
    const monitor = new Monitor(worker, data);
    await monitor.#listen(onEvent);
    return monitor;
  }

  /**
   * Lays ready what is to be sent when this port loses carrier or is taken down; replaces what was there. It is sent
   * once. The chunks' memory goes over to the worker.
   */
  arm(
    ifindex: number,
    compiled: {
      readonly chunks: readonly Uint8Array[];
      readonly objects: readonly (readonly string[])[];
    },
  ): void {
    const { chunks, objects } = compiled;
    this.#command(
      { type: "arm", ifindex, chunks, objects },
      chunks.map((chunk) => chunk.buffer as ArrayBuffer),
    );
  }

  /** Takes back what was armed. */
  disarm(ifindex: number): void {
    this.#command({ type: "disarm", ifindex }, []);
  }

  /**
   * Doesn't listen to changes of traffic control while `work` makes many. Newer kernels (6.18, not 6.1) make a
   * notification only if somebody listens (rtnl_notify_needed), which is a third of what making a class costs. What
   * others change meanwhile is not told: who asks for this looks at everything afterwards, when it is listened to
   * again. Links are listened to throughout.
   */
  async withoutTrafficControl<T>(work: () => Promise<T>): Promise<T> {
    this.#command({ type: "listen", on: false }, []);
    try {
      return await work();
    } finally {
      const listening = new Promise<void>((resolve) => this.#waiting.push(resolve));
      this.#command({ type: "listen", on: true }, []);
      if (!this.#closed && !this.#ended) await listening;
    }
  }

  /** Sends what is armed for a port now, as if its carrier were lost. */
  react(ifindex: number): void {
    this.#command({ type: "react", ifindex }, []);
  }

  /** How many reactions have begun; that of one whose `reacted` still waits to be told is among them. */
  get reactions(): number {
    return Atomics.load(this.#counts, COUNTS.reactions);
  }

  /** Rises with each change by others that the kernel has told of; see COUNTS. */
  get changes(): number {
    return Atomics.load(this.#counts, COUNTS.changes);
  }

  /** Ends the worker; no event comes after that. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#command({ type: "stop" }, []);
    this.#closed = true;
    await new Promise<void>((resolve) => this.#worker.once("exit", () => resolve()));
    libc.close(this.#wakeFd);
  }

  #command(command: MonitorCommand, transfer: readonly ArrayBuffer[]): void {
    if (this.#closed) return;
    this.#worker.postMessage(command, [...transfer]);
    libc.signalEvent(this.#wakeFd);
  }

  #listen(onEvent: (event: MonitorEvent) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      let ready = false;
      const fail = (message: string) => {
        if (ready && !this.#closed) onEvent({ type: "failed", message });
        if (!ready) {
          reject(
            new NetlinkError("link monitor", 0, "", `the link monitor: ${message}`, "backoff"),
          );
        }
      };
      const settle = () => {
        for (const resolve of this.#waiting.splice(0)) resolve();
      };
      this.#worker.on("message", (event: MonitorEvent | "ready" | "listening") => {
        if (event === "listening") {
          settle();
          return;
        }
        if (event !== "ready") {
          if (!this.#closed) onEvent(event);
          return;
        }
        ready = true;
        resolve();
      });
      this.#worker.on("error", (error) => fail(describe(error)));
      this.#worker.on("exit", () => {
        this.#ended = true;
        settle();
        fail("its thread ended");
      });
    });
  }
}

/** The worker's file lies beside this one, in the same form: .ts in the sources, .mjs when bundled. */
export function workerUrl(ownUrl: string): URL {
  const extension = ownUrl.slice(ownUrl.lastIndexOf("."));
  return new URL(`./monitor-worker${extension}`, ownUrl);
}

function describe(error: unknown): string {
  if (error instanceof UplinkError || error instanceof Error) return error.message;
  return String(error);
}
