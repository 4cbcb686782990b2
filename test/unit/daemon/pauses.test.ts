import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Journal, type JournalContents, type PauseEntry } from "../../../src/daemon/journal.ts";
import { Pauses } from "../../../src/daemon/pauses.ts";
import { Registry } from "../../../src/daemon/registry.ts";
import type { DomainDefinition } from "../../../src/model/domain.ts";
import { LibvirtError } from "../../../src/model/errors.ts";
import type { DomainAction, Plan, TeamCondition } from "../../../src/model/plan.ts";
import type { World } from "../../../src/model/world.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, MBIT, NOW } from "../world.ts";
import { FakeLibvirt, fakeLog, NOTHING_DONE } from "./fake.ts";

const UUID = "00000000-0000-4000-8000-000000000000";
const ENTRY: PauseEntry = {
  domain: "web1",
  uuid: UUID,
  sinceMs: NOW - 1000,
  reason: "eno1 lost",
  demandBitsPerSecond: {},
  outcome: "done",
};

describe("pauses", () => {
  let directory: string;
  let journal: Journal;
  let libvirt: FakeLibvirt;
  let registry: Registry;
  let pauses: Pauses;
  let lines: string[];
  let nowMs: number;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "uplinkd-pauses-"));
    nowMs = NOW;
    libvirt = new FakeLibvirt();
    libvirt.states.set(UUID, "running");
    start();
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  /** Another run of the daemon, with what the last one has left on disk. */
  function start(): void {
    const { log, lines: told } = fakeLog();
    lines = told;
    registry = new Registry(buildWorld({ uplinks: [{ name: "eno1" }] }).config, new Map());
    journal = Journal.open(join(directory, "journal.json"), "boot", () => assert.fail("damaged"));
    pauses = new Pauses({ journal, registry, libvirt, log, now: () => nowMs });
  }

  const onDisk = () =>
    (JSON.parse(readFileSync(join(directory, "journal.json"), "utf8")) as JournalContents).pauses;

  /** A directory in the place of the file to be: the disk takes nothing, for root neither. */
  const fillDisk = () => mkdirSync(join(directory, "journal.json.new"));
  const freeDisk = () => rmSync(join(directory, "journal.json.new"), { recursive: true });

  function carryOut(
    action: DomainAction,
    change: Partial<World["domains"][number]> = {},
    reason = "why",
    condition: TeamCondition = "ok",
  ) {
    const world = buildWorld({
      uplinks: [{ name: "eno1" }],
      domains: [{ name: "web1", vnics: [{ latched: 5 * MBIT }] }],
    });
    const domains = world.domains.map((domain) => ({
      ...domain,
      pausedByUs: journal.contents.pauses.find((entry) => entry.uuid === domain.uuid) ?? null,
      ...change,
    }));
    const plan: Plan = {
      ...planWorld(world),
      teams: planWorld(world).teams.map((team) => ({ ...team, condition })),
      domains: [{ domain: "web1", action, dueAtMs: NOW, migration: null, reasons: [reason] }],
    };
    return pauses.carryOut({ ...world, domains, nowMs }, plan);
  }

  it("writes the intent before the act and the outcome after it", async () => {
    let during: readonly PauseEntry[] = [];
    libvirt.during = () => {
      during = onDisk();
    };
    assert.equal(await carryOut("pause"), true);
    assert.deepEqual(libvirt.calls, [`suspend ${UUID}`]);
    assert.equal(during[0]?.outcome, "intended");
    assert.equal(onDisk()[0]?.outcome, "done");
    assert.deepEqual(onDisk()[0]?.demandBitsPerSecond, { "52:54:00:00:00:00": 5 * MBIT });
    assert.match(lines.join("\n"), /<4>domain-paused: domain web1 paused: why/);
  });

  it("pauses nobody that it can't note, and says why", async () => {
    fillDisk();
    assert.equal(await carryOut("pause"), false);
    assert.deepEqual(libvirt.calls, []);
    assert.match(lines.join("\n"), /<3>action-failed: domain web1: .*can't be written/);
    freeDisk();
    nowMs += 10_001;
    assert.equal(await carryOut("pause"), true, "tried again once there may be room");
  });

  it("pauses nobody whom an operator takes while libvirt is asked", async () => {
    const paused = carryOut("pause");
    journal.write({ holds: ["web1"] });
    assert.equal(await paused, false);
    assert.deepEqual([libvirt.calls, journal.contents.pauses], [[], []]);
  });

  it("doesn't take over a domain that somebody else has paused", async () => {
    libvirt.states.set(UUID, "paused");
    assert.equal(await carryOut("pause"), false);
    assert.deepEqual([libvirt.calls, journal.contents.pauses], [[], []]);
  });

  it("acts only when it is due, and asks once at a time", async () => {
    nowMs = NOW - 1;
    assert.equal(await carryOut("pause"), false);
    nowMs = NOW;
    const both = await Promise.all([carryOut("pause"), carryOut("pause")]);
    assert.deepEqual(both, [true, false]);
    assert.equal(libvirt.calls.length, 1);
  });

  it("waits before it asks again after a refusal, and forgets the intent", async () => {
    libvirt.failures.set("suspend", 1);
    assert.equal(await carryOut("pause"), false);
    assert.deepEqual(onDisk(), []);
    assert.equal(await carryOut("pause"), false, "too soon");
    assert.equal(libvirt.calls.length, 1);
    nowMs += 10_001;
    assert.equal(await carryOut("pause"), true);
  });

  it("believes the domain's state rather than an error: a call that timed out may have paused it", async () => {
    libvirt.failures.set("suspend", 1);
    libvirt.during = () => libvirt.states.set(UUID, "paused");
    assert.equal(await carryOut("pause"), true);
    assert.equal(onDisk()[0]?.outcome, "done");
  });

  it("doesn't forget a pause that libvirt gave no answer to, and that may come yet", async () => {
    libvirt.suspend = async () => {
      throw new LibvirtError("domain web1", "no answer", "backoff", { mayHappenYet: true });
    };
    assert.equal(await carryOut("pause"), false);
    assert.equal(onDisk()[0]?.outcome, "intended");
    await pauses.settle();
    assert.equal(await carryOut("resume"), false, "it may be paused a moment later");
    assert.equal(onDisk().length, 1);
    libvirt.states.set(UUID, "paused");
    nowMs += 20_000;
    assert.equal(await carryOut("resume"), true);
    assert.deepEqual([libvirt.states.get(UUID), onDisk()], ["running", []]);
  });

  it("resumes what it paused, and tries again when libvirt refuses", async () => {
    await carryOut("pause");
    libvirt.failures.set("resume", 1);
    assert.equal(await carryOut("resume"), false);
    assert.equal(onDisk().length, 1, "still ours");
    nowMs += 10_001;
    assert.equal(await carryOut("resume"), true);
    assert.deepEqual([libvirt.states.get(UUID), onDisk()], ["running", []]);
  });

  it("leaves a domain to the person who has resumed it", async () => {
    await carryOut("pause");
    libvirt.states.set(UUID, "running");
    assert.equal(await pauses.noteResumed(UUID), true);
    assert.deepEqual(journal.contents.pauses, []);
    assert.match(lines.join("\n"), /domain-taken-over: domain web1 was resumed by somebody else/);
    assert.equal(await pauses.noteResumed(UUID), false);
    assert.equal(lines.filter((line) => line.includes("taken-over")).length, 1);
  });

  it("leaves it to who was quicker with the resume, too", async () => {
    await carryOut("pause");
    libvirt.states.set(UUID, "running");
    assert.equal(await carryOut("resume", {}, "it fits again", "degraded"), true);
    assert.match(lines.join("\n"), /domain-taken-over: domain web1 was resumed by somebody else/);
    assert.deepEqual(
      journal.contents.exemptions.map(({ uuid }) => uuid),
      [UUID],
    );
  });

  it("doesn't take a resume of its own that came late for a person's", async () => {
    await carryOut("pause");
    const { resume } = libvirt;
    libvirt.resume = async () => {
      throw new LibvirtError("domain web1", "no answer", "backoff", { mayHappenYet: true });
    };
    assert.equal(await carryOut("resume", {}, "it fits again", "degraded"), false);
    libvirt.resume = resume;
    libvirt.states.set(UUID, "running");
    nowMs += 10_001;
    assert.equal(await carryOut("resume", {}, "it fits again", "degraded"), true);
    assert.doesNotMatch(lines.join("\n"), /taken-over/);
    assert.deepEqual(journal.contents.exemptions, []);
  });

  it("doesn't take its own resume for a person's", async () => {
    await carryOut("pause");
    let noted: Promise<boolean> | undefined;
    libvirt.during = () => {
      noted ??= pauses.noteResumed(UUID);
    };
    assert.equal(await carryOut("resume"), true);
    assert.equal(await noted, false);
    assert.doesNotMatch(lines.join("\n"), /taken-over/);
  });

  it("keeps a domain as its own that it has paused again when the news of its resume comes", async () => {
    await carryOut("pause");
    await carryOut("resume");
    await carryOut("pause");
    assert.equal(await pauses.noteResumed(UUID), false);
    assert.equal(onDisk()[0]?.outcome, "done");
    assert.doesNotMatch(lines.join("\n"), /taken-over/);
  });

  it("leaves it to the person who has resumed it and paused it again", async () => {
    await carryOut("pause");
    assert.equal(await pauses.noteResumed(UUID), true);
    assert.deepEqual([libvirt.states.get(UUID), onDisk()], ["paused", []]);
  });

  for (const [state, left, said] of [
    ["paused", [{ ...ENTRY, sinceMs: NOW - 61_000, outcome: "done" }], /pause-adopted/],
    ["running", [], /^$/],
    ["absent", [], /^$/],
  ] as const) {
    it(`settles a crash between intent and act by looking: the domain is ${state}`, async () => {
      journal.write({ pauses: [{ ...ENTRY, sinceMs: NOW - 61_000, outcome: "intended" }] });
      libvirt.states.set(UUID, state);
      start();
      await pauses.settle();
      assert.deepEqual(onDisk(), left);
      assert.match(lines.join("\n"), said);
    });
  }

  it("finds after a restart that a person resumed it meanwhile", async () => {
    journal.write({ pauses: [ENTRY] });
    start();
    await pauses.settle();
    assert.deepEqual(onDisk(), []);
    assert.match(lines.join("\n"), /domain-taken-over: .*while uplinkd was away/);
  });

  it("keeps the journal while libvirt can't be asked", async () => {
    journal.write({ pauses: [ENTRY] });
    libvirt.failures.set("stateOf", 1);
    await assert.rejects(pauses.settle(), /no answer/);
    assert.equal(onDisk().length, 1);
  });

  it("resumes all for a release, and says whom it could not", async () => {
    const other = { ...ENTRY, domain: "web2", uuid: "u2" };
    journal.write({ pauses: [ENTRY, other] });
    libvirt.states.set(UUID, "paused").set("u2", "paused");
    libvirt.failures.set("resume", 1);
    const failed = await pauses.resumeAll();
    assert.deepEqual(
      failed.map(({ object }) => object),
      [`domain ${UUID}`],
    );
    assert.deepEqual(onDisk(), [ENTRY]);
    assert.equal(libvirt.states.get("u2"), "running");
  });

  it("doesn't pause again what was paused as long as allowed, also after a restart, until the team is whole", async () => {
    const exemptions = () =>
      registry.put(definition("web1", UUID), "running") && registry.list(NOTHING_DONE)[0]?.exempt;
    await carryOut("pause");
    await carryOut("resume", {}, "paused for 10m, the longest pause allowed");
    start();
    assert.equal(exemptions(), "it was paused as long as allowed");
    await carryOut("none", {}, "", "degraded");
    assert.equal(exemptions(), "it was paused as long as allowed");
    await carryOut("none");
    start();
    assert.equal(exemptions(), null);
  });

  it("resumes the highest priority first and pauses the lowest first", async () => {
    const priorities = ["low", "critical", "normal"] as const;
    const world = buildWorld({
      uplinks: [{ name: "eno1" }],
      domains: priorities.map((priority) => ({ name: priority, vnics: [{ priority }] })),
    });
    const wish = (action: DomainAction) => ({
      ...planWorld(world),
      domains: priorities.map((domain) => ({
        ...{ domain, action, dueAtMs: NOW, migration: null, reasons: [] },
      })),
    });
    for (const { uuid } of world.domains) libvirt.states.set(uuid, "running");
    const names = new Map(world.domains.map((domain) => [domain.uuid, domain.name]));
    const called = () => libvirt.calls.splice(0).map((call) => names.get(call.split(" ")[1] ?? ""));
    await pauses.carryOut(world, wish("pause"));
    assert.deepEqual(called(), ["low", "normal", "critical"]);
    const paused = world.domains.map((domain) => ({
      ...domain,
      phase: "paused" as const,
      pausedByUs: journal.contents.pauses.find(({ uuid }) => uuid === domain.uuid) ?? null,
    }));
    await pauses.carryOut({ ...world, domains: paused }, wish("resume"));
    assert.deepEqual(called(), ["critical", "normal", "low"]);
  });

  it("forgets a domain that has ended", async () => {
    await carryOut("pause");
    pauses.noteStopped(UUID);
    assert.deepEqual(onDisk(), []);
  });
});

function definition(name: string, uuid: string): DomainDefinition {
  return { name, uuid, vnics: [], annotation: null, owner: null, problems: [] };
}
