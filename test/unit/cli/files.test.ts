import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VERSION } from "../../../src/model/version.ts";
import { runInProcess } from "./in-process.ts";

describe("uplinkctl, of the operator's files", () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "uplinkd-files-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const run = (args: readonly string[]) =>
    runInProcess(args, { version: VERSION, environment: { COLUMNS: "80" }, nowMs: Date.now });

  it("checks files as compilers do, and ends with 2 if one is wrong", async () => {
    const good = join(directory, "gold.yaml");
    const bad = join(directory, "uplinkd.yaml");
    writeFileSync(good, "priority: high\n");
    writeFileSync(bad, "teams: auto\nresyncc: 5s\n");
    assert.deepEqual(await run(["policy", "check", good]), {
      code: 0,
      stdout: `${good}: policy ok\n`,
      stderr: "",
    });
    const missing = join(directory, "none.yaml");
    assert.deepEqual(await run(["policy", "check", good, bad, missing]), {
      code: 2,
      stdout: `${good}: policy ok\n`,
      stderr: `${bad}:2:1: resyncc: unknown key; did you mean 'resync'?\n${missing}: there is no such file\n`,
    });
    const { code, stdout } = await run(["policy", "check", "--json", bad]);
    assert.equal(code, 2);
    const [check] = JSON.parse(stdout).files;
    assert.deepEqual([check.ok, check.kind], [false, "config"]);
    assert.deepEqual(
      [check.errors[0].line, check.errors[0].column, check.errors[0].path],
      [2, 1, "resyncc"],
    );
    assert.equal(check.errors[0].message, "unknown key; did you mean 'resync'?");
  });

  it("shows the configuration that holds, in words that it reads back", async () => {
    mkdirSync(join(directory, "uplinkd.d"));
    writeFileSync(join(directory, "uplinkd.yaml"), "teams: [{bond: bond0, headroom: 7%}]\n");
    writeFileSync(join(directory, "uplinkd.d/a.yaml"), "resync: 1500ms\n");
    const show = (...args: string[]) => run(["config", "show", "--dir", directory, ...args]);
    const { stdout } = await show("--effective");
    assert.match(stdout, /^ {4}headroom: 7% # .*uplinkd\.yaml:1$/m);
    assert.match(stdout, /^resync: 1500ms # .*a\.yaml:1$/m);
    assert.match(stdout, /^maxPause: 15m # default$/m);
    const { config } = JSON.parse((await show("--json")).stdout);
    const again = join(directory, "again");
    mkdirSync(again);
    writeFileSync(join(again, "uplinkd.yaml"), stdout);
    const read = await run(["config", "show", "--json", "--dir", again]);
    assert.deepEqual(JSON.parse(read.stdout).config, config);
  });

  it("shows the named policies, each with its file, and suggests the one that was meant", async () => {
    mkdirSync(join(directory, "policies"));
    writeFileSync(
      join(directory, "policies/gold.yaml"),
      "priority: high\nbandwidth: {limit: 2gbit}\n",
    );
    const show = (...args: string[]) => run(["policy", "show", "--dir", directory, ...args]);
    const { stdout } = await show();
    assert.match(stdout, /^default +normal +- +- +100 +throttle +none$/m);
    assert.match(stdout, /^gold +high +- +2gbit +100 +throttle +\/.*…?/m);
    assert.match(
      (await show("gold")).stdout,
      /^policy gold: priority high, reservation 0bit, limit/,
    );
    const { code, stderr } = await show("glod");
    assert.equal(code, 2);
    assert.match(stderr, /did you mean 'gold'\?/);
  });

  it("shows mistakes of the configuration with their places", async () => {
    writeFileSync(join(directory, "uplinkd.yaml"), "x: 1\n");
    const { code, stderr } = await run(["config", "show", "--dir", directory]);
    assert.equal(code, 2);
    assert.match(stderr, /^\/.*uplinkd\.yaml:1:1: x: unknown key; known: teams/);
  });
});
