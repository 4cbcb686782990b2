import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Journal } from "../../../src/daemon/journal.ts";
import { Operator } from "../../../src/daemon/operator.ts";
import { ConflictError, StateError } from "../../../src/model/errors.ts";
import type { Drift } from "../../../src/model/status.ts";
import type { World } from "../../../src/model/world.ts";
import { buildWorld, GBIT, NOW } from "../world.ts";
import { fakeLog } from "./fake.ts";

const PATH = "journal.json";

describe("an operator's wishes", () => {
  let directory: string;
  let operator: Operator;
  let journal: Journal;
  let world: World | null;
  let runs: number;
  let drift: readonly Drift[] = [];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "uplinkd-operator-"));
    runs = 0;
    drift = [];
    world = worldReserving(4);
    start();
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  function start(mode: "enforcing" | "released" = "enforcing"): void {
    journal = Journal.open(join(directory, PATH), "boot", () => assert.fail("damaged"));
    operator = new Operator({
      journal,
      registry: { findByName: (name) => (name === "a" ? "uuid-a" : null) },
      log: fakeLog().log,
      now: () => NOW,
      loop: { imagine: () => world, mode, last: null, drift },
      enforce: async () => {
        runs += 1;
      },
    });
  }

  it("hold a domain until it is told otherwise, over restarts, and only one that runs", async () => {
    assert.deepEqual(await operator.hold("a"), { domain: "a", held: true });
    assert.deepEqual(await operator.hold("a"), { domain: "a", held: true });
    assert.equal(await operator.hold("z"), null);
    start();
    assert.deepEqual([journal.contents.holds, runs], [["a"], 1]);
    assert.deepEqual(await operator.unhold("a"), { domain: "a", held: false });
    assert.deepEqual([journal.contents.holds, await operator.unhold("z")], [[], null]);
  });

  it("drain an uplink once, over restarts, until undrained", async () => {
    const answer = { uplink: "eno2", drained: true, carries: [], reasons: [], problems: [] };
    assert.deepEqual(await operator.drain("eno2", false), answer);
    await operator.drain("eno2", false);
    start();
    assert.deepEqual([journal.contents.drains, runs], [[{ uplink: "eno2", sinceMs: NOW }], 2]);
    assert.equal((await operator.undrain("eno2")).drained, false);
    assert.deepEqual(journal.contents.drains, []);
  });

  it("aren't called done while the kernel holds something else than was planned", async () => {
    drift = [{ object: "uplink-action 1", op: "change", sinceMs: NOW, message: "refused" }];
    start();
    assert.deepEqual((await operator.drain("eno2", false)).problems, ["uplink-action 1: refused"]);
  });

  it("don't drain what would break reservations, unless forced, and say what breaks", async () => {
    world = worldReserving(9);
    await assert.rejects(operator.drain("eno2", false), (error) => {
      assert.ok(error instanceof ConflictError);
      assert.match(error.message, /would keep 5gbit of its reservation of 9gbit/);
      return true;
    });
    assert.deepEqual([journal.contents.drains, runs], [[], 0]);
    const forced = await operator.drain("eno2", true);
    assert.deepEqual([forced.drained, forced.reasons.length], [true, 2]);
  });

  it("change nothing that can't be written down, nor while nothing is enforced", async () => {
    mkdirSync(join(directory, `${PATH}.new`));
    await assert.rejects(operator.drain("eno2", false), StateError);
    await assert.rejects(operator.hold("a"), StateError);
    assert.equal(runs, 0);
    start("released");
    await assert.rejects(operator.drain("eno2", true), /uplinkd is released/);
  });
});

function worldReserving(gbit: number): World {
  const domain = (name: string, home: string) => ({
    name,
    vnics: [{ bandwidth: { reservationBitsPerSecond: gbit * GBIT }, home }],
  });
  return buildWorld({
    uplinks: [{ name: "eno1" }, { name: "eno2" }],
    domains: [domain("a", "eno1"), domain("b", "eno2")],
  });
}
