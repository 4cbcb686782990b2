/** Everything wired together; its parts don't know each other. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { EnablePart } from "../control/api.ts";
import { listenControl } from "../control/server.ts";
import type { HookAnswer } from "../hook/request.ts";
import { startHookServer } from "../hook/server.ts";
import { LibvirtMonitor } from "../libvirt/monitor.ts";
import { SYSTEM_CLOCK } from "../model/clock.ts";
import { PolicyErrors, UplinkError } from "../model/errors.ts";
import { eventOfError } from "../model/event-id.ts";
import { kernelKey } from "../model/kernel.ts";
import { probeBlock } from "../model/probe.ts";
import { VERSION } from "../model/version.ts";
import { ownBytes } from "../native/program-pages.ts";
import { Ears } from "../packet/ear.ts";
import { PacketSocket } from "../packet/socket.ts";
import { type LoadedConfig, loadAll } from "../policy/load.ts";
import { Admissions } from "./admissions.ts";
import { Announcer } from "./announcer.ts";
import { Confirmation } from "./confirmation.ts";
import { describeStatus, explainDomain, LOST, ownProblems } from "./describe.ts";
import { Domains, libvirtPort } from "./domains.ts";
import { enablePart } from "./enabling.ts";
import { EventLog } from "./events.ts";
import { handleHook } from "./hooks.ts";
import { Journal } from "./journal.ts";
import { openLogWriter } from "./journald.ts";
import { refuseNewerLayout } from "./layout.ts";
import { LinuxKernel } from "./linux-kernel.ts";
import { ControlLoop } from "./loop.ts";
import { Migrations } from "./migrations.ts";
import { inheritedSocket, notifySupervisor, watchdogIntervalMs } from "./notify.ts";
import { Operator } from "./operator.ts";
import { Pauses } from "./pauses.ts";
import { Prober } from "./prober.ts";
import { Registry } from "./registry.ts";
import { problemOf } from "./release.ts";
import { Scheduler } from "./scheduler.ts";
import { suspectOf } from "./suspects.ts";
import { collectHeap, Thrift } from "./thrift.ts";
import { writeReleaseScript, writeUndos } from "./undo.ts";
import { WhatIf } from "./what-if.ts";

export interface DaemonOptions {
  readonly configDir: string;
  readonly runDir: string;
  readonly stateDir: string;
  /** Plans and shows, changes nothing. */
  readonly observe: boolean;
  /** Where there is no journal yet: observes until told to enable. */
  readonly observeFirst: boolean;
  /** D-Bus address; null for the system bus. */
  readonly busAddress: string | null;
}

/** Changes of tc objects by others may come in storms; looked at once they have settled this long. */
const SETTLE_MS = 200;
/** Prepared messages are sent by another thread; looked at by then if it has not said that they are. */
const REACTION_MS = 100;

/** What tells this host from others on its network; null where nothing does. */
function readHostId(): string | null {
  try {
    return readFileSync("/etc/machine-id", "utf8").trim() || null;
  } catch {
    return null;
  }
}

/**
 * Starts the daemon.
 * @returns the function that stops it; enforcement stays
 * @throws PolicyErrors for configuration that can't be used, other UplinkErrors for sockets that can't be had
 */
