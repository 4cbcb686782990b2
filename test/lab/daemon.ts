import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import type {
  DrainAnswer,
  EnableAnswer,
  Explanation,
  ReleaseAnswer,
} from "../../src/control/api.ts";
import type { UplinkEvent } from "../../src/model/event.ts";
import type { SimulationDocument } from "../../src/model/simulation.ts";
import type { Status } from "../../src/model/status.ts";
import { runAside, runWithInput } from "./command.ts";
import { here, type Place } from "./peer.ts";
import { until } from "./wait.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const CONFIG_DIR = "/run/uplinkd-test/etc";
export const STATE_DIR = "/run/uplinkd-test/state";
export const RUN_DIR = "/run/uplinkd";

/** Five seconds under TCG; on a machine whose processors others have, minutes. */
const READY_MS = 180_000;

export interface DaemonShape {
  /** Text of uplinkd.yaml. */
  readonly config?: string;
  /** Texts of policies by name; by default those that the project ships. */
  readonly policies?: Readonly<Record<string, string>>;
  readonly observe?: boolean;
  /** Keep the journal of the daemon before. */
  readonly keepState?: boolean;
  /** The host that it is for; by default the lab's own. */
  readonly at?: Place;
}

/** A real daemon in the lab, with the lab's own configuration and state. */
export interface Daemon {
  readonly pid: number;
  readonly process: ChildProcess;
  /** What it has logged so far. */
  readonly log: () => string;
  readonly status: () => Promise<Status>;
  readonly explain: (domain: string) => Promise<Explanation>;
  /** What the loss of these uplinks would bring. */
  readonly simulate: (failed: readonly string[]) => Promise<SimulationDocument>;
  readonly events: () => Promise<readonly UplinkEvent[]>;
  readonly release: () => Promise<ReleaseAnswer>;
  readonly enable: () => Promise<EnableAnswer>;
  readonly drain: (uplink: string, force?: true) => Promise<DrainAnswer>;
  readonly undrain: (uplink: string) => Promise<DrainAnswer>;
  readonly kill: () => Promise<void>;
  readonly stop: () => Promise<void>;
  /** Writes a new uplinkd.yaml and has it read. */
  readonly reconfigure: (config: string) => void;
}

/** Starts uplinkd and waits until its sockets answer. */
export async function startDaemon(shape: DaemonShape = {}): Promise<Daemon> {
  const { prefix, root } = shape.at ?? here;
  if (shape.keepState !== true) {
    for (const directory of ["/run/uplinkd-test", RUN_DIR]) {
      // On another host both are mounts.
      mkdirSync(root + directory, { recursive: true });
      for (const name of readdirSync(root + directory))
        rmSync(join(root + directory, name), { recursive: true, force: true });
    }
  }
  for (const directory of [join(CONFIG_DIR, "policies"), STATE_DIR, RUN_DIR]) {
    mkdirSync(root + directory, { recursive: true });
  }
  const configFile = join(root + CONFIG_DIR, "uplinkd.yaml");
  if (shape.config !== undefined) writeFileSync(configFile, shape.config);
  const policies = shape.policies ?? shippedPolicies();
  for (const [name, text] of Object.entries(policies)) {
    writeFileSync(join(root + CONFIG_DIR, "policies", `${name}.yaml`), text);
  }
  const { flags, environment } = runtimeOfUnit();
  const words = [
    ...prefix,
    process.execPath,
    ...flags,
    join(ROOT, "dist/uplinkd.mjs"),
    ...["--config-dir", CONFIG_DIR, "--run-dir", RUN_DIR, "--state-dir", STATE_DIR],
    ...(shape.observe === true ? ["--observe"] : []),
  ];
  const [program = "", ...args] = words;
  const child = spawn(program, args, {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, ...environment },
  });
  let log = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
    if (process.env.UPLINKD_LAB_VERBOSE !== undefined) process.stderr.write(text);
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await until(
    "uplinkd ready",
    () => {
      if (child.exitCode !== null) throw new Error(`uplinkd ended with ${child.exitCode}:\n${log}`);
      return log.includes("<5>ready:");
    },
    READY_MS,
  );
  const signal = async (name: NodeJS.Signals) => {
    child.kill(name);
    await ended;
  };
  const ask = <T>(method: string, path: string) =>
    askAt<T>(join(root + RUN_DIR, "control.sock"), method, path);
  return {
    pid: child.pid ?? 0,
    process: child,
    log: () => log,
    status: () => ask<Status>("GET", "/v1/status"),
    explain: (domain) => ask<Explanation>("GET", `/v1/explain/${domain}`),
    simulate: (failed) =>
      ask<SimulationDocument>(
        "GET",
        `/v1/simulate?${failed.map((name) => `fail=${name}`).join("&")}`,
      ),
    events: async () => (await ask<{ events: UplinkEvent[] }>("GET", "/v1/events?since=0")).events,
    release: () => ask<ReleaseAnswer>("POST", "/v1/release"),
    enable: () => ask<EnableAnswer>("POST", "/v1/enable"),
    drain: (uplink, force) =>
      ask<DrainAnswer>("POST", `/v1/drain/${uplink}${force === true ? "?force=1" : ""}`),
    undrain: (uplink) => ask<DrainAnswer>("POST", `/v1/undrain/${uplink}`),
    kill: () => signal("SIGKILL"),
    stop: () => signal("SIGTERM"),
    reconfigure: (config) => {
      writeFileSync(configFile, config);
      child.kill("SIGHUP");
    },
  };
}

