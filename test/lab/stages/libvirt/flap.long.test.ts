// Pauses of a real domain while its uplink comes and goes; what flaps do to classes and moves is in wide/odd.long.test.ts.
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
} from "../../libvirt.ts";
import { setLink } from "../../qmp.ts";
import { addStandin } from "../../standin.ts";
import { outside } from "../../switch.ts";
import { Flood, Sink } from "../../traffic.ts";
import { until } from "../../wait.ts";

const HOOK = join(import.meta.dirname, "../../../../hooks/qemu");
const FLAPS = 20;
const FLAP_MS = 3000;
/** Together more than the 10 Mbit/s of one uplink. */
const GUESTS = [
  {
    name: "vital",
    number: 71,
    wants: 6.5e6,
    words:
      '<uplink:priority>high</uplink:priority><uplink:bandwidth reservation="7mbit" limit="7mbit"/><uplink:placement prefer="nic0"/>',
  },
  {
    name: "bulk",
    number: 72,
    wants: 9e6,
    words:
      '<uplink:priority>low</uplink:priority><uplink:placement prefer="nic1"/><uplink:failover action="pause" grace="500ms"/>',
  },
] as const;

describe("an uplink that flaps", () => {
  let daemon: Daemon;
  let loads: { stop(): Promise<unknown> }[] = [];

  before(async () => {
    await resetLibvirt({ stop: true });
    installHook("50-uplinkd", HOOK);
    await startLibvirt();
    await resetToBare();
    await buildHost();
    daemon = await startDaemon({ config: labConfig({ speed: "10mbit" }) });
  });
  after(async () => {
    for (const load of loads) await load.stop().catch(() => undefined);
    endDomains(["vital", "bulk"]);
    await daemon.stop();
    await resetLibvirt({ stop: true });
  });

  it("claims 11 and 13: leaves no domain paused after 20 times in a minute", async () => {
    for (const { name, number, words } of GUESTS) {
      const metadata = `<uplink:network xmlns:uplink="urn:uplinkd:domain:1">${words}</uplink:network>`;
      await startDomain({ name, macs: [macOf(number)], metadata });
    }
    loads = [
      new Sink(outside),
      ...GUESTS.map(({ number, wants }) => {
        const from = addStandin({ number, mac: macOf(number) });
        return new Flood({ from, to: outside, bitsPerSecond: wants });
      }),
    ];
    await until("demand measured", measured, 60_000, 300);
    const startMs = performance.now();
    for (let half = 1; half <= 2 * FLAPS; half++) {
      await setLink(1, half % 2 === 0);
      await sleep(Math.max(0, startMs + (half * FLAP_MS) / 2 - performance.now()));
    }
    const tookMs = Math.round(performance.now() - startMs);
    await until("whole, and everybody runs", isWhole, 60_000, 500);
    const wholeMs = Math.round(performance.now() - startMs - tookMs);
    const ids = (await daemon.events()).map(({ id }) => id);
    const count = (id: string) => ids.filter((one) => one === id).length;
    const counts = { paused: count("domain-paused"), resumed: count("domain-resumed") };
    console.log(`      ${JSON.stringify({ tookMs, wholeMs, ...counts })}`);
    assert.ok(counts.paused >= 1, "it was due at least once");
    assert.equal(counts.resumed, counts.paused);
    // Whole means here that nobody is about to be paused, too.
    await sleep(5000);
    assert.equal(await isWhole(), true);
    const { drift } = await daemon.status();
    assert.deepEqual(drift, []);
  }).timeout(300_000);

  async function measured(): Promise<boolean> {
    const { domains } = await daemon.status();
    return GUESTS.every(({ name, wants }) => {
      const vnic = domains.find((domain) => domain.name === name)?.vnics[0];
      return (vnic?.sentBitsPerSecond ?? 0) > wants * 0.75;
    });
  }

  async function isWhole(): Promise<boolean> {
    const { teams, domains } = await daemon.status();
    return (
      teams.every(({ condition }) => condition === "ok") &&
      domains.every(
        ({ pausedByUs, vnics }) => !pausedByUs && vnics.every(({ home, via }) => home === via),
      ) &&
      GUESTS.every(({ name }) => domainState(name) === "running")
    );
  }
});

function macOf(number: number): string {
  return `52:54:00:00:00:${number}`;
}
