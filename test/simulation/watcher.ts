/** What the simulation remembers of what it saw, for the invariants to judge. */

import type { JournalContents } from "../../src/daemon/journal.ts";
import type { Run } from "../../src/daemon/loop.ts";
import { isMarked } from "../../src/diff/diff.ts";
import type { Guest } from "./guest.ts";
import { leave } from "./guest-change.ts";
import { pauseLimitMs, runningVnics, UNSHAPED_LIMIT_MS } from "./invariants.ts";
import type { LibvirtWitness } from "./libvirt.ts";
import type { Life } from "./life.ts";
import type { Cut } from "./network.ts";
import { CONCURRENT } from "./setting.ts";
import type { Simulation } from "./simulation.ts";
import { wayOf } from "./traffic.ts";

/** Between two events: so many runs at once, and so many more a second. */
const RUNS_AT_ONCE = 40;
const RUNS_PER_SECOND = 4;
const WAYS = ["out", "in"] as const satisfies readonly (keyof Cut)[];
/** An answer counts until the end of the interval in which it came. */
const WITNESS_MS = 2000;
/** Steps between two events, for each object that there may be. */
const STEPS_PER_OBJECT = 12;

export class Watcher implements LibvirtWitness {
  disrespect: string | null = null;
  bug: string | null = null;
  unshapedStart: string | null = null;
  leftByRelease: string | null = null;
  /** Of a path that was taken for dead while none was any better. */
  accusedAlone: string | null = null;
  /** Neither a speed has changed nor a port since the last run. */
  speedsKnown = false;
  readonly #simulation: Simulation;
  /** The last run's plan stands in the kernel. */
  #enforced = false;
  /** ifindex of each port that has carried traffic under our classes, by name. */
  readonly #served = new Map<string, number>();
  /** Since the last release; nobody has enabled since. */
  #released = false;
  /** When the journal was last lost. */
  #damagedAtMs = Number.NEGATIVE_INFINITY;
  /** Whether each path carries frames each way, and since when. */
  readonly #paths = new Map<string, { readonly carries: boolean; readonly sinceMs: number }>();
  #linksChanged = 0;
  #changedAtMs = 0;
  /** When the daemon last wasn't told of a change. */
  #untoldAtMs = Number.NEGATIVE_INFINITY;
  /** Since when each vNIC has been unshaped without excuse. */
  readonly #unshapedSinceMs = new Map<string, number>();
  readonly #overdueMs = new Map<string, number>();
  #lookedAtMs = 0;
  #runs = 0;
  #steps = 0;
  #eventAtMs = 0;
  /** Domains whose pause was said to be left to others, by the time of it. */
  readonly #reportedAtMs = new Map<string, number>();
  /** Running was shown to the daemon since its own pause took effect. */
  readonly #shownRunning = new Set<string>();
  /** Whether it is ours can't be known: the daemon died, or got no answer, between intent and outcome. */
  readonly #ambiguous = new Set<string>();
  #journal: {
    readonly text: string | null;
    readonly entries: ReadonlyMap<string, string>;
    readonly moves: ReadonlySet<string>;
  } = { text: null, entries: new Map(), moves: new Set() };

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
    this.notePaths();
  }

  noteEvent(): void {
    this.#runs = 0;
    this.#steps = 0;
    this.#eventAtMs = this.#simulation.clock.now();
  }

  noteLinks(): void {
    for (const { name, inBond } of this.#simulation.links.ports)
      if (!inBond) this.#served.delete(name);
    this.#linksChanged += 1;
    this.speedsKnown = false;
    this.#changedAtMs = this.#simulation.clock.now();
  }

  /** The daemon isn't told of a change, and finds it at its next look. */
  noteUntold(): void {
    this.#untoldAtMs = this.#simulation.clock.now();
  }

  notePaths(): void {
    const { links, clock } = this.#simulation;
    for (const port of links.ports) {
      const linked = port.inBond && links.hasCarrier(port);
      for (const way of WAYS) {
        const key = `${port.name} ${way}`;
        const carries = linked && !port.cut[way];
        if (this.#paths.get(key)?.carries === carries) continue;
        this.#paths.set(key, { carries, sinceMs: clock.now() });
      }
    }
  }

  /** Probes have it for dead; what was made for its loss goes out. */
  notePathDied(dead: string): void {
    const { links, clock, loaded } = this.#simulation;
    // Within the interval that is judged it may have been either. A port that left the bond untold is a witness like any other.
    const { resyncMs } = loaded.config;
    const isKnown = clock.now() - this.#untoldAtMs > resyncMs;
    const withinMs = isKnown ? WITNESS_MS : resyncMs + WITNESS_MS;
    const was = (port: string, way: keyof Cut, carries: boolean) => {
      const path = this.#paths.get(`${port} ${way}`);
      return path?.carries === carries || clock.now() - (path?.sinceMs ?? 0) < withinMs;
    };
    const isWorse = WAYS.some(
      (way) =>
        was(dead, way, false) &&
        links.ports.some(({ name }) => name !== dead && was(name, way, true)),
    );
    if (!isWorse) this.accusedAlone ??= `${dead} is taken for dead, and none is any better`;
    this.noteLinks();
  }

  /** The kernel isn't as it was left, or doesn't take what it is given. */
  noteFault(): void {
    this.#enforced = false;
    this.#changedAtMs = this.#simulation.clock.now();
  }

  noteCrash({ applying, daemon }: Life): void {
    if (applying > 0) this.#enforced = false;
    const known = new Set(daemon.journal.contents.pauses.map(({ uuid }) => uuid));
    // What a full disk didn't take dies with the daemon.
    for (const uuid of this.#entries().keys()) if (!known.has(uuid)) this.#ambiguous.add(uuid);
    for (const [uuid, outcome] of this.#entries()) {
      if (outcome === "intended") this.#ambiguous.add(uuid);
    }
  }

  noteRun(life: Life, { world, plan, steps }: Run): void {
    this.#runs += 1;
    this.#steps += steps.length;
    const sawAtMs = world.nowMs - life.now() + this.#simulation.clock.now();
    if (plan.teams.every((team) => team.condition === "ok")) {
      for (const guest of this.#simulation.guests) guest.takenOver = false;
    }
    if (!life.daemon.domains.complete) {
      if (steps.length > 0) this.#enforced = false;
      return;
    }
    if (life.daemon.loop.drift.length > 0 || sawAtMs <= this.#changedAtMs) return;
    const { links, kernel } = this.#simulation;
    for (const port of links.ports) {
      if (links.canSend(port) && !kernel.foreignRoots.has(port.name))
        this.#served.set(port.name, port.ifindex);
    }
    this.#enforced = true;
    this.speedsKnown = true;
    this.#linksChanged = 0;
  }

  /** Somebody else took what stood on a device: nothing tells any more what it was. */
  noteReplaced(device: string): void {
    this.#served.delete(device);
  }

  /** A port that was served as it is, and has no carrier now; null: none. */
  lostPort(): string | null {
    const { links, kernel } = this.#simulation;
    for (const port of links.ports) {
      if (!port.inBond) this.#served.delete(port.name);
      if (this.#served.get(port.name) !== port.ifindex || kernel.foreignRoots.has(port.name))
        continue;
      if (!links.hasCarrier(port)) return port.name;
    }
    return null;
  }

  noteTold(id: string, message: string, domain: string | null): void {
    if (id === "bug") this.bug ??= message;
    if (id === "domain-taken-over" && domain !== null) {
      this.#reportedAtMs.set(domain, this.#simulation.clock.now());
    }
  }

  noteStarted(guest: Guest): void {
    const { kernel, life } = this.#simulation;
    // What can't be saved isn't changed.
    if (life?.daemon.loop.mode !== "enforcing" || this.#simulation.diskFull) return;
    for (const mac of guest.vnics) {
      if (!this.#isShaped(mac) && this.#enforced && kernel.foreignRoots.size === 0)
        this.unshapedStart ??= `${guest.name} ${mac} runs, and has no class of its own`;
    }
  }

  /** What is taken away tells no more what it was for. */
  noteRelease(): void {
    this.#served.clear();
    this.#enforced = false;
  }

  /** What the journal knew is lost: the log says of all domains that they may have to be resumed by hand. */
  noteDamage(): void {
    const { guests, libvirt, clock } = this.#simulation;
    this.#enforced = false;
    this.#damagedAtMs = clock.now();
    for (const guest of guests) {
      if (guest.pausedBy === "uplinkd") guest.pausedBy = "person";
      guest.takenOver = false;
      guest.heldSinceMs = null;
      libvirt.mover.disown(guest);
    }
  }

  /** uplinkctl enable was asked for. */
  noteEnable(): void {
    this.#released = false;
  }

  /** What of ours stands on a host that was released, and that nobody has enabled since; null: nothing. */
  enforcedUnasked(): string | null {
    if (!this.#released) return null;
    for (const [key, object] of this.#simulation.kernel.objects)
      if (isMarked(object)) return `${key} stands on a host that was released`;
    return null;
  }

  /** uplinkctl release has answered that all is taken away. */
  noteReleased(): void {
    const { kernel } = this.#simulation;
    this.#enforced = false;
    this.#released = true;
    // Whose driver knows no speed without a carrier: what it had is gone with its classes.
    this.#served.clear();
    for (const [key, object] of kernel.objects)
      if (isMarked(object)) this.leftByRelease ??= `${key} is left after a release`;
    for (const port of kernel.links.ports)
      if (port.queueId > 0) this.leftByRelease ??= `${port.name} has a queue id after a release`;
  }

  suspending(guest: Guest, issuedAtMs: number): "uplinkd" | "person" {
    if (guest.heldSinceMs !== null && issuedAtMs > guest.heldSinceMs)
      this.disrespect ??= `${guest.name} is held by an operator, and is paused`;
    if (guest.takenOver && this.#shownRunning.has(guest.uuid))
      this.disrespect ??= `${guest.name} was resumed by a person, and is paused again`;
    this.#shownRunning.delete(guest.uuid);
    this.#ambiguous.delete(guest.uuid);
    return issuedAtMs <= this.#damagedAtMs ? "person" : "uplinkd";
  }

  migrating(guest: Guest, issuedAtMs: number): void {
    const { mover } = this.#simulation.libvirt;
    if (issuedAtMs <= this.#damagedAtMs) mover.disown(guest);
    if (guest.heldSinceMs !== null && issuedAtMs > guest.heldSinceMs)
      this.disrespect ??= `${guest.name} is held by an operator, and is moved`;
    if (mover.count > CONCURRENT) this.disrespect ??= `${mover.count} are moved at a time`;
  }

  leaving(guest: Guest): void {
    leave(this.#simulation, guest);
  }

  resuming(guest: Guest, issuedAtTurn: number): void {
    const known = issuedAtTurn === guest.personTurns && this.#shownRunning.has(guest.uuid);
    if (guest.pausedBy === "person" && known && !this.#ambiguous.has(guest.uuid))
      this.disrespect ??= `${guest.name} was paused by a person, and is resumed`;
    // What the daemon had no way to know of is over with this.
    guest.takenOver = false;
    this.#ambiguous.delete(guest.uuid);
  }

  unanswered(guest: Guest): void {
    this.#ambiguous.add(guest.uuid);
  }

  shown(guest: Guest): void {
    if (guest.state === "running" && this.#simulation.life !== null)
      this.#shownRunning.add(guest.uuid);
  }

  /** Whether the classes are as planned for what is, but for at most one change of links since. */
  isSettled(): boolean {
    const { life } = this.#simulation;
    if (!this.#enforced || this.#linksChanged > 1) return false;
    return life === null || (life.applying === 0 && life.daemon.domains.complete);
  }

  overdueUnshaped(): string | null {
    const nowMs = this.#simulation.clock.now();
    const excused = this.#isExcused();
    const running = new Set(runningVnics(this.#simulation.guests));
    for (const mac of this.#unshapedSinceMs.keys())
      if (!running.has(mac)) this.#unshapedSinceMs.delete(mac);
    for (const mac of running) {
      if (excused || this.#isShaped(mac)) {
        this.#unshapedSinceMs.delete(mac);
        continue;
      }
      const sinceMs = this.#unshapedSinceMs.get(mac) ?? nowMs;
      this.#unshapedSinceMs.set(mac, sinceMs);
      if (nowMs - sinceMs > UNSHAPED_LIMIT_MS)
        return `${mac} has been unshaped for ${nowMs - sinceMs} ms`;
    }
    return null;
  }

  overduePause(): string | null {
    const nowMs = this.#simulation.clock.now();
    const elapsedMs = nowMs - this.#lookedAtMs;
    this.#lookedAtMs = nowMs;
    for (const guest of this.#simulation.guests) {
      if (guest.pausedBy !== "uplinkd" || nowMs - guest.pausedAtMs < pauseLimitMs()) {
        this.#overdueMs.delete(guest.uuid);
        continue;
      }
      const overdueMs =
        (this.#overdueMs.get(guest.uuid) ?? 0) + (this.#isExcused() ? 0 : elapsedMs);
      this.#overdueMs.set(guest.uuid, overdueMs);
      if (overdueMs > pauseLimitMs() / 4 && !this.wasReported(guest))
        return `${guest.name} has been paused for ${nowMs - guest.pausedAtMs} ms`;
    }
    return null;
  }

  excessiveWork(): string | null {
    const { clock, kernel } = this.#simulation;
    const seconds = (clock.now() - this.#eventAtMs) / 1000;
    const runs = RUNS_AT_ONCE + RUNS_PER_SECOND * seconds;
    if (this.#runs > runs) return `${this.#runs} runs in ${seconds} s after one event`;
    const steps = STEPS_PER_OBJECT * (100 + kernel.objects.size);
    if (this.#steps > steps) return `${this.#steps} steps after one event`;
    return null;
  }

  isJournaled(guest: Guest): boolean {
    return this.#entries().has(guest.uuid);
  }

  wasReported(guest: Guest): boolean {
    return (this.#reportedAtMs.get(guest.name) ?? 0) >= guest.pausedAtMs;
  }

  isJournalDamaged(): boolean {
    return parseJournal(this.#simulation.disk) === null;
  }

  /** Uuids of the domains that the journal says are on their way. */
  journaledMoves(): ReadonlySet<string> {
    this.#entries();
    return this.#journal.moves;
  }

  #entries(): ReadonlyMap<string, string> {
    const { disk } = this.#simulation;
    if (disk !== this.#journal.text) {
      const { pauses = [], migrations = [] } = parseJournal(disk) ?? {};
      const entries = new Map(pauses.map(({ uuid, outcome }) => [uuid, outcome]));
      const moves = new Set(migrations.map(({ uuid }) => uuid));
      this.#journal = { text: disk, entries, moves };
    }
    return this.#journal.entries;
  }

  /** In its own class, or nowhere at all, on a port that uplinkd can shape. */
  #isShaped(mac: string): boolean {
    const { kernel } = this.#simulation;
    const way = wayOf(kernel, mac);
    if (way.port === null || kernel.foreignRoots.has(way.port)) return true;
    return way.own;
  }

  /** Nobody can be asked for anything now. */
  #isExcused(): boolean {
    const { life, libvirt, diskFull } = this.#simulation;
    return (
      life === null ||
      life.stopping ||
      !life.daemon.ready ||
      libvirt.health !== "well" ||
      diskFull ||
      life.daemon.loop.mode !== "enforcing" ||
      // What is left to somebody else stays so for a while.
      life.daemon.loop.nextTryAtMs !== null
    );
  }
}

/** @returns null for one that is damaged */
function parseJournal(disk: string | null): Partial<JournalContents> | null {
  try {
    return JSON.parse(disk ?? "{}");
  } catch {
    return null;
  }
}
