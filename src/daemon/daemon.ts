/** Everything wired together; its parts don't know each other. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { listenControl } from "../control/server.ts";
import type { HookAnswer, HookRequest } from "../hook/request.ts";
import { startHookServer } from "../hook/server.ts";
import { resumeDomain, suspendDomain } from "../libvirt/domain.ts";
import { parseDomainXml } from "../libvirt/domain-xml.ts";
import { LibvirtMonitor } from "../libvirt/monitor.ts";
import { PolicyErrors, UplinkError } from "../model/errors.ts";
import { kernelKey } from "../model/kernel.ts";
import { VERSION } from "../model/version.ts";
import { type LoadedConfig, loadAll } from "../policy/load.ts";
import { matchPolicies } from "../policy/match.ts";
import { describeStatus, explainDomain } from "./describe.ts";
import { Domains, runStateOf } from "./domains.ts";
import { EventLog } from "./events.ts";
import { handleHook } from "./hooks.ts";
import { Journal } from "./journal.ts";
import { LinuxKernel } from "./linux-kernel.ts";
import { ControlLoop } from "./loop.ts";
import { inheritedSocket, notifySupervisor, watchdogIntervalMs } from "./notify.ts";
import { Pauses } from "./pauses.ts";
import { Registry } from "./registry.ts";
import { problemOf } from "./release.ts";
import { writeReleaseScript, writeUndos } from "./undo.ts";

export interface DaemonOptions {
  readonly configDir: string;
  readonly runDir: string;
  readonly stateDir: string;
  /** Plans and shows, changes nothing. */
  readonly observe: boolean;
  /** D-Bus address; null for the system bus. */
  readonly busAddress: string | null;
}

/** How often counters are read, milliseconds. */
const SAMPLE_MS = 1000;
/** Changes of tc objects by others may come in storms; looked at once they have settled this long. */
const SETTLE_MS = 200;

/**
 * Starts the daemon.
 * @returns the function that stops it; enforcement stays
 * @throws PolicyErrors for configuration that can't be used, other UplinkErrors for sockets that can't be had
 */
