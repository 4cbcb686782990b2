import assert from "node:assert/strict";
import type { ControlLoop } from "../../../src/daemon/loop.ts";
import type { Registry } from "../../../src/daemon/registry.ts";
import type { FakeKernel } from "./fake.ts";
import { domain, LoopHost } from "./loop-host.ts";

describe("the control loop against somebody else who changes the same", () => {
  let host: LoopHost;
  let kernel: FakeKernel;
  let loop: ControlLoop;
  let registry: Registry;
  let lines: string[];

  beforeEach(() => {
    host = new LoopHost();
    kernel = host.kernel;
    ({ loop, registry, lines } = host.start());
  });
  afterEach(() => host.remove());

  it("leaves what somebody changes again and again, says who it may be, and tries again later", async () => {
    registry.put(domain(1), "running");
    await loop.run();
    const key = "class eno2 7570:10";
    const attack = async () => {
      host.nowMs += 1000;
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
    assert.equal(loop.nextTryAtMs, host.nowMs + 30_000);
    const told = lines.length;
    await loop.run();
    assert.equal(lines.length, told, "said once");
    // What has nothing to do with it is mended as ever.
    kernel.objects.delete("class eno1 7570:10");
    await loop.run();
    assert.ok(kernel.objects.has("class eno1 7570:10"));

    host.nowMs += 30_000;
    await loop.run();
    assert.ok(kernel.objects.has(key), "tried again");
    await attack();
    assert.equal(loop.nextTryAtMs, host.nowMs + 60_000, "the pause doubles");
    host.nowMs += 60_000;
    await loop.run();
    assert.ok(kernel.objects.has(key));
    host.nowMs += 121_000;
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
