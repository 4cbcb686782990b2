import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PolicyErrors } from "../../../src/model/errors.ts";
import { loadAll } from "../../../src/policy/load.ts";

describe("loading a configuration directory", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "uplinkd-policy-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  function write(name: string, text: string | Uint8Array): void {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  function complaints(): string[] {
    try {
      loadAll(directory);
    } catch (error) {
      assert.ok(error instanceof PolicyErrors);
      return error.errors.map((each) => each.describe().replace(`${directory}/`, ""));
    }
    return [];
  }

  it("gives the defaults where there is nothing", () => {
    const { config, policies, files } = loadAll(join(directory, "missing"));
    assert.deepEqual([config.autoTeams, policies.size, files.length], [true, 0, 0]);
  });

  it("reads the main file, then drop-ins by name, then policies", () => {
    write("uplinkd.yaml", "resync: 5s");
    write("uplinkd.d/20-b.yaml", "resync: 7s");
    write("uplinkd.d/10-a.yaml", "resync: 6s");
    write("policies/gold.yaml", "priority: high");
    const { config, policies, files } = loadAll(directory);
    assert.equal(config.resyncMs, 7000);
    assert.deepEqual([...policies], [["gold", { priority: "high" }]]);
    assert.deepEqual(
      files.map((file) => file.slice(directory.length + 1)),
      ["uplinkd.yaml", "uplinkd.d/10-a.yaml", "uplinkd.d/20-b.yaml", "policies/gold.yaml"],
    );
  });

  it("leaves out what isn't YAML and what editors leave behind", () => {
    write("policies/.gold.yaml.swp", "\0");
    write("policies/.hidden.yaml", "x: 1");
    write("policies/gold.yaml~", "x: 1");
    write("policies/schema/policy.json", "{}");
    assert.equal(loadAll(directory).policies.size, 0);
  });

  it("tells everything that is wrong in all files, and gives nothing", () => {
    write("uplinkd.yaml", "resyncc: 5s");
    write("policies/gold.yaml", "priority: hi");
    write("policies/silver.yaml", "priority: high");
    assert.deepEqual(complaints(), [
      "uplinkd.yaml:1:1: resyncc: unknown key; did you mean 'resync'?",
      "policies/gold.yaml:1:11: priority: must be critical, high, normal or low; did you mean 'high'?",
    ]);
  });

  it("refuses two files for one policy", () => {
    write("policies/gold.yaml", "");
    write("policies/gold.yml", "");
    assert.deepEqual(complaints(), [
      "policies/gold.yml: there is another file for the policy 'gold'",
    ]);
  });

  it("refuses what isn't a file, isn't text, or is too large", () => {
    mkdirSync(join(directory, "uplinkd.yaml"));
    write("policies/a.yaml", Uint8Array.of(0xff, 0xfe));
    write("policies/b.yaml", "#".repeat((1 << 20) + 1));
    assert.deepEqual(complaints(), [
      "uplinkd.yaml: is not a regular file",
      "policies/a.yaml: is not UTF-8 text",
      "policies/b.yaml: is larger than 1 MiB",
    ]);
  });
});
