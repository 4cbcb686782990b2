import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { Journal, type MigrationEntry } from "../../../src/daemon/journal.ts";
import { Migrations } from "../../../src/daemon/migrations.ts";
import type { DomainJob, DomainRunState, MigrationCall } from "../../../src/daemon/ports.ts";
import { LibvirtError } from "../../../src/model/errors.ts";
import type { World } from "../../../src/model/world.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, GBIT, NOW, PLAIN_CONFIG } from "../world.ts";
import { fakeLog } from "./fake.ts";

const UUID = "00000000-0000-4000-8000-000000000000";
const CONFIG = {
  ...PLAIN_CONFIG,
  destinations: ["rack2", "rack3"].map((name) => ({
    ...{ name, uri: `qemu+tls://${name}/system`, migrateUri: null },
  })),
};
const ENTRY: MigrationEntry = {
  ...{ domain: "batch", uuid: UUID, destination: "rack2", sinceMs: NOW, reason: "" },
  ...{ bandwidthBitsPerSecond: GBIT, outcome: "intended" },
};

/** libvirt as far as it moves domains: each call waits until the test answers it. */
class FakeMover {
  state: DomainRunState = "running";
  job: DomainJob = "none";
  readonly calls: MigrationCall[] = [];
  aborts = 0;
  answer: (error?: LibvirtError) => void = () => assert.fail("nothing was asked");
  readonly stateOf = async () => this.state;
  readonly jobOf = async () => this.job;
  readonly migrate = (_uuid: string, call: MigrationCall) => {
    this.calls.push(call);
    this.job = "migration";
    return new Promise<void>((resolve, reject) => {
      this.answer = (error) => {
        this.job = "none";
        if (error !== undefined) return reject(error);
        this.state = "absent";
        resolve();
      };
    });
  };
  readonly abortJob = async () => {
    this.aborts += 1;
    this.answer(new LibvirtError("domain batch", "canceled by client"));
  };
}

