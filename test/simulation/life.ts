/** One run of the daemon, from its start to its end or its crash, and its hold on the models. */
import type { KernelPort } from "../../src/daemon/ports.ts";
import type { StateFile } from "../../src/daemon/state-file.ts";
import type { Connection } from "../../src/libvirt/monitor.ts";
import type { Clock } from "../../src/model/clock.ts";
import { NetlinkError } from "../../src/model/errors.ts";
import { kernelKey } from "../../src/model/kernel.ts";
import type { Step } from "../../src/model/step.ts";
import { Daemon, type Outside } from "./host.ts";
import type { Simulation } from "./simulation.ts";

const ENOSPC = 28;

/** Thrown where a crash is met in the middle of a call; nobody is left to catch it. */
class Crash extends Error {}

export class Life {
  readonly daemon: Daemon;
  /** The time as this run has it. */
  readonly now: () => number;
  alive = true;
  /** It was asked to end. */
  stopping = false;
  readonly #simulation: Simulation;
  readonly #armed = new Map<string, readonly Step[]>();
  /** Operators' questions that wait for their answer. */
  asked = 0;
  /** Batches under way. */
  applying = 0;
  #reactions = 0;

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
    const clock = this.#clock();
    this.now = clock.now;
    const plain = this.#outside(clock);
    const outside = simulation.mutation.outside?.(plain, simulation) ?? plain;
    this.daemon = new Daemon(outside);
    simulation.mutation.daemon?.(this.daemon, simulation);
  }

  begin(): void {
    void this.daemon.start();
  }

  /** Nothing of it happens any more. */
  end(): void {
    this.alive = false;
  }

  /** The bytes that were laid ready for a port's loss go out, whatever else. @returns whether there were any */
  react(port: string): boolean {
    const steps = this.#armed.get(port);
    if (steps === undefined) return false;
    this.#armed.delete(port);
    this.#reactions += 1;
    for (const step of steps) this.#simulation.kernel.applyStep(step);
    this.daemon.onReacted();
    return true;
  }

  /** The steps that were laid ready for a port's loss. */
  ready(port: string): readonly Step[] {
    return this.#armed.get(port) ?? [];
  }

  /** A place where the daemon waits or acts. @returns true if it crashes right there */
  #isCrash(): boolean {
    if (!this.alive) return true;
    const { crashPoint } = this.#simulation;
    if (crashPoint === null) return false;
    crashPoint.left -= 1;
    if (crashPoint.left > 0) return false;
    this.#simulation.crash(crashPoint.downMs);
    return true;
  }

  #outside(clock: Clock): Outside {
    const simulation = this.#simulation;
    const { loaded, watcher } = simulation;
    return {
      clock,
      loaded,
      kernel: this.#kernelPort(),
      stateFile: this.#stateFile(),
      network: simulation.network,
      react: (port) => {
        if (!this.alive) return false;
        watcher.notePathDied(port);
        return this.react(port);
      },
      open: async (options) => {
        const connection = await simulation.libvirt.connect(options, () => this.alive);
        return this.#guard(connection);
      },
      told: (id, message, domain) => {
        if (this.alive) watcher.noteTold(id, message, domain);
      },
      ran: (run) => {
        if (this.alive) watcher.noteRun(this, run);
      },
    };
  }

  /** Steady from this start on, by the host's clock as it was then. */
  #clock(): Clock {
    const { clock, clockOffsetMs } = this.#simulation;
    return {
      now: () => clock.now() + clockOffsetMs,
      after: (delayMs, call) =>
        clock.after(delayMs, () => {
          if (this.alive) call();
        }),
    };
  }

  #kernelPort(): KernelPort {
    const { kernel, links, traffic, clock } = this.#simulation;
    return {
      readLinks: () => links.read(),
      readKernel: (teams) => kernel.readKernel(teams),
      readCounters: (teams) => {
        traffic.count(this.#simulation.offered(), clock.now());
        return traffic.read(new Set(teams.flatMap((team) => team.ports)));
      },
      apply: (steps) => this.#apply(steps),
      arm: (port, steps) => {
        if (!this.alive) return;
        if (steps.length > 0) this.#armed.set(port, steps);
        else this.#armed.delete(port);
      },
      reactions: () => this.#reactions,
    };
  }

  #apply(steps: readonly Step[]): Promise<readonly NetlinkError[]> {
    const { kernel, clock, batchFaults, watcher } = this.#simulation;
    const never = new Promise<never>(() => undefined);
    if (this.#isCrash()) return never;
    const fault = batchFaults.shift();
    const refused: NetlinkError[] = [];
    this.applying += 1;
    for (const [index, step] of steps.entries()) {
      if (this.#isCrash()) return never;
      if (fault?.step === index) {
        const object = kernelKey(step.object);
        watcher.noteFault();
        if (fault.errno === null) {
          this.applying -= 1;
          return Promise.reject(new NetlinkError(object, 105, "", "no buffer space"));
        }
        refused.push(new NetlinkError(object, fault.errno, "", `errno ${fault.errno}`));
        continue;
      }
      const error = kernel.applyStep(step);
      if (error !== null) refused.push(error);
    }
    return new Promise((resolve) => {
      clock.after(1, () => {
        if (!this.alive || this.#isCrash()) return;
        this.applying -= 1;
        resolve(refused);
      });
    });
  }

  #stateFile(): StateFile {
    const simulation = this.#simulation;
    return {
      read: () => simulation.disk,
      replace: (text) => {
        if (this.#isCrash()) throw new Crash();
        if (simulation.diskFull) throw Object.assign(new Error("disk full"), { errno: ENOSPC });
        simulation.disk = text;
        if (this.#isCrash()) throw new Crash();
      },
      keepAs: () => undefined,
    };
  }

  #guard(connection: Connection): Connection {
    const never = new Promise<never>(() => undefined);
    return {
      close: () => connection.close(),
      get closed() {
        return connection.closed;
      },
      call: async (call) => {
        if (this.#isCrash()) return never;
        const answer = connection.call(call);
        // It is on its way: a crash now doesn't take it back.
        if (this.#isCrash()) {
          answer.catch(() => undefined);
          return never;
        }
        try {
          return await answer;
        } finally {
          if (this.#isCrash()) await never;
        }
      },
    };
  }
}
