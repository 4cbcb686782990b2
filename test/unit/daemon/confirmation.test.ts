import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Confirmation } from "../../../src/daemon/confirmation.ts";
import { Journal } from "../../../src/daemon/journal.ts";
import { fakeLog } from "./fake.ts";

describe("a confirmation", () => {
  let directory: string;
  let journal: Journal;
  let lines: string[];
  let rolledBack: string[];
  let failures: number;
  let confirmation: Confirmation;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "uplinkd-confirmation-"));
    rolledBack = [];
    failures = 0;
    start();
    journal.write({ released: true, observing: true });
  });
  afterEach(() => {
    confirmation.stop();
    rmSync(directory, { recursive: true });
  });

  /** Another run of the daemon over the same disk. */
  function start(nowMs?: number): void {
    journal = Journal.open(join(directory, "journal.json"), "boot", () => assert.fail("damaged"));
    const { log, lines: told } = fakeLog();
    lines = told;
    confirmation = new Confirmation({
      journal,
      log,
      now: () => nowMs ?? Date.now(),
      rollBack: async (to) => {
        if (failures-- > 0) throw new Error("not now");
        rolledBack.push(to);
      },
      report: () => lines.push("reported"),
    });
    confirmation.start();
  }

  /** What enable does once the confirmation is begun. */
  const enable = () => journal.write({ released: false, observing: false });

  it("rolls back to what was before when none comes in time, once", async () => {
    confirmation.begin(30);
    enable();
    assert.deepEqual(rolledBack, []);
    await sleep(80);
    assert.deepEqual(rolledBack, ["observing"]);
    assert.equal(confirmation.dueMs, null);
    assert.match(lines.join(), /rolled-back/);
  });

  it("does nothing once confirmed", async () => {
    confirmation.begin(30);
    enable();
    assert.equal(confirmation.confirm(), true);
    assert.equal(confirmation.confirm(), false);
    await sleep(80);
    assert.deepEqual(rolledBack, []);
  });

  it("survives a restart of the daemon, and rolls back what is overdue", async () => {
    confirmation.begin(60_000);
    enable();
    confirmation.stop();
    start();
    await sleep(20);
    assert.deepEqual(rolledBack, []);
    confirmation.stop();
    start(Date.now() + 61_000);
    await sleep(20);
    assert.deepEqual(rolledBack, ["observing"]);
  });

  it("keeps the first one's way back when it is begun anew", async () => {
    confirmation.begin(60_000);
    enable();
    confirmation.begin(20);
    await sleep(60);
    assert.deepEqual(rolledBack, ["observing"]);
  });

  it("stays due where the rollback failed", async () => {
    failures = 1;
    confirmation.begin(10);
    enable();
    await sleep(60);
    assert.deepEqual([rolledBack, lines.includes("reported")], [[], true]);
    assert.notEqual(confirmation.dueMs, null);
  });
});
