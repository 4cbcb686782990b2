import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { renderMetrics } from "../../../src/control/metrics.ts";
import { exampleMeasurements, exampleStatus } from "../control/fake-daemon.ts";

const folder = new URL("../../../packaging/prometheus/", import.meta.url);
const there = renderMetrics(exampleStatus, exampleMeasurements(1));

describe("what is asked of Prometheus", () => {
  for (const file of ["uplinkd.rules.yml", "grafana-dashboard.json"]) {
    it(`is there to be asked for: ${file}`, () => {
      const names = new Set(readFileSync(new URL(file, folder), "utf8").match(/\buplinkd_\w+/g));
      assert.ok(names.size > 5);
      for (const name of names) assert.match(there, new RegExp(`^${name}[{ ]`, "m"), name);
    });
  }

  it("has conditions that teams can be in, and ids that events can have", () => {
    const text = readFileSync(new URL("uplinkd.rules.yml", folder), "utf8");
    for (const [, condition] of text.matchAll(/condition="(\w+)"/g)) {
      assert.match(there, new RegExp(`condition="${condition}"`));
    }
  });
});
