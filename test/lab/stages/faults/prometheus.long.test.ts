// What the dashboard and the alert rules ask, asked of a real Prometheus that has read a real daemon's metrics.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { parse } from "yaml";
import { resetToBare } from "../../bare.ts";
import { cached } from "../../cache.ts";
import { runAside } from "../../command.ts";
import { type Daemon, RUN_DIR, startDaemon } from "../../daemon.ts";
import { startGuest } from "../../guests.ts";
import { buildHost } from "../../host.ts";
import { type Prometheus, shipped, startPrometheus } from "../../prometheus.ts";
import { pull } from "../../qmp.ts";
import { quickConfig } from "../../reached.ts";
import { until } from "../../wait.ts";

interface Rule {
  readonly alert: string;
  readonly expr: string;
}

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const SLOW_MS = 240_000;
const METRICS = "/run/lab/metrics";

const rules = (
  parse(readFileSync(shipped("uplinkd.rules.yml"), "utf8")) as {
    readonly groups: readonly { readonly rules: readonly Rule[] }[];
  }
).groups.flatMap((group) => group.rules);

/** Every query of the dashboard, as Grafana asks it with every instance chosen and a range of five minutes. */
const queries = (
  JSON.parse(readFileSync(shipped("grafana-dashboard.json"), "utf8")) as {
    readonly panels: readonly Panel[];
  }
).panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => ({
    title,
    expression: expr.replaceAll("$instance", ".*").replaceAll("$__range", "5m"),
  })),
);

describe("a real Prometheus", function () {
  this.timeout(1_200_000);
  let daemon: Daemon;
  let prometheus: Prometheus;

  before(async () => {
    await resetToBare();
    await buildHost();
    daemon = await startDaemon({ config: quickConfig() });
    // One uplink's 40mbit can't keep both promises.
    const bandwidth = '<uplink:bandwidth reservation="25mbit"/>';
    startGuest(1, "first", `<uplink:priority>high</uplink:priority>${bandwidth}`);
    startGuest(2, "second", `<uplink:priority>low</uplink:priority>${bandwidth}`);
    prometheus = await startPrometheus();
  });
  after(async () => {
    await prometheus.stop();
    await daemon.stop();
  });

  /** Those whose expression has no result. */
  const without = async (expressions: readonly string[]) => {
    const found = await Promise.all(expressions.map((each) => prometheus.query(each)));
    return expressions.filter((_, index) => found[index]?.length === 0);
  };
  const soon = (what: string, expression: string) =>
    until(what, async () => (await prometheus.query(expression)).length > 0, SLOW_MS, 500);

  it("finds nothing to blame in the names and the rules, and plays through what makes each alert fire", async () => {
    const promtool = cached("prometheus/promtool");
    const url = "http://localhost/metrics";
    const metrics = await runAside("curl", "-s", "--unix-socket", `${RUN_DIR}/read.sock`, url);
    assert.match(metrics, /^uplinkd_info/m);
    writeFileSync(METRICS, metrics);
    // Aside: Prometheus reads the metrics through this process.
    await runAside("sh", "-c", `${promtool} check metrics <${METRICS}`);
    await runAside(promtool, "check", "rules", shipped("uplinkd.rules.yml"));
    await runAside(promtool, "test", "rules", shipped("uplinkd.rules.test.yml"));
    const played = readFileSync(shipped("uplinkd.rules.test.yml"), "utf8");
    for (const { alert } of rules) {
      assert.equal(played.split(`alertname: ${alert}\n        exp_alerts:`).length, 2, alert);
    }
  });

  it("has what every alert judges, and none is raised where all is well but libvirt", async () => {
    assert.ok(rules.length >= 10);
    // What is compared, without what it is compared with.
    const judged = rules.map(({ expr }) => expr.replace(/ (==|>|<) \S+$/, ""));
    // An increase wants two looks.
    await until("two looks", async () => (await without(judged)).length === 0, SLOW_MS, 1000);
    assert.deepEqual(await without(judged), []);
    const raised: string[] = [];
    for (const { alert, expr } of rules) {
      if ((await prometheus.query(expr)).length > 0) raised.push(alert);
    }
    assert.deepEqual(raised, ["UplinkdLibvirtDown"]);
  });

  it("has a result for every query of the dashboard once an uplink is lost, and sees who is short", async () => {
    assert.ok(queries.length >= 15);
    await pull(0);
    await soon("the loss to be seen", 'uplinkd_team_condition{condition="degraded"} == 1');
    // An increase wants two looks.
    await soon(
      "the loss to be counted",
      'increase(uplinkd_events_total{id="uplink-lost"}[5m]) > 0',
    );
    await soon(
      "the answer to be timed",
      "increase(uplinkd_failover_duration_seconds_count[5m]) > 0",
    );
    // The loss itself was answered by what was prepared: nothing was left to apply.
    startGuest(3, "third", "");
    await soon("a change to be timed", "increase(uplinkd_apply_duration_seconds_count[5m]) > 0");
    const all = queries.map(({ expression }) => expression);
    const open = await without(all);
    assert.deepEqual(open, []);
    const short = rules.find(({ alert }) => alert === "UplinkdReservationShort") ?? assert.fail();
    const samples = await prometheus.query(short.expr);
    assert.deepEqual(
      samples.map(({ metric }) => metric.domain),
      ["second"],
    );
    const asDaemon = (await daemon.status()).domains.flatMap(({ name, vnics }) =>
      vnics.map(({ expectedBitsPerSecond }) => [name, expectedBitsPerSecond / 8]),
    );
    const asKept = await prometheus.query("uplinkd_vnic_expected_bytes_per_second");
    assert.deepEqual(
      asKept.map(({ metric, value }) => [metric.domain, value]).sort(),
      asDaemon.sort(),
    );
  });

  it("raises an alarm when the last uplink is lost", async () => {
    await pull(1);
    const isFiring = async () => {
      const alerts = await prometheus.alerts();
      return alerts.some(
        ({ labels, state }) => labels.alertname === "UplinkdTeamIsolated" && state === "firing",
      );
    };
    await until("UplinkdTeamIsolated to fire", isFiring, SLOW_MS, 500);
  });
});
