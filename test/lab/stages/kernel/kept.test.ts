import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { LinuxKernel } from "../../../../src/daemon/linux-kernel.ts";
import type { KernelSnapshot, Reading } from "../../../../src/daemon/ports.ts";
import { resetToBare } from "../../bare.ts";
import { ip, tc } from "../../command.ts";
import { buildHost } from "../../host.ts";
import { until } from "../../wait.ts";

const TEAM = [{ bond: "bond0", ports: ["nic0", "nic1"] }];
const CLSACT = "clsact nic1";

describe("the kernel as it was read a moment ago", () => {
  let kernel: LinuxKernel;

  beforeEach(async () => {
    await resetToBare();
    await buildHost();
    const ignore = () => undefined;
    const listener = { onLink: ignore, onTrafficControl: ignore, onReacted: ignore };
    kernel = await LinuxKernel.open({ ...listener, onOverrun: ignore, onFailed: ignore });
  });
  afterEach(() => kernel.close());

  const read = (reading: Reading): KernelSnapshot => {
    kernel.readLinks();
    return kernel.readKernel(TEAM, reading);
  };

  it("is had once without being read again", async () => {
    // Bonding's own news of its ports may still be on the way.
    await until("a reading that was kept", () => {
      const kept = read("to keep");
      return read("as kept").counters === kept.counters;
    });
    const kept = read("to keep");
    read("as kept");
    assert.notEqual(read("as kept").counters, kept.counters, "it was had twice");
  });

  it("is read anew once somebody else has changed it, or we", async () => {
    read("to keep");
    tc(["qdisc add dev nic1 clsact"]);
    // The kernel's news of it is there at once, but who reads it is a thread of its own.
    await sleep(500);
    assert.ok(read("as kept").objects.has(CLSACT), "what another has made was missing");
    read("to keep");
    await kernel.apply([{ op: "delete", object: { kind: "clsact", device: "nic1" } }]);
    assert.ok(!read("as kept").objects.has(CLSACT), "what we have deleted stood there");
  });

  it("has what links say themselves as it is now", () => {
    read("to keep");
    ip(["link set nic0 promisc on"]);
    assert.deepEqual(read("as kept").objects.get("promiscuity nic0"), {
      kind: "promiscuity",
      device: "nic0",
      on: true,
    });
    ip(["link set nic0 promisc off"]);
  });
});
