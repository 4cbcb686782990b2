/**
 * A whole host in one process and in virtual time: the daemon's real parts over models of kernel and libvirt. One
 * seed is one history, every time.
 */

import { kernelKey } from "../../src/model/kernel.ts";
import { VirtualClock } from "./clock.ts";
import { drawWish, type Event } from "./event.ts";
import { type Guest, makeGuest } from "./guest.ts";
import { happen } from "./happen.ts";
import type { Daemon, Outside } from "./host.ts";
import { checkAlways, checkAtRest, type Violation } from "./invariants.ts";
import { KernelModel, OLDER_CATCH_ALL } from "./kernel.ts";
import { LibvirtModel } from "./libvirt.ts";
import { Life } from "./life.ts";
import { BOND, Links } from "./links.ts";
import { Network } from "./network.ts";
import { Random } from "./random.ts";
import { loadedFor, TARGET } from "./setting.ts";
import { Traffic } from "./traffic.ts";
import { Watcher } from "./watcher.ts";

/** A rest is looked for after so many events. */
const EVENTS_BETWEEN_RESTS = 25;
/** Hold-down, grace, backoff after a refusal and the longest time between two full looks have passed by then. */
const REST_MS = 65_000;
/** Between two looks at what must hold always. */
const LOOK_MS = 1000;

/** What of the real parts a mutation replaces, to see an invariant fail. */
export interface Mutation {
  readonly kernel?: (kernel: KernelModel) => void;
  readonly outside?: (outside: Outside, simulation: Simulation) => Outside;
  readonly daemon?: (daemon: Daemon, simulation: Simulation) => void;
}

export class Simulation {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly links: Links;
  readonly network = new Network();
  readonly kernel: KernelModel;
  readonly traffic: Traffic;
  readonly libvirt: LibvirtModel;
  readonly guests: readonly Guest[];
  readonly watcher: Watcher;
  readonly mutation: Mutation;
  readonly loaded: Outside["loaded"];
  /** The present run of the daemon; null while it is down. */
  life: Life | null = null;
  /** The journal, as it stands on disk. */
  disk: string | null = null;
  diskFull = false;
  /** The next start is another version's. */
  upgrading = false;
  /** What another version wrote into the journal; null: none did yet. */
  added: string | null = null;
  /** Looked for so far; each ends all faults. */
  rests = 0;
  /** The host's clock, against the steady one. */
  clockOffsetMs = 0;
  /** Of the next batches of steps: what befalls them. */
  readonly batchFaults: { readonly step: number; readonly errno: number | null }[] = [];
  kernelEventsLost = 0;
  crashPoint: { left: number; readonly downMs: number } | null = null;

  /** Of the present or the last run of the daemon. */
  #startedAtOffsetMs = 0;

  constructor(seed: number, mutation: Mutation = {}) {
    this.random = new Random(seed);
    this.mutation = mutation;
    const { random, clock } = this;
    const ports = random.pick([2, 2, 3, 4]);
    this.links = new Links(
      Array.from({ length: ports }, (_, index) => ({
        name: `nic${index}`,
        txQueues: random.pick([1, 4]),
        speedBitsPerSecond: 10e9,
      })),
    );
    this.loaded = loadedFor(random, this.links);
    this.network.targets.add(TARGET);
    this.kernel = new KernelModel(this.links);
    mutation.kernel?.(this.kernel);
    this.traffic = new Traffic(this.kernel, clock.now());
    this.guests = Array.from({ length: random.between(2, 8) }, (_, index) =>
      makeGuest(index, drawWish(random)),
    );
    this.watcher = new Watcher(this);
    this.libvirt = new LibvirtModel(this.guests, clock, random, this.watcher);
  }

  /**
   * Lives through a history; what must hold is looked at all the way, and at rest every now and then.
   * @returns what didn't hold first, and after how many events; null if everything did
   */
  async run(events: readonly Event[]): Promise<{ violation: Violation; after: number } | null> {
    this.startDaemon();
    await this.wait(50);
    for (const [index, event] of events.entries()) {
      const after = index + 1;
      let violation = await this.wait(event.afterMs);
      if (violation !== null) return { violation, after: index };
      this.watcher.noteEvent();
      happen(this, event.what);
      await settle();
      violation = checkAlways(this);
      if (violation === null && after % EVENTS_BETWEEN_RESTS === 0) violation = await this.rest();
      if (violation !== null) return { violation, after };
    }
    const violation = await this.rest();
    this.life?.end();
    return violation === null ? null : { violation, after: events.length };
  }

  /** Lets time pass, and looks on the way. */
  async wait(durationMs: number): Promise<Violation | null> {
    let left = durationMs;
    while (left > 0) {
      const part = Math.min(left, LOOK_MS);
      await this.clock.advance(part, settle);
      left -= part;
      const violation = checkAlways(this);
      if (violation !== null) return violation;
    }
    return null;
  }

