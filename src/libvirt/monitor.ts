/**
 * Keeps hold of libvirt over restarts of the bus, of libvirt-dbus and of libvirtd, and tells what happens to domains.
 *
 * libvirt-dbus sends no events until some call after its start, and falls silent without a signal when libvirtd
 * restarts, until the next call. So it is called every few seconds; what its answer shows that no event told, and
 * every return, makes a resync.
 */
import { type Clock, SYSTEM_CLOCK } from "../model/clock.ts";
import { LibvirtError } from "../model/errors.ts";
import {
  type ConnectionOptions,
  type LibvirtCall,
  type LibvirtCaller,
  LibvirtConnection,
  type LibvirtSignal,
} from "./connection.ts";
import { type LibvirtState, readAllStates } from "./domain.ts";
import { type LibvirtEvent, parseSignal } from "./event.ts";

export interface MonitorOptions {
  /** Told of everything, in order; never from within a method of the monitor. */
  readonly onEvent: (event: LibvirtEvent) => void;
  /** D-Bus address; by default the system bus. */
  readonly address?: string;
  /** How long events can be missing unnoticed; default 3000. */
  readonly heartbeatMs?: number;
  /** Connect and handshake; default 5000. */
  readonly connectTimeoutMs?: number;
  /** Of calls that name none; default 10000. */
  readonly callTimeoutMs?: number;
  /** Connects; by default to the bus at `address`. */
  readonly open?: (options: ConnectionOptions) => Promise<Connection>;
  readonly clock?: Clock;
}

/** A connection, as far as it is needed here. */
export type Connection = Pick<LibvirtConnection, "call" | "close" | "closed">;

/** A bus that is not there is there again within a second at a restart, and within minutes at worst at boot. */
const FIRST_RECONNECT_MS = 200;
const LAST_RECONNECT_MS = 5000;
/** What no event told of and no state shows, such as a NIC plugged in while libvirtd restarts, is found by then. */
const FULL_LOOK_MS = 60_000;
/** Longer than libvirtd takes to answer while it starts 100 domains; its own keepalive gives up after 30 s. */
const HEARTBEAT_TIMEOUT_MS = 5000;

export class LibvirtMonitor implements LibvirtCaller {
  readonly #options: MonitorOptions;
  readonly #heartbeatMs: number;
  readonly #callTimeoutMs: number;
  #connection: Connection | null = null;
  #running: Promise<void> | null = null;
  #stopped = false;
  /** null: never answered yet, nothing said either. */
  #up: boolean | null = null;
  #whyDown = "not started";
  #resyncBecause: string | null = null;
  #states: ReadonlyMap<string, LibvirtState> = new Map();
  #resyncAtMs = 0;
  #wake: (() => void) | null = null;

  constructor(options: MonitorOptions) {
    this.#options = options;
    this.#heartbeatMs = options.heartbeatMs ?? 3000;
    this.#callTimeoutMs = options.callTimeoutMs ?? 10_000;
  }

  /** Whether libvirt answered the last time that it was asked. */
  get up(): boolean {
    return this.#up === true;
  }

  /** Begins; from now on there are events, first of them `up` and `resync`, or `down`. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends; calls under way fail. No event comes after it has settled. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#connection?.close();
    this.#wake?.();
    await this.#running;
  }

  /** Asks libvirt at once and makes a resync of it: for a hint from elsewhere that it restarted (hook `reconnect`). */
  poke(why: string): void {
    this.#resyncBecause ??= why;
    this.#wake?.();
  }

  async call(call: LibvirtCall): Promise<unknown> {
    if (this.#connection === null) {
      throw new LibvirtError(
        call.object,
        `${call.member}: libvirt is not reachable: ${this.#whyDown}`,
      );
    }
    return await this.#connection.call(call);
  }

  async #run(): Promise<void> {
    const { open = LibvirtConnection.open } = this.#options;
    let delayMs = FIRST_RECONNECT_MS;
    while (!this.#stopped) {
      try {
        this.#connection = await open({
          address: this.#options.address,
          connectTimeoutMs: this.#options.connectTimeoutMs ?? 5000,
          callTimeoutMs: this.#callTimeoutMs,
          onSignal: (signal) => this.#receive(signal),
          onClose: (why) => {
            this.#tellDown(`bus: ${why}`);
            this.#wake?.();
          },
        });
        delayMs = FIRST_RECONNECT_MS;
        await this.#follow(this.#connection);
      } catch (error) {
        this.#tellDown(describe(error));
      }
      this.#connection?.close();
      this.#connection = null;
      if (!this.#stopped) await this.#sleep(delayMs);
      delayMs = Math.min(delayMs * 2, LAST_RECONNECT_MS);
    }
  }

  /** Until the connection ends. */
  async #follow(connection: Connection): Promise<void> {
    while (!connection.closed && !this.#stopped) {
      // What comes while the call is under way asks for the next resync, not for this one.
      const because = this.#resyncBecause;
      this.#resyncBecause = null;
      try {
        const states = await readAllStates(connection, HEARTBEAT_TIMEOUT_MS);
        this.#tellAlive(states, because);
      } catch (error) {
        this.#resyncBecause ??= because;
        this.#tellDown(describe(error));
      }
      // A closed connection has woken nobody if it closed during the call.
      if (!connection.closed && (this.#resyncBecause === null || this.#up !== true)) {
        await this.#sleep(this.#heartbeatMs);
      }
    }
  }

  #receive(signal: LibvirtSignal): void {
    if (signal.member === "NameOwnerChanged") {
      this.poke("libvirt-dbus restarted");
      return;
    }
    const event = parseSignal(signal);
    if (event !== null) this.#tell(event);
  }

  #tellAlive(states: ReadonlyMap<string, LibvirtState>, because: string | null): void {
    const before = this.#states;
    this.#states = states;
    if (this.#up !== true) {
      this.#up = true;
      this.#tell({ type: "up" });
      this.#tellResync(because ?? "libvirt answers");
      return;
    }
    const { clock = SYSTEM_CLOCK } = this.#options;
    const isDue = clock.now() >= this.#resyncAtMs + FULL_LOOK_MS;
    const why = because ?? findDifference(before, states) ?? (isDue ? "a minute has passed" : null);
    if (why !== null) this.#tellResync(why);
  }

  #tellResync(why: string): void {
    const { clock = SYSTEM_CLOCK } = this.#options;
    this.#resyncAtMs = clock.now();
    this.#tell({ type: "resync", why });
  }

  #tellDown(why: string): void {
    this.#whyDown = why;
    if (this.#up === false || this.#stopped) return;
    this.#up = false;
    this.#tell({ type: "down", why });
  }

  #tell(event: LibvirtEvent): void {
    if (!this.#stopped) this.#options.onEvent(event);
  }

  #sleep(ms: number): Promise<void> {
    const { clock = SYSTEM_CLOCK } = this.#options;
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        this.#wake = null;
        resolve();
      };
      const cancel = clock.after(ms, done);
      this.#wake = done;
    });
  }
}

/** Events may have told of it already; one resync more changes nothing, one less may leave a domain unseen. */
function findDifference(
  before: ReadonlyMap<string, LibvirtState>,
  after: ReadonlyMap<string, LibvirtState>,
): string | null {
  for (const [name, { state }] of after) {
    const was = before.get(name)?.state;
    if (was !== state) return `domain ${name}: ${was ?? "off"} became ${state}`;
  }
  for (const name of before.keys()) {
    if (!after.has(name)) return `domain ${name} runs no more`;
  }
  return null;
}

function describe(error: unknown): string {
  if (error instanceof LibvirtError) return `${error.object}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}
