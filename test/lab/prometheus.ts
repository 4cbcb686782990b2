/** A real Prometheus (Debian's) in the lab, that reads a daemon's metrics and the alert rules that are shipped. */
import { spawn } from "node:child_process";
import { mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { cached, repository } from "./cache.ts";
import { RUN_DIR } from "./daemon.ts";
import { until } from "./wait.ts";

const FOLDER = "/run/lab/prometheus";
/** Where systemd has the metrics for who asks for a port (systemd/uplinkd-metrics.socket). */
const METRICS_PORT = 9479;
const PORT = 9090;
/** Emulated, on a machine that others use, an answer of the daemon takes seconds. */
const SCRAPE_SECONDS = 10;

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Alert {
  readonly labels: Readonly<Record<string, string>>;
  readonly state: "pending" | "firing";
}

export interface Prometheus {
  /** An expression's samples now, those that are no number left out. */
  readonly query: (expression: string) => Promise<readonly Sample[]>;
  readonly alerts: () => Promise<readonly Alert[]>;
  readonly stop: () => Promise<void>;
}

/** Of packaging/prometheus. */
export const shipped = (name: string) => join(repository, "packaging/prometheus", name);

/** Starts it, and waits until it has read the daemon's metrics. */
export async function startPrometheus(): Promise<Prometheus> {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  const seconds = `${SCRAPE_SECONDS}s`;
  writeFileSync(
    join(FOLDER, "prometheus.yml"),
    `global: {scrape_interval: ${seconds}, scrape_timeout: ${seconds}, evaluation_interval: ${seconds}}
rule_files: [${shipped("uplinkd.rules.yml")}]
scrape_configs: [{job_name: uplinkd, static_configs: [{targets: ["127.0.0.1:${METRICS_PORT}"]}]}]
`,
  );
  const port = await forwardToDaemon();
  const log = openSync(join(FOLDER, "log"), "w");
  const child = spawn(
    cached("prometheus/prometheus"),
    [
      `--config.file=${join(FOLDER, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(FOLDER, "data")}`,
      `--web.listen-address=127.0.0.1:${PORT}`,
    ],
    { stdio: ["ignore", log, log] },
  );
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const ask = async <T>(path: string): Promise<T> => {
    const response = await fetch(`http://127.0.0.1:${PORT}/api/v1/${path}`);
    const body = (await response.json()) as { status: string; error?: string; data: T };
    if (body.status !== "success") throw new Error(`${path}: ${body.error}`);
    return body.data;
  };
  const query = async (expression: string): Promise<readonly Sample[]> => {
    interface Answer {
      readonly result: readonly { metric: Sample["metric"]; value: [number, string] }[];
    }
    const { result } = await ask<Answer>(`query?query=${encodeURIComponent(expression)}`);
    return result
      .map(({ metric, value: [, text] }) => ({ metric, value: Number(text) }))
      .filter(({ value }) => !Number.isNaN(value));
  };
  const stop = async () => {
    port.close();
    child.kill("SIGKILL");
    await ended;
  };
  try {
    await until(
      "Prometheus to have read metrics",
      async () => {
        if (child.exitCode !== null) throw new Error(readFileSync(join(FOLDER, "log"), "utf8"));
        return (await query("uplinkd_info").catch(() => [])).length > 0;
      },
      300_000,
      1000,
    );
  } catch (error) {
    await stop();
    throw error;
  }
  const alerts = async () => (await ask<{ alerts: readonly Alert[] }>("alerts")).alerts;
  return { query, alerts, stop };
}

/** What systemd does on a host: a port of the loopback that the daemon's reading socket answers at. */
async function forwardToDaemon(): Promise<net.Server> {
  const server = net.createServer((asking) => {
    const answering = net.connect(join(RUN_DIR, "read.sock"));
    for (const [from, to] of [
      [asking, answering],
      [answering, asking],
    ] as const) {
      from.on("error", () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(METRICS_PORT, "127.0.0.1", resolve));
  return server;
}
