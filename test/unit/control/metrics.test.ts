import assert from "node:assert/strict";
import { renderMetrics } from "../../../src/control/metrics.ts";
import type { Status } from "../../../src/model/status.ts";
import { exampleMeasurements, exampleStatus } from "./fake-daemon.ts";

/** Value of the one sample with this name and these labels. */
function sample(text: string, name: string): string | undefined {
  return text
    .split("\n")
    .find((line) => line.startsWith(`${name} `))
    ?.slice(name.length + 1);
}

describe("metrics", () => {
  const text = renderMetrics(exampleStatus, exampleMeasurements(3));

  it("give rates in bytes, times in seconds, states as 0 and 1", () => {
    const expected: Readonly<Record<string, string>> = {
      'uplinkd_mode{mode="enforcing"}': "1",
      'uplinkd_mode{mode="observing"}': "0",
      uplinkd_start_time_seconds: "1700000000",
      'uplinkd_events_total{id="uplink-lost"}': "3",
      'uplinkd_events_total{id="uplink-returned"}': "0",
      'uplinkd_team_condition{team="bond0",condition="degraded"}': "1",
      'uplinkd_team_condition_seconds_total{team="bond0",condition="isolated"}': "0",
      'uplinkd_failover_duration_seconds_bucket{le="0.0001"}': "0",
      'uplinkd_failover_duration_seconds_bucket{le="0.00025"}': "3",
      'uplinkd_failover_duration_seconds_bucket{le="+Inf"}': "3",
      uplinkd_failover_duration_seconds_count: "3",
      uplinkd_plan_duration_seconds_count: "0",
      'uplinkd_uplink_capacity_bytes_per_second{team="bond0",uplink="eno1"}': "118750000",
      'uplinkd_uplink_usable{team="bond0",uplink="eno2"}': "0",
      'uplinkd_vnic_granted_bytes_per_second{domain="web1",mac="52:54:00:00:00:01"}': "62500000",
      'uplinkd_vnic_away{domain="web1",mac="52:54:00:00:00:01"}': "1",
      'uplinkd_domain_paused{domain="batch"}': "1",
      uplinkd_problems: "1",
    };
    for (const [name, value] of Object.entries(expected))
      assert.equal(sample(text, name), value, name);
  });

  it("have what came for a vNIC with an inbound limit, and nothing where there is none", () => {
    const [web, ...others] = exampleStatus.domains;
    assert.ok(web);
    const vnics = web.vnics.map((vnic) => ({
      ...vnic,
      ...{ inboundLimitBitsPerSecond: 8e6, inboundBytes: 12_000_000_000, inboundDrops: 17 },
    }));
    const status: Status = { ...exampleStatus, domains: [{ ...web, vnics }, ...others] };
    const limited = renderMetrics(status, exampleMeasurements(0));
    const labels = '{domain="web1",mac="52:54:00:00:00:01"}';
    for (const [name, value] of [
      ["limit_bytes_per_second", "1000000"],
      ["bytes_total", "12000000000"],
      ["dropped_packets_total", "17"],
    ] as const)
      assert.equal(sample(limited, `uplinkd_vnic_inbound_${name}${labels}`), value);
    assert.doesNotMatch(limited, /vnic_inbound\S*batch/);
    assert.doesNotMatch(text, /vnic_inbound/);
  });

  it("leave out what isn't known rather than call it zero", () => {
    assert.doesNotMatch(text, /^uplinkd_uplink_sent_bytes_per_second\{.*eno2/m);
    assert.match(text, /^uplinkd_uplink_sent_bytes_per_second\{.*eno1/m);
    assert.doesNotMatch(text, /null|NaN|undefined/);
  });

  it("describe each name once, before its samples, and every line is of the format", () => {
    const described = [...text.matchAll(/^# TYPE (\S+) (gauge|counter|histogram)$/gm)].map(
      ([, name]) => name,
    );
    assert.equal(new Set(described).size, described.length);
    let current = "";
    for (const line of text.trimEnd().split("\n")) {
      const type = /^# (?:TYPE|HELP) (\S+) ./.exec(line)?.[1];
      if (type !== undefined) current = type;
      else
        assert.match(
          line,
          new RegExp(`^${current}(_bucket|_sum|_count)?(\\{(\\w+="[^"]*",?)+\\})? -?[0-9.e+]+$`),
        );
    }
    for (const name of described)
      assert.equal(/_total$/.test(name ?? ""), text.includes(`# TYPE ${name} counter`));
  });

  it("quote what a domain's name may hold", () => {
    const [web] = exampleStatus.domains;
    assert.ok(web);
    const odd = { ...web, name: 'a"b\\c\nd', vnics: [] };
    const status: Status = { ...exampleStatus, domains: [odd] };
    assert.ok(renderMetrics(status, exampleMeasurements(0)).includes('domain="a\\"b\\\\c\\nd"} 0'));
  });

  it("stay small whatever the number of vNICs", () => {
    const [web] = exampleStatus.domains;
    assert.ok(web);
    const domains = Array.from({ length: 5000 }, (_, n) => ({ ...web, name: `vm${n}` }));
    const large = renderMetrics({ ...exampleStatus, domains }, exampleMeasurements(0));
    assert.equal(sample(large, "uplinkd_vnics"), "5000");
    assert.equal(large.match(/^uplinkd_vnic_info/gm)?.length, 2000);
  });
});
