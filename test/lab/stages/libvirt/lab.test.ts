import assert from "node:assert/strict";
import { resetToBare } from "../../bare.ts";
import { attribute, buildHost } from "../../host.ts";
import {
  domainState,
  resetLibvirt,
  startDomain,
  startLibvirt,
  tapOf,
  virsh,
} from "../../libvirt.ts";
import { itLong } from "../../long.ts";
import { ping } from "../../standin.ts";
import { until } from "../../wait.ts";

const mac = "52:54:00:00:00:0b";

describe("the lab's libvirt", () => {
  beforeEach(async () => {
    await resetLibvirt();
    await resetToBare();
  });

  itLong("starts a real guest that sends at least 100 unicast frames of its own", async () => {
    await buildHost();
    const times: Record<string, number> = {};
    let startMs = performance.now();
    const lap = (name: string) => {
      times[name] = Math.round(performance.now() - startMs);
      startMs = performance.now();
    };
    await startLibvirt();
    lap("libvirt");
    await startDomain({ name: "web1", macs: [mac], ipv4: "10.9.0.11" });
    lap("domain");
    assert.equal(domainState("web1"), "running");
    const tap = tapOf("web1", mac);
    assert.match(tap, /^vnet\d+$/);
    await until(
      "the guest's answer",
      () => ping("switch", "10.9.0.11", { count: 1 }) === 1,
      90_000,
    );
    lap("answer");
    const before = Number(attribute(tap, "statistics/rx_packets"));
    assert.ok(ping("switch", "10.9.0.11", { count: 120, intervalMs: 20 }) >= 110);
    lap("pings");
    const sent = Number(attribute(tap, "statistics/rx_packets")) - before;
    assert.ok(sent >= 100, `${sent} frames`);
    virsh("destroy", "web1");
    lap("destroy");
    console.log(`      ms: ${JSON.stringify(times)}`);
  });
});