export async function startDaemon(options: DaemonOptions): Promise<() => Promise<void>> {
  const log = new EventLog(Date.now, (line) => process.stderr.write(line));
  const startedAtMs = Date.now();
  let loaded: LoadedConfig = loadAll(options.configDir);
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const journal = Journal.open(join(options.stateDir, "journal.json"), bootId, (error) =>
    log.tell("error", "state-unreadable", `${error.object} ${error.message}`),
  );
  const registry = new Registry(loaded.config, loaded.policies);
  const kernel = await LinuxKernel.open({
    onLink: (reason) => runSoon(reason, 0),
    onTrafficControl: () => runSoon("traffic control objects changed", SETTLE_MS),
    onReacted: (port, microseconds, errors) => {
      loop.noteReaction();
      log.tell(
        errors === 0 ? "notice" : "error",
        "loss-answered",
        `uplink ${port} lost: the prepared plan was sent after ${microseconds} us, ${errors} refused`,
        { uplink: port, microseconds },
      );
    },
    onOverrun: () =>
      log.tell("warning", "overrun", "kernel events were lost; everything is read anew"),
    onFailed: (message) =>
      log.tell(
        "error",
        "monitor-failed",
        `no kernel events any more: ${message}; everything is read every few seconds`,
      ),
  });
  const monitor = new LibvirtMonitor({
    onEvent: (event) => domains.handle(event),
    ...(options.busAddress === null ? {} : { address: options.busAddress }),
  });
  const pauses = new Pauses({
    journal,
    registry,
    log,
    now: Date.now,
    libvirt: {
      suspend: (uuid) => suspendDomain(monitor, uuid),
      resume: (uuid) => resumeDomain(monitor, uuid),
      stateOf: (uuid) => runStateOf(monitor, uuid),
    },
  });
  const domains: Domains = new Domains({
    caller: monitor,
    registry,
    pauses,
    log,
    changed: (why) => runSoon(why, 0),
  });
  const observe = options.observe || existsSync(join(options.configDir, "disabled"));
  const loop = new ControlLoop({
    kernel,
    journal,
    registry,
    log,
    now: Date.now,
    loaded,
    observeOnly: observe,
    domainsComplete: () => domains.complete,
  });

  let wakeTimer: NodeJS.Timeout | undefined;
  let soon: NodeJS.Timeout | undefined;
  let soonAtMs = Number.POSITIVE_INFINITY;
  let stopped = false;

  /** One way for everything: run, then do to domains what the plan says, then wait for what it waits for. */
  async function runNow(): Promise<void> {
    if (stopped) return;
    clearTimeout(soon);
    soonAtMs = Number.POSITIVE_INFINITY;
    try {
      const { world, plan } = await loop.run();
      if (stopped) return;
      if (loop.mode === "enforcing") {
        writeUndos(options.runDir, world, plan, log);
        writeReleaseScript(options.stateDir, world, journal.contents, log);
        pauses.carryOut(world, plan).then(
          (changed) => {
            if (changed) runSoon("a domain was paused or resumed", 0);
          },
          (error: unknown) => report(error),
        );
      }
      clearTimeout(wakeTimer);
      if (plan.nextWakeAtMs !== null) {
        const delayMs = Math.min(Math.max(1, plan.nextWakeAtMs - Date.now()), 3600e3);
        wakeTimer = setTimeout(() => void runNow(), delayMs);
      }
    } catch (error) {
      report(error);
    }
  }

  function runSoon(_why: string, delayMs: number): void {
    const atMs = Date.now() + delayMs;
    if (stopped || atMs >= soonAtMs) return;
    soonAtMs = atMs;
    clearTimeout(soon);
    soon = setTimeout(() => void runNow(), delayMs);
  }

  function report(error: unknown): void {
    if (error instanceof UplinkError)
      log.tell("error", error.kind, `${error.object}: ${error.message}`);
    else
      log.tell(
        "error",
        "bug",
        error instanceof Error ? (error.stack ?? error.message) : String(error),
      );
  }

  function admit(request: HookRequest): string | null {
    const definition = parseDomainXml(request.xml, `domain ${request.domain}`);
    const match = matchPolicies(definition, loaded.policies, loaded.config);
    for (const problem of match.problems) {
      log.tell("warning", "annotation", `${problem.object}: ${problem.message}`, {
        domain: definition.name,
      });
    }
    return match.refusal;
  }

  function reload(): void {
    try {
      loaded = loadAll(options.configDir);
      loop.reload(loaded);
      log.tell("notice", "reloaded", `configuration read from ${options.configDir}`);
      runSoon("configuration changed", 0);
    } catch (error) {
      if (!(error instanceof PolicyErrors)) throw error;
      for (const one of error.errors) log.tell("error", "configuration", one.describe());
      log.tell(
        "error",
        "not-reloaded",
        "the configuration is not usable; the old one stays in force",
      );
    }
  }

  const listenHook = inheritedSocket("hook");
  const hookServer = await startHookServer({
    listen: listenHook === null ? { path: join(options.runDir, "hook.sock") } : { fd: listenHook },
    report,
    handle: (request): Promise<HookAnswer> =>
      handleHook(
        {
          registry,
          log,
          runDir: options.runDir,
          enforce: runNow,
          disown: (macs) => loop.disown(macs),
          admit,
          lookAgain: (why) => monitor.poke(why),
        },
        request,
      ),
  });
  const handlers = {
    status: async () => {
      const run = loop.last ?? (await loop.run());
      return describeStatus(
        {
          version: VERSION,
          pid: process.pid,
          startedAtMs,
          mode: loop.mode,
          libvirt: monitor.up ? ("up" as const) : ("down" as const),
          lastResyncMs: loop.lastResyncMs,
        },
        run,
        loop.loads,
        loop.drift,
      );
    },
    explain: async (domain: string) =>
      explainDomain(domain, loop.last ?? (await loop.run()), loop.loads),
    domainNames: () => loop.last?.world.domains.map((domain) => domain.name) ?? [],
    events: (sinceSequence: number) => log.page(sinceSequence),
    followEvents: log.follow.bind(log),
    release: async () => {
      const failed = await pauses.resumeAll();
      const { steps, refused } = await loop.release();
      return {
        steps: steps.map((step) => `${step.op} ${kernelKey(step.object)}`),
        problems: [...failed, ...refused].map(problemOf),
      };
    },
    enable: async () => {
      await loop.enable();
      // For the files and the timers that go with a run.
      runSoon("enabled", 0);
      const problems = loop.drift.map((drift) => ({
        object: drift.object,
        message: drift.message,
        remedy: "see `uplinkctl status` and `uplinkctl events`",
      }));
      return { mode: loop.mode, problems };
    },
  };
  const sockets = await Promise.all(
    (["control", "read"] as const).map((name) => {
      const fd = inheritedSocket(name);
      const path = join(options.runDir, `${name}.sock`);
      const mode = name === "control" ? 0o600 : 0o660;
      const listen = fd === null ? { path, mode } : { fd };
      const access = name === "control" ? ("full" as const) : ("read" as const);
      return listenControl({ handlers, access, listen, onError: report });
    }),
  );

  await runNow();
  monitor.start();
  const sampling = setInterval(() => {
    try {
      loop.sample();
    } catch (error) {
      report(error);
    }
  }, SAMPLE_MS);
  const resyncing = setInterval(() => void runNow(), loaded.config.resyncMs);
  const feedMs = watchdogIntervalMs();
  const feeding =
    feedMs === null ? undefined : setInterval(() => notifySupervisor("WATCHDOG=1"), feedMs);
  process.on("SIGHUP", reload);
  log.tell("notice", "ready", `uplinkd ${VERSION} ready, ${loop.mode}`);
  notifySupervisor("READY=1");

  return async () => {
    stopped = true;
    notifySupervisor("STOPPING=1");
    process.off("SIGHUP", reload);
    for (const timer of [sampling, resyncing, feeding]) clearInterval(timer);
    for (const timer of [soon, wakeTimer]) clearTimeout(timer);
    await monitor.stop();
    await hookServer.close();
    await Promise.all(sockets.map((socket) => socket.close()));
    await kernel.close();
    log.tell("notice", "stopped", "uplinkd stopped; enforcement stays in the kernel");
  };
}