export async function startDaemon(options: DaemonOptions): Promise<() => Promise<void>> {
  const log = new EventLog(Date.now, openLogWriter());
  const startedAtMs = Date.now();
  let loaded: LoadedConfig = loadAll(options.configDir);
  const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  const journalPath = join(options.stateDir, "journal.json");
  const isNew = !existsSync(journalPath);
  const journal = Journal.open(journalPath, bootId, (error) =>
    log.tell("error", "state-unreadable", `${error.object} ${error.message}`),
  );
  const { lost } = journal.contents;
  if (lost !== null) log.tell("error", "state-lost", `${journalPath}: ${LOST}`);
  if (isNew && options.observeFirst) journal.write({ released: true, observing: true });
  const registry = new Registry(loaded.config, loaded.policies);
  const kernel = await LinuxKernel.open({
    onLink: (reason) => runSoon(reason, 0),
    onTrafficControl: () => runSoon("traffic control objects changed", SETTLE_MS),
    onReacted: (port, microseconds, errors) => {
      loop.noteReaction(microseconds / 1e6);
      announcer.anticipate(loop.last, port);
      log.tell(
        errors === 0 ? "notice" : "error",
        "loss-answered",
        `uplink ${port} lost: the prepared plan was sent after ${microseconds} us, ${errors} refused`,
        { uplink: port, microseconds },
      );
      // Of a dead path the kernel tells nothing.
      runSoon(`uplink ${port}: the prepared plan was sent`, 0);
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
  refuseNewerLayout(kernel, loaded.config);
  const frames = openFrames();
  const prober: Prober = new Prober({
    frames,
    listen: Ears.open,
    log,
    clock: SYSTEM_CLOCK,
    block: probeBlock(readHostId() ?? bootId),
    hostMacs: () => kernel.macs(),
    changed: (dead) => {
      const sent = dead.filter((uplink) => kernel.react(uplink));
      runSoon("a path died or works again", sent.length > 0 ? REACTION_MS : 0);
    },
  });
  const announcer = new Announcer({
    frames,
    log,
    clock: SYSTEM_CLOCK,
    rules: () => loaded.config.announcements,
  });
  const monitor = new LibvirtMonitor({
    onEvent: (event) => domains.handle(event),
    ...(options.busAddress === null ? {} : { address: options.busAddress }),
  });
  const pauses = new Pauses({
    journal,
    registry,
    log,
    now: SYSTEM_CLOCK.now,
    libvirt: libvirtPort(monitor),
  });
  const migrations = new Migrations({
    journal,
    log,
    now: SYSTEM_CLOCK.now,
    libvirt: libvirtPort(monitor),
    rules: () => loaded.config.migration,
    changed: (why) => runSoon(why, 0),
  });
  const domains: Domains = new Domains({
    caller: monitor,
    registry,
    pauses,
    migrations,
    log,
    now: SYSTEM_CLOCK.now,
    changed: (why) => runSoon(why, 0),
  });
  const flagFile = join(options.configDir, "disabled");
  const observe = options.observe || existsSync(flagFile);
  const loop = new ControlLoop({
    kernel,
    journal,
    registry,
    log,
    now: SYSTEM_CLOCK.now,
    loaded,
    observeOnly: observe,
    domainsComplete: () => domains.complete,
    suspect: suspectOf,
    probes: prober,
  });
  const admissions = new Admissions({
    log,
    now: SYSTEM_CLOCK.now,
    loaded: () => loaded,
    enforcing: () => loop.mode === "enforcing",
    imagine: (known) => loop.imagine(known),
  });

  const takeAway = async (as: "released" | "observing") => {
    prober.stop();
    const failed = [...(await migrations.abortAll()), ...(await pauses.resumeAll())];
    const { steps, refused } = await loop.release(as);
    return {
      steps: steps.map((step) => `${step.op} ${kernelKey(step.object)}`),
      problems: [...failed, ...refused].map(problemOf),
    };
  };
  const confirmation = new Confirmation({
    journal,
    log,
    now: SYSTEM_CLOCK.now,
    rollBack: takeAway,
    report,
  });

  const thrift = new Thrift({
    clock: SYSTEM_CLOCK,
    ownBytes,
    collect: collectHeap,
  });
  const scheduler = new Scheduler({
    clock: SYSTEM_CLOCK,
    loop,
    actions: [pauses, migrations],
    report,
    enforced: ({ world, plan }) => {
      announcer.follow(world, plan);
      prober.follow(world);
      thrift.look();
      writeUndos(options.runDir, world, plan, log);
      writeReleaseScript(options.stateDir, world, journal.contents, log);
    },
  });

  /** What the rooms call before and after the scheduler is made. */
  function runSoon(why: string, delayMs: number): void {
    scheduler.runSoon(why, delayMs);
  }

  function openFrames(): PacketSocket | null {
    if (options.observe) return null;
    try {
      return PacketSocket.open();
    } catch (error) {
      report(error);
      return null;
    }
  }

  function report(error: unknown): void {
    if (error instanceof UplinkError)
      log.tell("error", eventOfError(error.kind), `${error.object}: ${error.message}`);
    else
      log.tell(
        "error",
        "bug",
        error instanceof Error ? (error.stack ?? error.message) : String(error),
      );
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
          enforce: () => scheduler.runNow(),
          disown: (macs) => loop.disown(macs),
          admissions,
          lookAgain: (why) => monitor.poke(why),
        },
        request,
      ),
  });
  const whatIf = new WhatIf(loop);
  const operator = new Operator({
    journal,
    registry,
    log,
    now: SYSTEM_CLOCK.now,
    loop,
    enforce: () => scheduler.runNow(),
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
          scope: loop.scope,
          libvirt: monitor.up ? ("up" as const) : ("down" as const),
          lastResyncMs: loop.lastResyncMs,
          confirmByMs: confirmation.dueMs,
        },
        run,
        loop.loads,
        loop.drift,
        loop.contests,
        (uplink) => prober.statusOf(uplink),
        ownProblems(journal.contents),
      );
    },
    explain: async (domain: string) =>
      explainDomain(domain, loop.last ?? (await loop.run()), loop.loads),
    uplinkNames: () => whatIf.uplinkNames(),
    simulate: (failed: readonly string[]) => whatIf.simulate(failed),
    hold: (domain: string) => operator.hold(domain),
    unhold: (domain: string) => operator.unhold(domain),
    drain: (uplink: string, force: boolean) => operator.drain(uplink, force),
    undrain: (uplink: string) => operator.undrain(uplink),
    domainNames: () => loop.last?.world.domains.map((domain) => domain.name) ?? [],
    events: (sinceSequence: number) => log.page(sinceSequence),
    measurements: () => ({ events: log.counts, durations: loop.durations.read() }),
    followEvents: log.follow.bind(log),
    release: () => {
      confirmation.confirm();
      return takeAway("released");
    },
    observe: () => {
      confirmation.confirm();
      return takeAway("observing");
    },
    confirm: () => ({ confirmed: confirmation.confirm() }),
    teamNames: () => loop.last?.world.teams.map((team) => team.config.name) ?? [],
    enable: async (confirmWithinMs: number | null, part: EnablePart) => {
      const answer = await enablePart({ loop, confirmation, flagFile }, confirmWithinMs, part);
      // For the files and the timers that go with a run.
      runSoon("enabled", 0);
      return answer;
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

  const metricsFd = inheritedSocket("metrics");
  if (metricsFd !== null) {
    const listen = { fd: metricsFd };
    sockets.push(await listenControl({ handlers, access: "metrics", listen, onError: report }));
  }

  await scheduler.runNow();
  monitor.start();
  scheduler.start(loaded.config.resyncMs);
  confirmation.start();
  const feedMs = watchdogIntervalMs();
  const feeding =
    feedMs === null ? undefined : setInterval(() => notifySupervisor("WATCHDOG=1"), feedMs);
  process.on("SIGHUP", reload);
  log.tell("notice", "ready", `uplinkd ${VERSION} ready, ${loop.mode}`);
  notifySupervisor("READY=1");

  return async () => {
    scheduler.stop();
    thrift.stop();
    notifySupervisor("STOPPING=1");
    confirmation.stop();
    process.off("SIGHUP", reload);
    clearInterval(feeding);
    prober.stop();
    announcer.close();
    await monitor.stop();
    await hookServer.close();
    await Promise.all(sockets.map((socket) => socket.close()));
    await kernel.close();
    log.tell("notice", "stopped", "uplinkd stopped; enforcement stays in the kernel");
  };
}