  /** Ends all faults, waits until nothing is left to do, and looks whether everything is as it should be. */
  async rest(): Promise<Violation | null> {
    const { libvirt } = this;
    libvirt.health = "well";
    libvirt.losing = 0;
    libvirt.refusing = 0;
    libvirt.disorder = 0;
    this.diskFull = false;
    this.rests += 1;
    this.batchFaults.length = 0;
    this.kernelEventsLost = 0;
    this.crashPoint = null;
    if (this.life === null) this.startDaemon();
    // What an operator asked for just now may take as long as libvirt's slowest answer.
    do await this.wait(10_000);
    while ((this.life?.asked ?? 0) > 0);
    if (this.life?.daemon.loop.mode !== "enforcing") happen(this, { kind: "enable" });
    let violation = await this.wait(REST_MS);
    // What was left to somebody else is tried again once its pause is over.
    while (violation === null && (this.life?.daemon.loop.nextTryAtMs ?? null) !== null)
      violation = await this.wait(10_000);
    return violation ?? (await checkAtRest(this));
  }

  startDaemon(): void {
    if (this.life !== null) return;
    if (this.clockOffsetMs < this.#startedAtOffsetMs) {
      // Set back, the clock can't say how long a pause has lasted: it counts from now.
      for (const guest of this.guests) guest.pausedAtMs = this.clock.now();
    }
    this.#startedAtOffsetMs = this.clockOffsetMs;
    if (this.upgrading && this.disk !== null && !this.watcher.isJournalDamaged()) {
      this.added = `at ${this.clock.now()}`;
      this.disk = JSON.stringify({ ...JSON.parse(this.disk), added: this.added });
      this.#leaveOlderForm();
    }
    this.upgrading = false;
    this.life = new Life(this);
    this.life.begin();
  }

  /** The version before had another form of a filter. */
  #leaveOlderForm(): void {
    const { kernel, watcher } = this;
    const ours = kernel.objects.get(`catch-all ${BOND}`);
    if (ours === undefined) return;
    kernel.remove(ours);
    kernel.objects.set(kernelKey(OLDER_CATCH_ALL), OLDER_CATCH_ALL);
    watcher.noteFault();
  }

  /** kill -9: nothing of it runs any more; calls that are on their way still reach libvirt. */
  crash(downMs: number): void {
    const { life } = this;
    if (life === null) return;
    life.end();
    this.life = null;
    this.crashPoint = null;
    this.watcher.noteCrash(life);
    this.clock.after(downMs, () => this.startDaemon());
  }

  /** kill -9 in the middle of what a disk does with a file: half of the journal is there. */
  damageJournal(downMs: number): void {
    if (this.life === null || this.disk === null) return;
    this.crash(downMs);
    this.disk = this.disk.slice(0, this.disk.length / 2);
    this.added = null;
    this.watcher.noteDamage();
  }

  /** SIGTERM, and a start some time after its end. */
  async restart(downMs: number): Promise<void> {
    const { life } = this;
    if (life === null || life.stopping) return;
    life.stopping = true;
    await life.daemon.stop();
    if (this.life === life) this.crash(downMs);
  }

  /** What the running vNICs want to send. */
  offered(): ReadonlyMap<string, number> {
    const offered = new Map<string, number>();
    for (const { state, vnics, demandBitsPerSecond } of this.guests) {
      if (state === "running") for (const mac of vnics) offered.set(mac, demandBitsPerSecond);
    }
    return offered;
  }

  /** Links changed: bonding looks within its interval, the daemon is told at once. @param lost ports that were */
  noteLinks(lost: readonly string[]): void {
    const { clock, links, random } = this;
    this.watcher.noteLinks();
    this.notePaths();
    clock.after(random.between(1, 100), () => {
      if (links.monitorPorts()) this.tellLinks([]);
    });
    this.tellLinks(lost);
  }

  /** What is behind each link, or what carries frames there, has changed. */
  notePaths(): void {
    const { links, network } = this;
    for (const port of links.ports) {
      const { ifindex, cut } = port;
      if (cut.in || cut.out) network.cuts.set(ifindex, cut);
      else network.cuts.delete(ifindex);
      if (links.hasCarrier(port)) network.down.delete(ifindex);
      else network.down.add(ifindex);
    }
    this.watcher.notePaths();
  }

  /** The kernel's events on links reach the daemon, whose prepared answer to a loss goes out first. */
  tellLinks(lost: readonly string[]): void {
    if (this.kernelEventsLost > 0) {
      this.kernelEventsLost -= 1;
      this.watcher.noteUntold();
      return;
    }
    this.clock.after(1, () => {
      for (const port of lost) this.life?.react(port);
      this.life?.daemon.onLink();
    });
  }

  tellTrafficControl(): void {
    if (this.kernelEventsLost > 0) {
      this.kernelEventsLost -= 1;
      return;
    }
    this.clock.after(1, () => this.life?.daemon.onTrafficControl());
  }
}

/** All promises that can go on have gone on: the host has nothing else that runs in real time. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
