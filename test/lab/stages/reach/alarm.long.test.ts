// Probes beside as much traffic as both uplinks carry: ten minutes without a false alarm, and a dead path found at the end all the same.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { LabFault } from "../../fault.ts";
import { type Guest, startGuest, whereIs } from "../../guests.ts";
import { activePort, buildHost, setActivePort } from "../../host.ts";
import { quickConfig } from "../../reached.ts";
import { outside, stopForwarding, switchAddress, switchAddress6 } from "../../switch.ts";
import { Flood, measureClassRates, Sink } from "../../traffic.ts";
import { until } from "../../wait.ts";

const MINUTES = 10;
const INTERVAL_MS = 1000;
/** Little enough for the lab's processors, which carry all of it three times. */
const LINE_BITS_PER_SECOND = 10e6;
const WANTED_BITS_PER_SECOND = 12e6;
/** And as much comes in as the processors have left. */
const INCOMING_BITS_PER_SECOND = 3e6;
const FRAME_BYTES = 1400;
/** Of the line, less its headroom and what the processors are late with. */
const FULL = 0.85;
/** Events that say that something was taken for dead, or done about it. */
const ALARMS: ReadonlySet<string> = new Set([
  "uplink-lost",
  "loss-answered",
  "vnic-moved",
  "target-silent",
  "paths-unknown",
  "probe-failed",
]);

const on = (uplink: string) => `<uplink:placement prefer="${uplink}"/>`;

describe("probes beside full load on both uplinks", () => {
  let daemon: Daemon;
  let guests: readonly Guest[];

  before(async () => {
    await resetToBare();
    await buildHost();
    await setActivePort("nic0");
    const targets = `["${switchAddress}", "${switchAddress6}"]`;
    const team = `    probes: {interval: ${INTERVAL_MS}ms, targets: ${targets}}`;
    const speed = `${LINE_BITS_PER_SECOND / 1e6}mbit`;
    daemon = await startDaemon({ config: quickConfig({ speed, team }) });
    guests = [startGuest(1, "left", on("nic0")), startGuest(2, "right", on("nic1"))];
  });
  after(() => daemon.kill());

  it(`claim 5: raise no alarm in ${MINUTES} minutes, and still find a dead path at their end`, async () => {
    await until("every path known", everyPathHealthy, 30_000, 500);
    const loads = guests.flatMap((guest) => [
      new Sink(guest),
      new Flood({ ...flood, from: guest, to: outside, bitsPerSecond: WANTED_BITS_PER_SECOND }),
    ]);
    loads.push(new Sink(outside));
    for (const guest of guests)
      loads.push(
        new Flood({ ...flood, from: outside, to: guest, bitsPerSecond: INCOMING_BITS_PER_SECOND }),
      );
    await sleep(5000);
    const startMs = performance.now();
    const before = await probesSent();
    const rates: (readonly number[])[] = [];
    while (performance.now() - startMs < MINUTES * 60_000) {
      rates.push(await carried());
      const found = await alarms();
      assert.deepEqual(found, [], `after ${Math.round((performance.now() - startMs) / 1000)} s`);
      assert.equal(await everyPathHealthy(), true);
      await sleep(Math.min(20_000, Math.max(0, startMs + MINUTES * 60_000 - performance.now())));
    }
    const seconds = Math.round((performance.now() - startMs) / 1000);
    const sent = (await probesSent()).map((frames, index) => frames - (before[index] ?? 0));
    const least = Math.round(Math.min(...rates.flat()) / 1e3);
    console.log(
      `      ${JSON.stringify({ seconds, looks: rates.length, leastKbit: least, sent })}`,
    );
    // One for each of two targets and the other uplink, at least once and at most twice an interval.
    for (const frames of sent) assert.ok(frames <= 6 * seconds * 1.1, `${frames} probes`);
    if (sent.some((frames) => frames < 3 * seconds * 0.8))
      throw new LabFault(
        `the daemon had no time for its probes: ${sent.join(" and ")} in ${seconds} s`,
      );
    const full = rates.flat().filter((rate) => rate >= FULL * LINE_BITS_PER_SECOND).length;
    if (full < rates.flat().length * 0.9)
      throw new LabFault(`the uplinks were full in ${full} of ${rates.flat().length} looks only`);
    assert.equal(activePort(), "nic0");

    const cutAtMs = Date.now();
    stopForwarding(1);
    await until("the dead path left", leftByRight, 30_000, 200);
    const [lost] = (await daemon.events()).filter(
      ({ id, atMs }) => (id === "uplink-lost" || id === "loss-answered") && atMs >= cutAtMs,
    );
    console.log(`      a dead path was told of after ${(lost?.atMs ?? Number.NaN) - cutAtMs} ms`);
    assert.equal(lost?.fields.uplink, "nic1");
    for (const load of loads) await load.stop();
  }).timeout((MINUTES + 4) * 60_000);

  const flood = { frameBytes: FRAME_BYTES, port: 5100 };

  async function leftByRight(): Promise<boolean> {
    const [, right] = guests;
    return right !== undefined && (await whereIs(daemon, right)).via === "nic0";
  }

  async function everyPathHealthy(): Promise<boolean> {
    const uplinks = (await daemon.status()).teams.flatMap((team) => team.uplinks);
    return (
      uplinks.length === 2 &&
      uplinks.every(({ probe }) => probe?.path === "healthy" && probe.heardAtMs !== null)
    );
  }

  async function alarms(): Promise<readonly string[]> {
    return (await daemon.events()).filter(({ id }) => ALARMS.has(id)).map(({ message }) => message);
  }

  async function probesSent(): Promise<readonly number[]> {
    const uplinks = (await daemon.status()).teams.flatMap((team) => team.uplinks);
    return uplinks.map(({ probe }) => probe?.sentFrames ?? Number.NaN);
  }
});

/** What each uplink's HTB lets out. */
async function carried(): Promise<readonly number[]> {
  const uplinks = ["nic0", "nic1"];
  const rates = await measureClassRates(uplinks, 3000);
  return uplinks.map((uplink) => rates.get(uplink)?.get("7570:1") ?? 0);
}
