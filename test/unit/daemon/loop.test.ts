import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Journal } from "../../../src/daemon/journal.ts";
import { ControlLoop } from "../../../src/daemon/loop.ts";
import { Registry } from "../../../src/daemon/registry.ts";
import type { DomainDefinition } from "../../../src/model/domain.ts";
import { kernelKey } from "../../../src/model/kernel.ts";
import { type PathState, probeBlock } from "../../../src/model/probe.ts";
import { buildConfig } from "../../../src/policy/config.ts";
import { loadAll } from "../../../src/policy/load.ts";
import { macOf, NOW } from "../world.ts";
import { FakeKernel, fakeLog } from "./fake.ts";

describe("the control loop", () => {
  let directory: string;
  let kernel: FakeKernel;
  let journal: Journal;
  let registry: Registry;
  let lines: string[];
  let complete: boolean;
  let paths: Map<string, PathState>;
  let loop: ControlLoop;
  let nowMs: number;
  /** What was said of the journal when it was opened. */
  let damaged: string | null;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "uplinkd-loop-"));
    kernel = new FakeKernel();
    complete = true;
    paths = new Map();
    nowMs = NOW;
    start();
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  /** Another run of the daemon over the same kernel and the same disk. */
  function start(): void {
    const loaded = loadAll(join(directory, "no-such-directory"));
    damaged = null;
    journal = Journal.open(join(directory, "journal.json"), "boot", ({ message }) => {
      damaged = message;
    });
    registry = new Registry(loaded.config, loaded.policies);
    const { log, lines: told } = fakeLog();
    lines = told;
    loop = new ControlLoop({
      kernel,
      journal,
      registry,
      log,
      now: () => nowMs,
      loaded,
      observeOnly: false,
      domainsComplete: () => complete,
      probes: {
        get paths() {
          return paths;
        },
        block: probeBlock("host"),
      },
      suspect: (device) => `NetworkManager (it has ${device})`,
    });
  }

  const domain = (number: number): DomainDefinition => ({
    name: `vm${number}`,
    uuid: `uuid${number}`,
    vnics: [
      {
        mac: macOf(number),
        attachment: { kind: "bridge", bridge: "br0" },
        vlanIds: [0],
        tap: null,
        libvirtLimitBitsPerSecond: null,
        hasLibvirtBandwidth: false,
      },
    ],
    annotation: null,
    owner: null,
    problems: [],
  });

  const lastApplied = () => kernel.applied.at(-1) ?? [];

  it("treats a dead path behind a live link as a lost uplink, once probes are configured", async () => {
    registry.put(domain(1), "running");
    const dead = { healthy: false, reason: "no answer by it from 192.0.2.1, which eno2 has" };
    paths = new Map([["eno1", dead]]);
    const unprobed = await loop.run();
    assert.equal(unprobed.plan.teams[0]?.condition, "ok");
    const config = buildConfig([
      { teams: [{ bond: "bond0", probes: { targets: ["192.0.2.1"] } }] },
    ]);
    loop.reload({ config, policies: new Map(), files: [], texts: [], policyFiles: new Map() });
    const { plan, world } = await loop.run();
    assert.equal(plan.teams[0]?.condition, "degraded");
    assert.equal(plan.vnics[0]?.via, "eno2");
    assert.deepEqual(plan.kernel.get("active-port bond0"), {
      kind: "active-port",
      bond: "bond0",
      port: "eno2",
    });
    assert.ok(lastApplied().includes("add probe-guard eno1 to"));
    assert.equal(world.teams[0]?.uplinks[0]?.lostAtMs, NOW);
    assert.ok(
      lines.some((line) =>
        line.includes(`uplink eno1 lost: link up, but its path is dead: ${dead.reason}`),
      ),
    );
    paths = new Map();
    await loop.run();
    assert.ok(lines.some((line) => line.includes("uplink eno1 returned: its path works again")));
  });

  it("makes the kernel what the plan says, and then has nothing to do", async () => {
    registry.put(domain(1), "running");
    await loop.run();
    assert.ok(lastApplied().includes("add class eno1 7570:10"));
    assert.deepEqual(loop.drift, []);
    await loop.run();
    assert.equal(kernel.applied.length, 1);
    assert.ok((kernel.armed.get("eno1")?.length ?? 0) > 0, "the loss of eno1 is prepared");
  });

  it("saves what has no owner's mark before it changes it, once", async () => {
    await loop.run();
    const kinds = journal.contents.before.map((object) => object.kind);
    assert.deepEqual(kinds.toSorted(), ["port-queue", "port-queue", "promiscuity", "promiscuity"]);
    const { before } = journal.contents;
    kernel.objects.delete("promiscuity eno1");
    await loop.run();
    assert.deepEqual(journal.contents.before, before);
    assert.deepEqual(journal.contents.clsactCreated.toSorted(), ["bond0", "eno1", "eno2"]);
  });

  it("changes nothing that it can't save, says so once, and goes on when there is room", async () => {
    mkdirSync(join(directory, "journal.json.new"));
    await loop.run();
    await loop.run();
    assert.deepEqual(kernel.applied, []);
    assert.equal(lines.filter((line) => line.startsWith("<3>state-unwritable")).length, 1);
    assert.match(loop.drift[0]?.message ?? "", /can't be written/);
    rmSync(join(directory, "journal.json.new"), { recursive: true });
    await loop.run();
    assert.deepEqual([kernel.applied.length, loop.drift], [1, []]);
  });

  it("makes one run of all that is asked during a run, and that one sees what they asked about", async () => {
    let release = () => {};
    kernel.hold = new Promise((resolve) => {
      release = resolve;
    });
    const first = loop.run();
    registry.put(domain(1), "running");
    const later = [loop.run(), loop.run(), loop.run()];
    release();
    assert.equal((await first).world.domains.length, 0);
    const runs = await Promise.all(later);
    assert.equal(runs[0]?.world.domains.length, 1);
    assert.ok(runs.every((run) => run === runs[0]));
    assert.equal(kernel.reads, 2);
  });

  it("undoes what somebody else has changed, and names it", async () => {
    registry.put(domain(1), "running");
    await loop.run();
    kernel.objects.delete("class eno2 7570:10");
    await loop.run();
    assert.deepEqual(lastApplied(), ["add class eno2 7570:10"]);
    const told = lines.filter((line) => line.includes("drift-mended"));
    assert.equal(told.length, 1);
    assert.match(told[0] ?? "", /^<4>.*class eno2 7570:10 was gone/);
  });

  it("keeps a vNIC's own frames from coming back by an uplink that it can't shape", async () => {
    registry.put(domain(1), "running");
    const foreign = { device: "eno1", message: "not ours", remedy: "look", blocking: true };
    kernel.conflicts = [{ ...foreign, found: "root qdisc fq 1:" }];
    await loop.run();
    assert.ok(lastApplied().includes(`add reflection eno1 ${macOf(1)}`));
    assert.ok(!lastApplied().some((step) => /(htb|redirect|promiscuity) eno1/.test(step)));
    assert.deepEqual(loop.drift, []);
    kernel.conflicts = [{ ...foreign, found: "qdisc ingress" }];
    await loop.run();
    assert.ok(
      lastApplied().includes(`delete reflection eno1 ${macOf(1)}`),
      "there is no clsact then",
    );
  });

  it("doesn't call its own changes somebody else's", async () => {
    registry.put(domain(1), "running");
    await loop.run();
    registry.put(domain(2), "running");
    await loop.run();
    registry.remove("uuid1");
    await loop.run();
    kernel.objects.delete("class eno2 7570:11");
    loop.noteReaction(0);
    await loop.run();
    assert.doesNotMatch(lines.join("\n"), /drift-mended/);
  });

  it("spares after a restart what no domain has claimed yet, until libvirt has told of all", async () => {
    registry.put(domain(1), "running");
    registry.put(domain(2), "running");
    await loop.run();
    const before = kernel.applied.length;
    complete = false;
    start();
    await loop.run();
    assert.equal(kernel.applied.length, before, "nothing is touched");
    registry.put(domain(2), "running");
    await loop.run();
    assert.equal(kernel.applied.length, before, "the one that is known has what it had");
    complete = true;
    await loop.run();
    assert.ok(lastApplied().includes(`delete vnic bond0 ${macOf(1)}`));
    assert.ok(!lastApplied().some((step) => step.includes(macOf(2))));
    assert.doesNotMatch(lines.join("\n"), /drift-mended/);
  });

  it("takes away what an ended domain left that it never knew", async () => {
    registry.put(domain(1), "running");
    registry.put(domain(2), "running");
    await loop.run();
    complete = false;
    start();
    await loop.run();
    loop.disown([macOf(1)]);
    await loop.run();
    assert.ok(lastApplied().includes(`delete vnic bond0 ${macOf(1)}`));
    assert.ok(!lastApplied().some((step) => step.includes(macOf(2))));
  });

  it("releases, stays out, also after a restart, and comes back when enabled", async () => {
    registry.put(domain(1), "running");
    kernel.sharedHooks = ["eno2"];
    await loop.run();
    const { steps, refused } = await loop.release();
    assert.deepEqual(refused, []);
    const keys = [...kernel.objects.keys()];
    assert.deepEqual(
      keys.filter((key) => /^(htb|class|vnic|catch-all)/.test(key)),
      [],
    );
    assert.ok(keys.includes("clsact eno2"), "others' filters are in it");
    assert.ok(steps.length > 0);
    await loop.run();
    start();
    registry.put(domain(1), "running");
    await loop.run();
    assert.equal(loop.mode, "released");
    assert.equal(kernel.objects.has("htb eno1"), false);
    await loop.enable();
    assert.equal(loop.mode, "enforcing");
    assert.ok(kernel.objects.has("class eno1 7570:10"));
  });

  it("observes: takes all away, and goes on telling what it would do, also after a restart", async () => {
    registry.put(domain(1), "running");
    await loop.run();
    await loop.release("observing");
    start();
    registry.put(domain(1), "running");
    const { steps } = await loop.run();
    assert.equal(loop.mode, "observing");
    assert.ok(steps.length > 0);
    assert.equal(kernel.objects.has("htb eno1"), false);
    await loop.enable();
    assert.equal(loop.mode, "enforcing");
    assert.ok(kernel.objects.has("class eno1 7570:10"));
  });

  for (const then of ["enable", "release"] as const) {
    it(`leaves all as it is after a damaged journal, and ${then} knows how the host was, all the same`, async () => {
      registry.put(domain(1), "running");
      await loop.run();
      const before = [...kernel.objects].map(([key, object]) => [key, { ...object }]);
      writeFileSync(join(directory, "journal.json"), "{");
      start();
      registry.put(domain(1), "running");
      registry.put(domain(2), "running");
      assert.match(damaged ?? "", /is damaged/);
      assert.ok((await loop.run()).steps.length > 0);
      assert.equal(loop.mode, "observing");
      assert.deepEqual([...kernel.objects], before, "nothing is changed, nothing taken away");
      if (then === "enable") {
        await loop.enable();
        assert.ok(kernel.objects.has(`vnic bond0 ${macOf(2)}`));
        assert.equal(journal.contents.lost, null);
      }
      const { refused } = await loop.release();
      assert.deepEqual(refused, []);
      assert.equal(journal.contents.lost, null);
      for (const [key, object] of kernel.objects) {
        if (object.kind === "port-queue") assert.equal(object.queueId, 0, key);
        else if (object.kind === "promiscuity") assert.equal(object.on, false, key);
        else assert.match(key, /^(bond-option|active-port)/);
      }
    });
  }

  it("enables one domain as a canary: the others have no class, also after a restart, until all are enabled", async () => {
    const classes = () =>
      [...kernel.objects.keys()].filter((key) => /^class eno1 7570:1./.test(key));
    await loop.release("observing");
    registry.put(domain(1), "running");
    registry.put(domain(2), "running");
    await loop.enable({ kind: "domain", domain: "vm2", teams: ["bond0"] });
    assert.deepEqual(classes(), ["class eno1 7570:10"]);
    assert.ok(kernel.objects.has(`vnic bond0 ${macOf(2)}`));
    assert.ok(!kernel.objects.has(`vnic bond0 ${macOf(1)}`));
    assert.match(loop.last?.world.domains[0]?.vnics[0]?.unshapedReason ?? "", /only domain vm2 is/);
    const before = kernel.applied.length;
    start();
    registry.put(domain(1), "running");
    await loop.run();
    assert.ok(kernel.objects.has("htb eno1"), "a canary that doesn't run leaves its team managed");
    registry.put(domain(2), "running");
    await loop.run();
    assert.ok(kernel.objects.has(`vnic bond0 ${macOf(2)}`));
    assert.ok(
      !kernel.applied
        .slice(before)
        .flat()
        .some((step) => step.includes("htb")),
    );
    await loop.enable();
    assert.deepEqual(classes(), ["class eno1 7570:10", "class eno1 7570:11"]);
  });

  it("enables one team: another is barred and has nothing in the kernel", async () => {
    await loop.enable({ kind: "team", team: "bond7" });
    assert.equal(loop.last?.plan.teams[0]?.condition, "barred");
    assert.equal(kernel.objects.size, 0);
    await loop.enable({ kind: "team", team: "bond0" });
    assert.equal(loop.last?.plan.teams[0]?.condition, "ok");
    assert.ok(kernel.objects.has("htb eno1"));
  });

  it("releases only after the runs that were already asked for", async () => {
    let release = () => {};
    kernel.hold = new Promise((resolve) => {
      release = resolve;
    });
    const runs = [loop.run(), loop.run()];
    const released = loop.release();
    release();
    await Promise.all([...runs, released]);
    assert.equal(kernel.objects.has("htb eno1"), false);
  });

  it("keeps what an enable saves that is asked for in the middle of a release", async () => {
    registry.put(domain(1), "running");
    await loop.run();
    let go = () => {};
    kernel.hold = new Promise((resolve) => {
      go = resolve;
    });
    const released = loop.release();
    const enabled = loop.enable();
    go();
    await Promise.all([released, enabled]);
    assert.equal(loop.mode, "enforcing");
    assert.ok(kernel.objects.has("class eno1 7570:10"));
    const saved = journal.contents.before.map((object) => kernelKey(object));
    assert.ok(saved.includes("port-queue eno1"), `${saved.join()}: the next release needs it`);
    assert.ok(journal.contents.clsactCreated.includes("bond0"));
  });

  it("leaves what somebody changes again and again, says who it may be, and tries again later", async () => {
    registry.put(domain(1), "running");
    await loop.run();
    const key = "class eno2 7570:10";
    const attack = async () => {
      nowMs += 1000;
      kernel.objects.delete(key);
      await loop.run();
    };
    for (let count = 0; count < 4; count += 1) await attack();
    assert.deepEqual(loop.contests, []);
    assert.ok(kernel.objects.has(key));
    await attack();
    assert.equal(kernel.objects.has(key), false, "the fifth time within a minute it is left");
    assert.match(lines.at(-1) ?? "", /^<3>contest: class eno2 7570:10 .*5 times.*NetworkManager/);
    assert.deepEqual(
      loop.contests.map(({ object, times }) => [object, times]),
      [[key, 5]],
    );
    assert.equal(loop.nextTryAtMs, nowMs + 30_000);
    const told = lines.length;
    await loop.run();
    assert.equal(lines.length, told, "said once");
    // What has nothing to do with it is mended as ever.
    kernel.objects.delete("class eno1 7570:10");
    await loop.run();
    assert.ok(kernel.objects.has("class eno1 7570:10"));

    nowMs += 30_000;
    await loop.run();
    assert.ok(kernel.objects.has(key), "tried again");
    await attack();
    assert.equal(loop.nextTryAtMs, nowMs + 60_000, "the pause doubles");
    nowMs += 60_000;
    await loop.run();
    assert.ok(kernel.objects.has(key));
    nowMs += 121_000;
    await loop.run();
    assert.deepEqual(loop.contests, [], "over");
    assert.ok(lines.some((line) => line.includes("contest-over")));
  });

  it("writes what it wants anew although somebody else changes it again and again", async () => {
    registry.put(domain(1), "running");
    await loop.run();
    const key = "class eno2 7570:10";
    for (let count = 0; count < 5; count += 1) {
      kernel.objects.delete(key);
      await loop.run();
    }
    assert.equal(kernel.objects.has(key), false);
    kernel.links = kernel.links.map((link) =>
      link.name === "eno2" ? { ...link, speedBitsPerSecond: 1e9 } : link,
    );
    await loop.run();
    assert.ok(kernel.objects.has(key), "its limit is another one now");
  });

  it("doesn't count what goes with its qdisc as a change of its own", async () => {
    registry.put(domain(1), "running");
    await loop.run();
    for (let count = 0; count < 5; count += 1) {
      for (const name of [...kernel.objects.keys()])
        if (/^(htb|class|leaf) eno2/.test(name)) kernel.objects.delete(name);
      await loop.run();
    }
    assert.deepEqual(
      loop.contests.map(({ object }) => object),
      ["htb eno2"],
    );
    assert.equal(kernel.objects.has("class eno2 7570:10"), false, "nothing that can't stand");
    assert.ok(kernel.objects.has("class eno1 7570:10"));
  });
});