describe("migrations", () => {
  let disk: string | null;
  let journal: Journal;
  let libvirt: FakeMover;
  let migrations: Migrations;
  let lines: string[];
  let nowMs: number;

  beforeEach(() => {
    disk = null;
    nowMs = NOW;
    libvirt = new FakeMover();
    start();
  });

  /** Another run of the daemon, with what the last one has left on disk. */
  function start(): void {
    const { log, lines: told } = fakeLog();
    lines = told;
    const file = {
      read: () => disk,
      replace: (text: string) => {
        disk = text;
      },
      keepAs: () => assert.fail("damaged"),
    };
    journal = Journal.open("journal.json", "boot", () => assert.fail("damaged"), file);
    const rules = () => CONFIG.migration;
    migrations = new Migrations({ journal, libvirt, log, now: () => nowMs, rules, changed() {} });
  }

  /** One domain that one uplink of two can't serve. */
  function world(change: Partial<World["domains"][number]> = {}): World {
    const { migrations: entries, refusals } = journal.contents;
    const built = buildWorld({
      uplinks: [
        { name: "eno1" },
        { name: "eno2", carrier: false, bondUp: false, lostAtMs: NOW - 60_000 },
      ],
      domains: [
        {
          name: "batch",
          vnics: [{ failover: { action: "migrate" }, home: "eno2", latched: 12 * GBIT }],
          ...(entries[0] === undefined ? {} : { migration: entries[0] }),
          refusals,
        },
      ],
    });
    const domains = built.domains.map((domain) => ({ ...domain, ...change }));
    return { ...built, config: CONFIG, nowMs, domains };
  }

  async function carryOut(change: Partial<World["domains"][number]> = {}): Promise<void> {
    const now = world(change);
    await migrations.carryOut(now, planWorld(now));
    await settled();
  }

  const settled = async () => {
    for (let turns = 0; turns < 5; turns += 1) await turn();
  };
  const refused = () => journal.contents.refusals.map(({ destination }) => destination);

  it("writes the intent before libvirt is asked, and forgets it when the domain runs there", async () => {
    await carryOut();
    assert.deepEqual(JSON.parse(disk ?? "").migrations[0].destination, "rack2");
    const [call] = libvirt.calls;
    assert.equal(call?.uri, "qemu+tls://rack2/system");
    assert.ok((call?.timeoutMs ?? 0) > CONFIG.migration.timeoutMs);
    await carryOut();
    assert.equal(libvirt.calls.length, 1, "asked once");
    libvirt.answer();
    await settled();
    assert.deepEqual(JSON.parse(disk ?? "").migrations, []);
    assert.match(lines.join("\n"), /<5>domain-migrated: domain batch runs on rack2 now/);
  });

  it("moves nobody whom an operator takes while libvirt is asked", async () => {
    const moved = carryOut();
    journal.write({ holds: ["batch"] });
    await moved;
    assert.deepEqual([libvirt.calls, journal.contents.migrations], [[], []]);
  });

  it("asks the next destination after a refusal, and none after the last", async () => {
    for (const name of ["rack2", "rack3"]) {
      await carryOut();
      assert.equal(libvirt.calls.at(-1)?.uri, `qemu+tls://${name}/system`);
      libvirt.answer(new LibvirtError("domain batch", "no room"));
      await settled();
    }
    assert.deepEqual(refused(), ["rack2", "rack3"]);
    await carryOut();
    assert.equal(libvirt.calls.length, 2);
    const now = world();
    assert.equal(planWorld(now).domains[0]?.action, "pause");
    assert.match(
      lines.join("\n"),
      /<4>domain-stayed: domain batch was not moved to rack3.*no room/,
    );
    nowMs += CONFIG.migration.retryMs;
    await carryOut();
    assert.equal(libvirt.calls.at(-1)?.uri, "qemu+tls://rack2/system", "asked again in time");
  });

  it("forgets refusals once the team is whole", async () => {
    await carryOut();
    libvirt.answer(new LibvirtError("domain batch", "no room"));
    await settled();
    const whole = buildWorld({ uplinks: [{ name: "eno1" }] });
    await migrations.carryOut(whole, planWorld(whole));
    assert.deepEqual(refused(), []);
  });

  it("aborts one at its time limit, and blames its destination", async () => {
    await carryOut();
    nowMs += CONFIG.migration.timeoutMs;
    await carryOut();
    assert.equal(libvirt.aborts, 1);
    assert.deepEqual([journal.contents.migrations, refused()], [[], ["rack2"]]);
    assert.match(lines.join("\n"), /domain-stayed.*it takes longer than 5m/);
  });

  it("aborts one whose domain is held, and blames nobody", async () => {
    await carryOut();
    await carryOut({ held: true });
    assert.deepEqual([libvirt.aborts, journal.contents.migrations, refused()], [1, [], []]);
  });

  it("doesn't touch a domain that is paused, or in a job of somebody else's", async () => {
    libvirt.state = "paused";
    await carryOut();
    libvirt.state = "running";
    libvirt.job = "other";
    await carryOut();
    assert.deepEqual([libvirt.calls, journal.contents.migrations], [[], []]);
    libvirt.job = "none";
    await carryOut();
    assert.equal(libvirt.calls.length, 0, "not at once");
    nowMs += 10_001;
    await carryOut();
    assert.equal(libvirt.calls.length, 1);
  });

  it("moves nobody whom it can't note", async () => {
    journal.write = () => {
      throw new LibvirtError("journal", "can't be written");
    };
    await carryOut();
    assert.equal(libvirt.calls.length, 0);
    assert.match(lines.join("\n"), /<3>action-failed: domain batch: .*can't be written/);
  });

  it("follows one that an earlier run began, and tells how it ended", async () => {
    for (const end of ["there", "here"] as const) {
      libvirt.state = "running";
      await carryOut();
      start();
      await migrations.settle();
      assert.equal(journal.contents.migrations[0]?.outcome, "seen");
      await carryOut();
      assert.equal(libvirt.calls.length, 1, "not asked again");
      libvirt.job = "none";
      if (end === "there") libvirt.state = "absent";
      nowMs += 1;
      await migrations.settle();
      assert.deepEqual(journal.contents.migrations, []);
      assert.deepEqual(refused(), end === "there" ? [] : ["rack2"]);
      libvirt.calls.length = 0;
    }
    assert.match(lines.join("\n"), /domain-stayed.*nobody waited/);
  });

  it("tells once how one ended, however many look", async () => {
    disk = JSON.stringify({ ...journal.contents, migrations: [{ ...ENTRY, outcome: "seen" }] });
    start();
    await Promise.all([migrations.settle(), migrations.settle(), carryOut()]);
    const told = lines.filter((line) => line.includes("domain-stayed"));
    assert.deepEqual([told.length, refused()], [1, ["rack2"]]);
  });

  it("asks again where nobody knows whether libvirt was asked, once it can't come any more", async () => {
    disk = JSON.stringify({ ...journal.contents, migrations: [ENTRY] });
    start();
    nowMs = NOW + 59_000;
    await migrations.settle();
    assert.equal(journal.contents.migrations.length, 1);
    nowMs = NOW + 60_000;
    await migrations.settle();
    assert.deepEqual([journal.contents.migrations, refused()], [[], []]);
  });

  it("forgets one past its time that libvirt never began, and blames nobody", async () => {
    disk = JSON.stringify({ ...journal.contents, migrations: [ENTRY] });
    start();
    nowMs = NOW + CONFIG.migration.timeoutMs + 60_000;
    await carryOut();
    assert.deepEqual([journal.contents.migrations, refused(), libvirt.aborts], [[], [], 0]);
  });

  it("keeps one that libvirt gave no answer to, and aborts it in time", async () => {
    await carryOut();
    const { answer } = libvirt;
    answer(new LibvirtError("domain batch", "bus gone", "backoff", { mayHappenYet: true }));
    libvirt.job = "migration";
    await settled();
    assert.equal(journal.contents.migrations.length, 1);
    nowMs += CONFIG.migration.timeoutMs;
    libvirt.answer = () => {
      libvirt.job = "none";
    };
    await carryOut();
    assert.equal(libvirt.aborts, 1);
    await carryOut();
    assert.deepEqual([journal.contents.migrations, refused()], [[], ["rack2"]]);
  });

  it("aborts all for a release", async () => {
    await carryOut();
    assert.deepEqual(await migrations.abortAll(), []);
    await settled();
    assert.deepEqual([libvirt.aborts, journal.contents.migrations], [1, []]);
  });
});
