/**
 * The one way through: observe, plan, diff, apply, verify. Any event leads here; running it twice changes nothing.
 * One run at a time: who asks during a run gets the next one, which then sees what they asked about.
 */
import { diffKernel } from "../diff/diff.ts";
import { diffRelease } from "../diff/release.ts";
import type { UplinkError } from "../model/errors.ts";
import type { InboundCount } from "../model/inbound-count.ts";
import type { KernelMap } from "../model/kernel.ts";
import type { Mac } from "../model/mac.ts";
import type { Plan } from "../model/plan.ts";
import { describeScope, type Scope, WHOLE_HOST } from "../model/scope.ts";
import type { SourceCount } from "../model/source-count.ts";
import type { Contest, Drift } from "../model/status.ts";
import type { Step } from "../model/step.ts";
import type { World } from "../model/world.ts";
import { type BalanceMemory, NO_BALANCE, observeBalance } from "../observe/balance.ts";
import { type LoadMemory, NO_LOADS, observeLoads } from "../observe/demand.ts";
import { type MoveMemory, observeMoves } from "../observe/moves.ts";
import { buildWorld, type KnownDomain, type Observation } from "../observe/world.ts";
import { type LossPlan, planLosses } from "../plan/loss.ts";
import { planWorld } from "../plan/plan.ts";
import type { LoadedConfig } from "../policy/load.ts";
import { saveBefore } from "./before.ts";
import { Contests } from "./contests.ts";
import { DriftBook } from "./drift.ts";
import { DurationLog } from "./durations.ts";
import type { EventLog } from "./events.ts";
import { Inheritance } from "./inheritance.ts";
import type { Journal } from "./journal.ts";
import { judgeTampering } from "./judgement.ts";
import { latchDemand, sameDemand } from "./latch.ts";
import { Outages } from "./outages.ts";
import type { KernelPort, PathSource, Reading, TeamDevices } from "./ports.ts";
import type { Registry } from "./registry.ts";
import { describeSources, SourceWatch } from "./sources.ts";
import { narratePlan } from "./story.ts";
import { devicesOf, findStrays, findTeams, placesOf } from "./teams.ts";
import { knownBefore } from "./unsaved.ts";

export type Mode = "enforcing" | "observing" | "released";

/** What one run saw and decided. */
export interface Run {
  readonly world: World;
  readonly plan: Plan;
  readonly losses: readonly LossPlan[];
  /** Of each vNIC, this run's included. */
  readonly moves: MoveMemory;
  /** What the kernel counted of frames with addresses that aren't their senders'. */
  readonly sourceCounts: readonly SourceCount[];
  /** And of what came for vNICs that have an inbound limit. */
  readonly inboundCounts: readonly InboundCount[];
  /** What differed from the plan before this run's steps. */
  readonly steps: readonly Step[];
}

/** What a release did. */
export interface Release {
  readonly steps: readonly Step[];
  readonly refused: readonly UplinkError[];
}

export interface LoopOptions {
  readonly kernel: KernelPort;
  readonly journal: Journal;
  readonly registry: Registry;
  readonly log: EventLog;
  readonly now: () => number;
  readonly loaded: LoadedConfig;
  readonly observeOnly: boolean;
  /** Whether libvirt has told of all domains: before, what no domain claims may still be some domain's. */
  readonly domainsComplete: () => boolean;
  readonly probes: PathSource;
  /** Who is likely to have changed a device's objects. */
  readonly suspect: (device: string) => string;
}

