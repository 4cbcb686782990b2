/** One run of the daemon over the models: its real parts, wired as src/daemon/daemon.ts wires them. */
import { Admissions } from "../../src/daemon/admissions.ts";
import { Domains, libvirtPort } from "../../src/daemon/domains.ts";
import { EventLog } from "../../src/daemon/events.ts";
import { handleHook } from "../../src/daemon/hooks.ts";
import { Journal } from "../../src/daemon/journal.ts";
import { ControlLoop, type Run } from "../../src/daemon/loop.ts";
import { Migrations } from "../../src/daemon/migrations.ts";
import { Operator } from "../../src/daemon/operator.ts";
import { Pauses } from "../../src/daemon/pauses.ts";
import type { KernelPort } from "../../src/daemon/ports.ts";
import { Prober } from "../../src/daemon/prober.ts";
import { Registry } from "../../src/daemon/registry.ts";
import { Scheduler } from "../../src/daemon/scheduler.ts";
import type { StateFile } from "../../src/daemon/state-file.ts";
import type { HookAnswer, HookRequest } from "../../src/hook/request.ts";
import type { ConnectionOptions } from "../../src/libvirt/connection.ts";
import { type Connection, LibvirtMonitor } from "../../src/libvirt/monitor.ts";
import type { Clock } from "../../src/model/clock.ts";
import { UplinkError } from "../../src/model/errors.ts";
import { eventOfError } from "../../src/model/event-id.ts";
import { probeBlock } from "../../src/model/probe.ts";
import type { LoadedConfig } from "../../src/policy/load.ts";
import type { Network } from "./network.ts";

/** Changes of tc objects by others are looked at once they have settled this long, as in the daemon. */
const SETTLE_MS = 200;
/** After what was laid ready went out the plan may take so long, as in the daemon. */
const REACTION_MS = 100;

/** What a run of the daemon has of the world outside. */
export interface Outside {
  readonly clock: Clock;
  readonly kernel: KernelPort;
  readonly stateFile: StateFile;
  /** What probes go by. */
  readonly network: Pick<Network, "listen" | "send" | "close">;
  /** A path died: what was laid ready for its uplink's loss goes out. @returns whether there was anything */
  readonly react: (port: string) => boolean;
  readonly open: (options: ConnectionOptions) => Promise<Connection>;
  readonly loaded: LoadedConfig;
  /** Every line of the log. */
  readonly told: (id: string, message: string, domain: string | null) => void;
  /** Each end of a run of the loop that enforced. */
  readonly ran: (run: Run) => void;
}

export class Daemon {
  readonly loop: ControlLoop;
  readonly journal: Journal;
  readonly registry: Registry;
  readonly monitor: LibvirtMonitor;
  readonly domains: Domains;
  readonly operator: Operator;
  readonly prober: Prober;
  readonly #scheduler: Scheduler;
  readonly #admissions: Admissions;
  readonly #pauses: Pauses;
  readonly #migrations: Migrations;
  readonly #log: EventLog;
  readonly #resyncMs: number;
  ready = false;

  constructor(outside: Outside) {
    const { clock, loaded } = outside;
    const { now } = clock;
    const log = new EventLog(now, () => undefined);
    log.follow((event) => {
      const { domain } = event.fields;
      outside.told(event.id, event.message, typeof domain === "string" ? domain : null);
    });
    this.#log = log;
    this.#resyncMs = loaded.config.resyncMs;
    this.journal = Journal.open(
      "journal.json",
      "boot",
      (error) => log.tell("error", "state-unreadable", error.message),
      outside.stateFile,
    );
    this.registry = new Registry(loaded.config, loaded.policies);
    const monitor = new LibvirtMonitor({
      onEvent: (event) => domains.handle(event),
      open: outside.open,
      clock,
    });
    this.monitor = monitor;
    const pauses = new Pauses({
      journal: this.journal,
      registry: this.registry,
      log,
      now,
      libvirt: libvirtPort(monitor),
    });
    this.#pauses = pauses;
    const migrations = new Migrations({
      journal: this.journal,
      log,
      now,
      libvirt: libvirtPort(monitor),
      rules: () => loaded.config.migration,
      changed: (why) => this.#scheduler.runSoon(why, 0),
    });
    this.#migrations = migrations;
    const domains: Domains = new Domains({
      caller: monitor,
      registry: this.registry,
      pauses,
      migrations,
      log,
      now,
      changed: (why) => this.#scheduler.runSoon(why, 0),
    });
    this.domains = domains;
    const { network } = outside;
    this.prober = new Prober({
      frames: network,
      listen: (ifindex, mac) => network.listen(ifindex, mac),
      log,
      clock,
      block: probeBlock("host"),
      hostMacs: () => new Set(),
      changed: (dead) => {
        const sent = dead.filter((uplink) => outside.react(uplink));
        this.#scheduler.runSoon("a path died or works again", sent.length > 0 ? REACTION_MS : 0);
      },
    });
    this.loop = new ControlLoop({
      kernel: outside.kernel,
      journal: this.journal,
      registry: this.registry,
      log,
      now,
      loaded,
      observeOnly: false,
      domainsComplete: () => domains.complete,
      probes: this.prober,
      suspect: () => "somebody",
    });
    this.#admissions = new Admissions({
      log,
      now,
      loaded: () => loaded,
      enforcing: () => this.loop.mode === "enforcing",
      imagine: (known) => this.loop.imagine(known),
    });
    this.#scheduler = new Scheduler({
      clock,
      loop: this.loop,
      actions: [pauses, migrations],
      enforced: (run) => {
        this.prober.follow(run.world);
        outside.ran(run);
      },
      report: (error) => this.report(error),
    });
    this.operator = new Operator({
      journal: this.journal,
      registry: this.registry,
      log,
      now,
      loop: this.loop,
      enforce: () => this.#scheduler.runNow(),
    });
  }

  /** As startDaemon does, in its order. */
  async start(): Promise<void> {
    await this.#scheduler.runNow();
    this.monitor.start();
    this.#scheduler.start(this.#resyncMs);
    this.ready = true;
  }

  /** SIGTERM. */
  async stop(): Promise<void> {
    this.#scheduler.stop();
    this.prober.stop();
    await this.monitor.stop();
  }

  /** uplinkctl release. @returns whether all of it was taken away */
  async release(): Promise<boolean> {
    this.prober.stop();
    const failed = [...(await this.#migrations.abortAll()), ...(await this.#pauses.resumeAll())];
    const { refused } = await this.loop.release();
    return failed.length + refused.length === 0;
  }

  /** uplinkctl enable. */
  async enable(): Promise<void> {
    await this.loop.enable();
    this.#scheduler.runSoon("enabled", 0);
  }

  onLink(): void {
    this.#scheduler.runSoon("link", 0);
  }

  onTrafficControl(): void {
    this.#scheduler.runSoon("traffic control objects changed", SETTLE_MS);
  }

  onReacted(): void {
    this.loop.noteReaction(0);
  }

  hook(request: HookRequest): Promise<HookAnswer> {
    return handleHook(
      {
        registry: this.registry,
        log: this.#log,
        runDir: "/nonexistent",
        enforce: () => this.#scheduler.runNow(),
        disown: (macs) => this.loop.disown(macs),
        admissions: this.#admissions,
        lookAgain: (why) => this.monitor.poke(why),
      },
      request,
    );
  }

  /** As the daemon's log has it. */
  report(error: unknown): void {
    if (error instanceof UplinkError)
      this.#log.tell("error", eventOfError(error.kind), error.message);
    else {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#log.tell("error", "bug", text);
    }
  }
}
