// Pausing and resuming real domains. Their load comes from stand-ins with the same MAC: the guests are silent.
import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { labConfig } from "../../guests.ts";
import { buildHost } from "../../host.ts";
import {
  domainState,
  endDomains,
  installHook,
  resetLibvirt,
  startDomain,
  startLibvirt,
  virsh,
} from "../../libvirt.ts";
import { plug, pull } from "../../qmp.ts";
import { addStandin } from "../../standin.ts";
import { outside } from "../../switch.ts";
import { Flood, Sink, Stream } from "../../traffic.ts";
import { until as untilFast } from "../../wait.ts";

const HIGH = "52:54:00:00:00:01";
const LOW = "52:54:00:00:00:02";
const HOOK = join(import.meta.dirname, "../../../../hooks/qemu");
/** Slow, so that the load leaves processors for the nested guests. */
const CONFIG = labConfig({ speed: "5mbit" });

const annotation = (children: string) =>
  `<uplink:network xmlns:uplink="urn:uplinkd:domain:1">${children}</uplink:network>`;

/** A look costs processes, and the nested guests need the CPUs. */
const until = (what: string, condition: () => boolean | Promise<boolean>, limitMs = 20_000) =>
  untilFast(what, condition, limitMs, 300);

describe("pause and resume", () => {
  let daemon: Daemon;
  let loads: { stop(): Promise<unknown> }[] = [];

  before(async () => {
    await resetLibvirt({ stop: true });
    installHook("50-uplinkd", HOOK);
    await startLibvirt();
  });
  beforeEach(async () => {
    loads = [];
    await resetToBare();
    await buildHost();
    daemon = await startDaemon({ config: CONFIG });
    await startDomain({
      name: "vital",
      macs: [HIGH],
      metadata: annotation(
        '<uplink:priority>high</uplink:priority><uplink:bandwidth reservation="3500kbit" limit="3500kbit"/><uplink:placement prefer="nic0"/>',
      ),
    });
    await startDomain({
      name: "bulk",
      macs: [LOW],
      metadata: annotation(
        '<uplink:priority>low</uplink:priority><uplink:bandwidth limit="4750kbit"/><uplink:placement prefer="nic1"/><uplink:failover action="pause" grace="1s"/>',
      ),
    });
  });
  afterEach(async () => {
    for (const load of loads) await load.stop().catch(() => undefined);
    endDomains(["vital", "bulk"]);
    await daemon.stop();
  });
  after(() => resetLibvirt({ stop: true }));

  it("claims 11 and 13: pauses a domain whose demand before the loss doesn't fit, and resumes it when it fits again", async () => {
    await load("UDP");
    const start = performance.now();
    await pull(1);
    await until("bulk paused", () => domainState("bulk") === "paused", 15_000);
    const pausedAfterMs = Math.round(performance.now() - start);
    assert.equal(domainState("vital"), "running");
    await sleep(4000);
    assert.equal(domainState("bulk"), "paused", "being paused doesn't look like relief");
    await plug(1);
    const resumedAfterMs = Math.round(
      await until("bulk resumed", () => domainState("bulk") === "running", 20_000),
    );
    const ids = (await daemon.events()).map(({ id }) => id);
    console.log(JSON.stringify({ pausedAfterMs, resumedAfterMs, holdDownMs: 2000 }));
    assert.equal(ids.filter((id) => id === "domain-paused").length, 1);
    assert.equal(ids.filter((id) => id === "domain-resumed").length, 1);
  });

  it("resumes what it paused although it was killed in between, and leaves alone what a person resumed", async () => {
    await load("UDP");
    await pull(1);
    await until("bulk paused", () => domainState("bulk") === "paused", 15_000);
    await daemon.kill();
    await plug(1);
    daemon = await startDaemon({ config: CONFIG, keepState: true });
    await until("bulk resumed by the next daemon", () => domainState("bulk") === "running", 20_000);

    await sleep(4000);
    await pull(1);
    await until("bulk paused again", () => domainState("bulk") === "paused", 15_000);
    virsh("resume", "bulk");
    await sleep(5000);
    assert.equal(domainState("bulk"), "running", "a person's resume stands");
    await plug(1);
    await until(
      "the team whole",
      async () => (await daemon.status()).teams[0]?.condition === "ok",
      15_000,
    );

    virsh("suspend", "bulk");
    await sleep(2000);
    await pull(1);
    await sleep(3000);
    await plug(1);
    await sleep(4000);
    assert.equal(domainState("bulk"), "paused", "a person's pause is never undone");
  });

  it("doesn't pause and resume in turns a guest whose TCP merely backs off", async () => {
    await load("TCP");
    await pull(1);
    await until("bulk paused", () => domainState("bulk") === "paused", 15_000);
    await sleep(10_000);
    const ids = (await daemon.events()).map(({ id }) => id);
    assert.equal(ids.filter((id) => id === "domain-paused").length, 1);
    assert.equal(ids.filter((id) => id === "domain-resumed").length, 0);
    await plug(1);
  });

  /** Both want what they have; the daemon has measured it when this returns. */
  async function load(kind: "UDP" | "TCP"): Promise<void> {
    const vital = addStandin({ number: 1, mac: HIGH });
    const bulk = addStandin({ number: 2, mac: LOW });
    loads = [
      new Sink(outside),
      new Flood({ from: vital, to: outside, bitsPerSecond: 3.25e6 }),
      kind === "UDP"
        ? new Flood({ from: bulk, to: outside, bitsPerSecond: 4.5e6 })
        : new Stream({ from: bulk, to: outside }),
    ];
    await until(
      "demand measured",
      async () => {
        const { domains } = await daemon.status();
        const sent = (name: string) =>
          domains.find((domain) => domain.name === name)?.vnics[0]?.sentBitsPerSecond ?? 0;
        // Together far more than the 5 Mbit/s that one uplink has.
        return sent("vital") > 2.5e6 && sent("bulk") > 3.5e6;
      },
      60_000,
    );
  }
});