/** The policies of the project's policies/ folder. */
function shippedPolicies(): Record<string, string> {
  const names = ["gold", "silver", "bronze", "default"];
  return Object.fromEntries(
    names.map((name) => [name, readFileSync(join(ROOT, "policies", `${name}.yaml`), "utf8")]),
  );
}

/** A call of the local API; rejects with the daemon's own message. */
function askAt<T>(socketPath: string, method: string, path: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const call = request(
      // A connection of its own: the server ends idle ones, and a reused one may just have been ended.
      { socketPath, method, path, agent: false },
      (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text: string) => {
          body += text;
        });
        response.on("end", () => {
          if (response.statusCode === 200) resolve(JSON.parse(body) as T);
          else reject(new Error(`${method} ${path}: ${response.statusCode} ${body}`));
        });
      },
    );
    call.on("error", reject);
    call.end();
  });
}

export interface DomainShape {
  readonly name: string;
  readonly uuid?: string;
  readonly macs: readonly string[];
  readonly bridge?: string;
  /** Bridges of its interfaces, one by one, where they differ. */
  readonly bridges?: readonly string[];
  /** The device of its macvtaps, in mode bridge, instead of a bridge. */
  readonly macvtapOn?: string;
  /** Names of its taps, as libvirt writes them once they are there. */
  readonly taps?: readonly string[];
  /** Children of `<uplink:network>`. */
  readonly annotation?: string;
}

/** The XML that libvirt would hand to the hook for this domain. */
export function domainXml(shape: DomainShape): string {
  const uuid = shape.uuid ?? uuidOf(shape.name);
  const metadata =
    shape.annotation === undefined
      ? ""
      : `<metadata><uplink:network xmlns:uplink="urn:uplinkd:domain:1">${shape.annotation}</uplink:network></metadata>`;
  const { macvtapOn, bridges, bridge = "br0" } = shape;
  const interfaces = shape.macs
    .map((mac, index) => {
      const source =
        macvtapOn === undefined
          ? { type: "bridge", words: `bridge='${bridges?.[index] ?? bridge}'` }
          : { type: "direct", words: `dev='${macvtapOn}' mode='bridge'` };
      return `<interface type='${source.type}'><mac address='${mac}'/><source ${source.words}/>\
${targetOf(shape.taps?.[index])}<model type='virtio'/></interface>`;
    })
    .join("");
  return `<domain type='qemu'><name>${shape.name}</name><uuid>${uuid}</uuid>${metadata}\
<devices>${interfaces}</devices></domain>`;
}

function targetOf(tap: string | undefined): string {
  return tap === undefined ? "" : `<target dev='${tap}'/>`;
}

/** Calls the real hook script as libvirt does; returns its exit code by throwing on any but 0. */
export function callHook(operation: string, subOperation: string, shape: DomainShape): string {
  return runWithInput(
    domainXml(shape),
    join(ROOT, "hooks/qemu"),
    shape.name,
    operation,
    subOperation,
    "-",
  );
}

/** How the unit starts the runtime: the daemon in the lab is to be the one that is shipped. */
export function runtimeOfUnit(): {
  readonly flags: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
} {
  const unit = readFileSync(join(ROOT, "systemd/uplinkd.service"), "utf8");
  const start = /^ExecStart=\S+\/node (.*?) ?\S+\/uplinkd\.mjs/m.exec(unit)?.[1] ?? "";
  const settings = [...unit.matchAll(/^Environment=(\w+)=(\S*)$/gm)];
  return {
    flags: start.split(" ").filter((word) => word !== ""),
    environment: Object.fromEntries(settings.map(([, name = "", value = ""]) => [name, value])),
  };
}

/**
 * Announces a stand-in's domain as libvirt's start does: when it returns, everything is in force. Without `prepare`, by
 * which libvirt only asks: each call takes a third of a second under TCG.
 */
export function startDomain(shape: DomainShape): void {
  callHook("start", "begin", shape);
  callHook("started", "begin", shape);
}

/** Announces its end; `release`, which libvirt calls next, would find nothing left to do. */
export function stopDomain(shape: DomainShape): void {
  callHook("stopped", "end", shape);
}

/** Announces the end of several at once, as a host that goes down does. */
export async function stopDomains(shapes: readonly DomainShape[]): Promise<void> {
  const stop = `printf '%s' "$2" | "$0" "$1" stopped end -`;
  const hook = join(ROOT, "hooks/qemu");
  await Promise.all(
    shapes.map((shape) => runAside("sh", "-c", stop, hook, shape.name, domainXml(shape))),
  );
}

function uuidOf(name: string): string {
  const hex = Buffer.from(name.padEnd(16, ".")).toString("hex").slice(0, 32);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join("-");
}