export class ControlLoop {
  readonly #options: LoopOptions;
  readonly durations = new DurationLog();
  #loaded: LoadedConfig;
  readonly #outages: Outages;
  #loads: LoadMemory = NO_LOADS;
  #latched: ReadonlyMap<Mac, number> = new Map();
  #moves: MoveMemory = new Map();
  #balance: BalanceMemory = NO_BALANCE;
  #last: Run | null = null;
  /** What the last run saw, for worlds with other domains in it. */
  #seen: Observation | null = null;
  readonly #drift = new DriftBook();
  #lastResyncMs: number | null = null;
  /** What stands in the kernel as of the last run; null where it isn't known to be what was planned. */
  #settled: KernelMap | null = null;
  /** Prepared plans sent before the last run looked; one that was sent since has changed what stands. */
  #reactionsBefore = 0;
  readonly #inheritance = new Inheritance();
  readonly #contests: Contests;
  readonly #sources = new SourceWatch();
  /** The run, or the release, that is under way: never two at once. */
  #current: Promise<unknown> | null = null;
  #next: Promise<Run> | null = null;

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#loaded = options.loaded;
    this.#outages = new Outages(options.log, options.probes);
    this.#contests = new Contests(options.suspect);
  }

  get last(): Run | null {
    return this.#last;
  }

  get loads(): LoadMemory {
    return this.#loads;
  }

  get drift(): readonly Drift[] {
    return this.#drift.list();
  }

  /** What somebody else changes again and again. */
  get contests(): readonly Contest[] {
    return this.#contests.list();
  }

  /** When what was left to somebody else is tried again; null: nothing was. */
  get nextTryAtMs(): number | null {
    return this.#contests.nextTryAtMs(this.#options.now());
  }

  get lastResyncMs(): number | null {
    return this.#lastResyncMs;
  }

  get mode(): Mode {
    const { released, observing } = this.#options.journal.contents;
    if (released) return observing ? "observing" : "released";
    return this.#options.observeOnly ? "observing" : "enforcing";
  }

  /** What is managed, or would be: a canary is one only while it is in force. */
  get scope(): Scope {
    return this.mode === "enforcing" ? this.#options.journal.contents.scope : WHOLE_HOST;
  }

  reload(loaded: LoadedConfig): void {
    this.#loaded = loaded;
    this.#options.registry.reload(loaded.config, loaded.policies);
  }

  /**
   * Looks, plans, and makes the kernel what the plan says.
   * @returns a run that began after this call
   */
  run(): Promise<Run> {
    if (this.#current === null) return this.#alone(this.#runOnce());
    this.#next ??= this.#current
      .catch(() => undefined)
      .then(() => {
        this.#next = null;
        return this.run();
      });
    return this.#next;
  }

  #alone<T>(work: Promise<T>): Promise<T> {
    const alone = work.finally(() => {
      this.#current = null;
    });
    this.#current = alone;
    return alone;
  }

  async #runOnce(): Promise<Run> {
    const { log, now, kernel } = this.#options;
    const reactions = kernel.reactions();
    // Who evens out the load waits for empty queues, so it wants counters as they are.
    const evens = this.#loaded.config.teams.some(({ rebalance }) => rebalance.mode === "on");
    const { links, teams, devices, looked, snapshot } = this.#look(evens ? "anew" : "as kept");
    // Its news may still be on the way here.
    if (kernel.reactions() !== this.#reactionsBefore) this.#settled = null;
    this.#reactionsBefore = reactions;
    const nowMs = now();
    const { paths, block } = this.#options.probes;
    const uplinks = this.#outages.look(links, teams, devices, nowMs);
    const build = () => {
      this.#seen = {
        nowMs,
        config: this.#loaded.config,
        teams,
        links,
        kernel: snapshot.objects,
        conflicts: snapshot.conflicts,
        uplinks,
        paths,
        probeBlock: block,
        drains: this.#drains(),
        scope: this.scope,
        loads: this.#loads,
        latched: this.#latched,
        moves: this.#moves,
        balance: this.#balance,
        counters: snapshot.counters,
        domains: this.#domains(),
      };
      return buildWorld(this.#seen);
    };
    const planEnds = this.durations.begin("plan");
    let world = build();
    let plan = planWorld(world, this.#last?.plan);
    const latched = latchDemand(this.#latched, world, plan.teams);
    if (!sameDemand(latched, this.#latched)) {
      this.#latched = latched;
      world = build();
      plan = planWorld(world, this.#last?.plan);
    }
    const planned = planLosses(world, plan);
    planEnds();
    this.durations.noteConditions(planned.plan.teams);
    const steps = this.mode === "released" ? [] : this.#diff(snapshot.objects, plan.kernel);
    if (this.#last?.plan.kernel !== planned.plan.kernel) log.revise();
    narratePlan(log, this.#last?.plan ?? null, planned.plan);
    if (this.mode === "enforcing") {
      this.#moves = observeMoves(this.#moves, world, this.#last?.plan ?? null, planned.plan);
      this.#balance = observeBalance(this.#balance, planned.plan, this.#moves, nowMs);
    }
    const { sourceCounts, inboundCounts } = snapshot;
    const run: Run = { world, ...planned, moves: this.#moves, sourceCounts, inboundCounts, steps };
    const sources = world.teams.flatMap((team) => describeSources(team, world, sourceCounts) ?? []);
    this.#sources.note(sources, nowMs, log);
    this.#last = run;
    this.#lastResyncMs = nowMs;
    if (this.mode === "enforcing") await this.#enforce(run, looked, nowMs);
    return run;
  }

  /** Reads all that may be ours, in the teams and where we left it. */
  #look(reading: Reading = "anew") {
    const { kernel, journal } = this.#options;
    const links = kernel.readLinks();
    const teams = findTeams(this.#loaded.config, links);
    const devices = teams.map((team) => devicesOf(team, links));
    const looked = [...devices, findStrays(journal.contents, devices, links)];
    return { links, teams, devices, looked, snapshot: kernel.readKernel(looked, reading) };
  }

  /** The world as the last run saw it, as it would be with these domains in it, too; null before the first run. */
  imagine(domains: readonly KnownDomain[]): World | null {
    if (this.#seen === null) return null;
    const uuids = new Set(domains.map(({ definition }) => definition.uuid));
    const others = this.#domains().filter(({ definition }) => !uuids.has(definition.uuid));
    const fresh = { drains: this.#drains(), loads: this.#loads, domains: [...others, ...domains] };
    return buildWorld({ ...this.#seen, ...fresh });
  }

  /** Takes a sample of the counters; cheap, for a timer. Links are as last seen: what changes of them brings a run. */
  sample(): void {
    if (this.#seen === null) return;
    const { kernel, now } = this.#options;
    const { links, teams } = this.#seen;
    const devices = teams.map((team) => devicesOf(team, links));
    const counters = kernel.readCounters(devices);
    this.#loads = observeLoads(this.#loads, counters, placesOf(teams, devices), now());
  }

  /** Takes everything away and stays out until told otherwise, looking on if `as` says so. @returns the steps made and what was refused */
  async release(as: "released" | "observing" = "released"): Promise<Release> {
    // Who waits for the run under way starts the next one as soon as it ends.
    while (this.#current !== null) await this.#current.catch(() => undefined);
    // An enable in the meantime waits for its end: what that one saves must not be thrown away with what this one put back.
    return this.#alone(this.#releaseOnce(as));
  }

  async #releaseOnce(as: "released" | "observing"): Promise<Release> {
    const { kernel, journal, log } = this.#options;
    const { devices, snapshot } = this.#look();
    const { objects, sharedHooks } = snapshot;
    journal.write({ released: true, observing: as === "observing" });
    const { before, clsactCreated } = knownBefore(journal.contents, objects);
    for (const team of devices) for (const port of team.ports) kernel.arm(port, []);
    this.#settled = null;
    this.#drift.clear();
    this.#contests.clear();
    const steps = diffRelease(
      objects,
      before,
      clsactCreated.filter((device) => !sharedHooks.includes(device)),
    );
    const refused = await kernel.apply(steps);
    if (refused.length === 0) journal.write({ before: [], clsactCreated: [], lost: null });
    log.tell("notice", "released", `released: ${steps.length} objects taken away or put back`);
    return { steps, refused };
  }

  /** A prepared reaction has changed the kernel: what differs from the last plan is our own doing. @param seconds from the loss's event on */
  noteReaction(seconds: number): void {
    this.durations.noteFailover(seconds);
    this.#settled = null;
  }

  /** A domain has ended that an earlier run of the daemon knew: what it left needs no owner any more. */
  disown(macs: readonly Mac[]): void {
    this.#inheritance.disown(macs);
    this.#settled = null;
  }

  /** Enforces again after a release, or more than before. */
  enable(scope: Scope = WHOLE_HOST): Promise<Run> {
    const { journal } = this.#options;
    const before = knownBefore(journal.contents, this.#look().snapshot.objects);
    journal.write({ released: false, observing: false, scope, lost: null, ...before });
    this.#options.log.tell("notice", "enabled", `enforcing for ${describeScope(scope)}`);
    return this.run();
  }

  async #enforce(run: Run, devices: readonly TeamDevices[], nowMs: number): Promise<void> {
    const { kernel, log } = this.#options;
    const seen = { steps: run.steps, settled: this.#settled, desired: run.plan.kernel, nowMs };
    const { due, left } = judgeTampering(this.#contests, seen, log);
    if (due.length > 0) {
      const saved = saveBefore(this.#options.journal, run.world, due);
      if (saved !== null) {
        this.#settled = null;
        if (this.#drift.noteUnsaved(due, nowMs, saved.message)) return;
        const why = `nothing is changed: ${saved.object} ${saved.message}`;
        log.tell("error", "state-unwritable", why);
        return;
      }
      const applyEnds = this.durations.begin("apply");
      const refused = await kernel.apply(due);
      applyEnds();
      for (const error of refused) {
        log.tell("error", "kernel-refused", `${error.object}: ${error.message}`, {
          errno: error.errno,
        });
      }
      this.#contests.mended(due);
      this.#verify(run, devices, nowMs, refused);
    } else this.#drift.noteLeft(left, nowMs, log);
    this.#settled = this.#drift.isAsWanted ? run.plan.kernel : null;
    this.#arm(run);
  }

  #domains(): readonly KnownDomain[] {
    const { journal, registry } = this.#options;
    return registry.list(journal.contents);
  }

  #drains(): ReadonlyMap<string, number> {
    const { drains } = this.#options.journal.contents;
    return new Map(drains.map(({ uplink, sinceMs }) => [uplink, sinceMs]));
  }

  /** The steps to take; what may still be some domain's is left until libvirt has told of all. */
  #diff(present: KernelMap, desired: KernelMap): readonly Step[] {
    const steps = diffKernel(present, desired);
    if (!this.#options.domainsComplete()) return this.#inheritance.spare(steps, present, desired);
    // What was spared until now, and goes, was nobody else's doing.
    if (!this.#inheritance.settled) this.#settled = null;
    this.#inheritance.settled = true;
    return steps;
  }

  /** Reads back what was written: if the kernel differs from the plan, it is said. */
  #verify(
    run: Run,
    devices: readonly TeamDevices[],
    nowMs: number,
    refused: readonly UplinkError[],
  ): void {
    const { kernel } = this.#options;
    kernel.readLinks();
    const { objects } = kernel.readKernel(devices, "to keep");
    const open = this.#contests.sift(
      this.#diff(objects, run.plan.kernel).filter((step) => step.object.kind !== "active-port"),
      run.plan.kernel,
      nowMs,
    );
    this.#drift.noteReadBack(open, refused, nowMs, this.#options.log);
  }

  /**
   * Compiles what a loss will need, so that reacting is sending bytes. Each run does: what vNICs send, and which port is
   * active, changes what a loss needs also where the plan itself stays the same.
   */
  #arm(run: Run): void {
    const lossOf = new Map(run.losses.map((loss) => [loss.uplink, loss]));
    for (const uplink of run.world.teams.flatMap((team) => team.uplinks)) {
      // What was laid ready for an uplink that is lost, or waits, was for another world.
      if (!lossOf.has(uplink.name)) this.#options.kernel.arm(uplink.name, []);
    }
    for (const loss of run.losses) {
      this.#options.kernel.arm(loss.uplink, diffKernel(run.plan.kernel, loss.plan.kernel));
    }
  }
}
