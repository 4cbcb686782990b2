import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Journal } from "../../../src/daemon/journal.ts";
import type { ControlLoop } from "../../../src/daemon/loop.ts";
import type { Registry } from "../../../src/daemon/registry.ts";
import { kernelKey } from "../../../src/model/kernel.ts";
import { macOf } from "../world.ts";
import type { FakeKernel } from "./fake.ts";
import { domain, LoopHost } from "./loop-host.ts";

describe("the control loop, released, observing or for a canary", () => {
  let host: LoopHost;
  let kernel: FakeKernel;
  let loop: ControlLoop;
  let journal: Journal;
  let registry: Registry;
  let complaints: string[];

  beforeEach(() => {
    host = new LoopHost();
    kernel = host.kernel;
    start();
  });
  afterEach(() => host.remove());

  /** Another run of the daemon over the same kernel and the same disk. */
  function start(): void {
    ({ loop, journal, registry, complaints } = host.start());
  }

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
      writeFileSync(join(host.directory, "journal.json"), "{");
      start();
      registry.put(domain(1), "running");
      registry.put(domain(2), "running");
      assert.match(complaints.join(), /is damaged/);
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
});
