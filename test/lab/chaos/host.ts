/**
 * The host that chaos comes over: a real libvirtd with real domains, a real daemon that is started again when it ends,
 * and traffic. One of the domains is
 * silent, and a stand-in with its address sends for it; the other one answers by itself.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Status } from "../../../src/model/status.ts";
import { resetToBare } from "../bare.ts";
import { run } from "../command.ts";
import { type Daemon, STATE_DIR, startDaemon } from "../daemon.ts";
import { labConfig } from "../guests.ts";
import { buildHost } from "../host.ts";
import { installHook, resetLibvirt, startDomain, startLibvirt } from "../libvirt.ts";
import { addStandin, type Standin } from "../standin.ts";
import { until } from "../wait.ts";

const HOOK = join(import.meta.dirname, "../../../hooks/qemu");
/** systemd/uplinkd.service: RestartSec. */
const RESTART_MS = 1000;
/** systemd/uplinkd.service: OOMScoreAdjust. */
const OOM_SCORE_ADJUST = -900;
/** The disk of the daemon's state. The journal has some hundred bytes. */
const STATE_DISK = "size=256k";

const annotation = (children: string) =>
  `<uplink:network xmlns:uplink="urn:uplinkd:domain:1">${children}</uplink:network>`;

/** A domain of the host; who has an address answers by itself. */
export const DOMAINS = [
  {
    name: "bulk",
    macs: ["52:54:00:00:00:02"],
    metadata: annotation(
      '<uplink:priority>low</uplink:priority><uplink:placement prefer="nic1"/><uplink:failover action="pause" grace="1s"/>',
    ),
  },
  {
    name: "real",
    macs: ["52:54:00:00:00:0b"],
    ipv4: "10.9.0.11",
    metadata: annotation('<uplink:placement prefer="nic1"/>'),
  },
] as const;

export const CONFIG = labConfig();

export class ChaosHost {
  readonly standins: readonly Standin[];
  #daemon: Daemon;
  /** What an earlier daemon logged. */
  #earlier = "";

  private constructor(daemon: Daemon, standins: readonly Standin[]) {
    this.#daemon = daemon;
    this.standins = standins;
  }

  static async build(): Promise<ChaosHost> {
    await resetLibvirt({ stop: true });
    await resetToBare();
    await buildHost();
    rmSync("/run/uplinkd-test", { recursive: true, force: true });
    rmSync("/run/uplinkd", { recursive: true, force: true });
    mkdirSync(STATE_DIR, { recursive: true });
    run("mount", "-t", "tmpfs", "-o", STATE_DISK, "state", STATE_DIR);
    installHook("50-uplinkd", HOOK);
    await startLibvirt();
    const host = new ChaosHost(
      await startDaemon({ config: CONFIG, keepState: true }),
      // Several queues, so that frames carry a queue's number, as those of multiqueue taps do.
      [addStandin({ number: 2, queues: 4 })],
    );
    host.#shield();
    for (const shape of DOMAINS) {
      await startDomain({ ...shape });
      console.log(`      domain ${shape.name} started after ${Math.round(process.uptime())} s`);
    }
    return host;
  }

  async end(): Promise<void> {
    await this.#daemon.stop();
    run("umount", STATE_DIR);
    await resetLibvirt({ stop: true });
    await resetToBare();
  }

  get daemon(): Daemon {
    return this.#daemon;
  }

  get runs(): boolean {
    const { exitCode, signalCode } = this.#daemon.process;
    return exitCode === null && signalCode === null;
  }

  /** All that its daemons have logged. */
  get log(): string {
    return this.#earlier + this.#daemon.log();
  }

  /** kill -9. */
  async kill(): Promise<void> {
    if (this.runs) await this.#daemon.kill();
  }

  /** What systemd does to a daemon that has ended. */
  async restart(): Promise<void> {
    if (this.runs) return;
    await sleep(RESTART_MS);
    this.#earlier += this.#daemon.log();
    this.#daemon = await startDaemon({ config: CONFIG, keepState: true });
    this.#shield();
  }

  /** What the daemon says, once it answers. */
  async status(): Promise<Status> {
    let status: Status | undefined;
    await until("the daemon's answer", async () => {
      status = await this.#daemon.status().catch(() => undefined);
      return status !== undefined;
    });
    return status as Status;
  }

  /** As its unit has it. */
  #shield(): void {
    writeFileSync(`/proc/${this.#daemon.pid}/oom_score_adj`, String(OOM_SCORE_ADJUST));
  }
}
