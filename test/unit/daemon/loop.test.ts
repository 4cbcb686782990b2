import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Journal } from "../../../src/daemon/journal.ts";
import type { ControlLoop, Run } from "../../../src/daemon/loop.ts";
import type { Registry } from "../../../src/daemon/registry.ts";
import { diffKernel } from "../../../src/diff/diff.ts";
import { kernelKey } from "../../../src/model/kernel.ts";
import type { LinkState } from "../../../src/model/link.ts";
import type { VnicPlan } from "../../../src/model/plan.ts";
import { buildConfig } from "../../../src/policy/config.ts";
import { macOf, NOW } from "../world.ts";
import type { FakeKernel } from "./fake.ts";
import { domain, LoopHost } from "./loop-host.ts";

type Port = NonNullable<LinkState["port"]>;

describe("the control loop", () => {
  let host: LoopHost;
  let kernel: FakeKernel;
  let loop: ControlLoop;
  let journal: Journal;
  let registry: Registry;
  let lines: string[];

  beforeEach(() => {
    host = new LoopHost();
    kernel = host.kernel;
    start();
  });
  afterEach(() => host.remove());

  /** Another run of the daemon over the same kernel and the same disk. */
  function start(): void {
    ({ loop, journal, registry, lines } = host.start());
  }

  it("treats a dead path behind a live link as a lost uplink, once probes are configured", async () => {
    registry.put(domain(1), "running");
    const dead = { healthy: false, reason: "no answer by it from 192.0.2.1, which eno2 has" };
    host.paths = new Map([["eno1", dead]]);
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
    assert.ok(host.lastApplied().includes("add probe-guard eno1 to"));
    assert.equal(world.teams[0]?.uplinks[0]?.lostAtMs, NOW);
    assert.ok(
      lines.some((line) =>
        line.includes(`uplink eno1 lost: link up, but its path is dead: ${dead.reason}`),
      ),
    );
    host.paths = new Map();
    await loop.run();
    assert.ok(lines.some((line) => line.includes("uplink eno1 returned: its path works again")));
  });

  it("makes the kernel what the plan says, and then has nothing to do", async () => {
    registry.put(domain(1), "running");
    await loop.run();
    assert.ok(host.lastApplied().includes("add class eno1 7570:10"));
    assert.deepEqual(loop.drift, []);
    await loop.run();
    assert.equal(kernel.applied.length, 1);
    assert.ok((kernel.armed.get("eno1")?.length ?? 0) > 0, "the loss of eno1 is prepared");
  });

  it("has ready what its plan says of each loss, also where only what vNICs send has changed", async () => {
    const third = { name: "eno3", ifindex: 4, carrierDowns: 0 };
    const eno2 = kernel.links.find(({ name }) => name === "eno2") as LinkState;
    kernel.links.push({ ...eno2, ...third, port: { ...(eno2.port as Port), queueId: 3 } });
    for (const number of [1, 2, 3]) registry.put(domain(number), "running");
    const idle = await loop.run();
    const [first] = idle.plan.vnics;
    const target = (run: Run): string | null | undefined =>
      run.losses.find(({ uplink }) => uplink === first?.home)?.plan.vnics[0]?.via;
    const busy = idle.plan.vnics.find(({ home }) => home === target(idle)) as VnicPlan;
    for (const sentBytes of [0n, 500_000_000n]) {
      host.nowMs += 1000;
      const idleCounter = { sentPackets: 0n, drops: 0, backlogBytes: 0, queuedPackets: 0 };
      const { minor, home: device } = busy;
      kernel.counters = [{ ...idleCounter, device: device as string, minor, sentBytes }];
      loop.sample();
    }
    const loaded = await loop.run();
    assert.equal(loaded.plan.kernel, idle.plan.kernel, "nothing else has changed");
    assert.notEqual(target(loaded), target(idle));
    for (const { uplink, plan } of loaded.losses)
      assert.deepEqual(kernel.armed.get(uplink), diffKernel(loaded.plan.kernel, plan.kernel));
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
    mkdirSync(join(host.directory, "journal.json.new"));
    await loop.run();
    await loop.run();
    assert.deepEqual(kernel.applied, []);
    assert.equal(lines.filter((line) => line.startsWith("<3>state-unwritable")).length, 1);
    assert.match(loop.drift[0]?.message ?? "", /can't be written/);
    rmSync(join(host.directory, "journal.json.new"), { recursive: true });
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
    // Two runs, each before its steps and after them.
    assert.equal(kernel.reads, 4);
  });

  it("undoes what somebody else has changed, and names it", async () => {
    registry.put(domain(1), "running");
    await loop.run();
    kernel.objects.delete("class eno2 7570:10");
    await loop.run();
    assert.deepEqual(host.lastApplied(), ["add class eno2 7570:10"]);
    const told = lines.filter((line) => line.includes("drift-mended"));
    assert.equal(told.length, 1);
    assert.match(told[0] ?? "", /^<4>.*class eno2 7570:10 was gone/);
  });

  it("says of what couldn't be mended when it differs no more", async () => {
    registry.put(domain(1), "running");
    const key = "class eno2 7570:10";
    const apply = kernel.apply.bind(kernel);
    kernel.apply = (steps) => apply(steps.filter(({ object }) => kernelKey(object) !== key));
    await loop.run();
    const told = () => lines.filter((line) => line.includes(`${key} `));
    assert.match(told().join("\n"), /^<4>drift: .*differs from the plan/);
    kernel.apply = apply;
    for (const waitedMs of [61_000, 10_000]) {
      host.nowMs += waitedMs;
      await loop.run();
    }
    assert.equal(told().length, 2);
    assert.match(told()[1] ?? "", /^<5>drift-over: .*is as planned again, after 61s/);
  });

  it("keeps a vNIC's own frames from coming back by an uplink that it can't shape", async () => {
    registry.put(domain(1), "running");
    const foreign = { device: "eno1", message: "not ours", remedy: "look", blocking: true };
    kernel.conflicts = [{ ...foreign, found: "root qdisc fq 1:" }];
    await loop.run();
    assert.ok(host.lastApplied().includes(`add reflection eno1 ${macOf(1)}`));
    assert.ok(!host.lastApplied().some((step) => /(htb|redirect|promiscuity) eno1/.test(step)));
    assert.deepEqual(loop.drift, []);
    kernel.conflicts = [{ ...foreign, found: "qdisc ingress" }];
    await loop.run();
    assert.ok(
      host.lastApplied().includes(`delete reflection eno1 ${macOf(1)}`),
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

  it("knows a prepared plan for its own before it hears that it was sent", async () => {
    registry.put(domain(1), "running");
    await loop.run();
    kernel.sent += 1;
    kernel.objects.delete("class eno2 7570:10");
    await loop.run();
    assert.doesNotMatch(lines.join("\n"), /drift-mended/);
    kernel.objects.delete("class eno2 7570:10");
    await loop.run();
    assert.match(lines.join("\n"), /drift-mended/);
  });

  it("spares after a restart what no domain has claimed yet, until libvirt has told of all", async () => {
    registry.put(domain(1), "running");
    registry.put(domain(2), "running");
    await loop.run();
    const before = kernel.applied.length;
    host.complete = false;
    start();
    await loop.run();
    assert.equal(kernel.applied.length, before, "nothing is touched");
    registry.put(domain(2), "running");
    await loop.run();
    assert.equal(kernel.applied.length, before, "the one that is known has what it had");
    host.complete = true;
    await loop.run();
    assert.ok(host.lastApplied().includes(`delete vnic bond0 ${macOf(1)}`));
    assert.ok(!host.lastApplied().some((step) => step.includes(macOf(2))));
    assert.doesNotMatch(lines.join("\n"), /drift-mended/);
  });

  it("takes away what an ended domain left that it never knew", async () => {
    registry.put(domain(1), "running");
    registry.put(domain(2), "running");
    await loop.run();
    host.complete = false;
    start();
    await loop.run();
    loop.disown([macOf(1)]);
    await loop.run();
    assert.ok(host.lastApplied().includes(`delete vnic bond0 ${macOf(1)}`));
    assert.ok(!host.lastApplied().some((step) => step.includes(macOf(2))));
  });
});
