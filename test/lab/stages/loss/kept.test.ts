import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { readJson } from "../../command.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { LabFault } from "../../fault.ts";
import { type Guest, startGuest, whereIs } from "../../guests.ts";
import { activePort, buildHost, setActivePort } from "../../host.ts";
import { median } from "../../loss.ts";
import { plug, pull } from "../../qmp.ts";
import { allAtHome, quickConfig } from "../../reached.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { outside } from "../../switch.ts";
import { Flood, measureClassRates, Sink } from "../../traffic.ts";
import { until } from "../../wait.ts";

const LINE = 20e6;
/** Both and the host's 1 Mbit/s fit on one line: N-1 holds. */
const HIGH_RESERVATION = 10e6;
const LOW_RESERVATION = 4e6;
/** What each tries to send: more than is left for both once a line is gone. */
const WANTED = 18e6;
const SPAN_MS = 3000;
const WINDOW_MS = 250;
const ATTEMPTS = 3;
const FRAME_BYTES = 1000;
const PAYLOAD_BYTES = FRAME_BYTES - 42;
const mbit = (rate: number) => Number((rate / 1e6).toFixed(2));

interface Rates {
  /** What came out of the class, on the uplink that is left. */
  readonly high: number;
  readonly low: number;
  /** What arrived outside, by windows. */
  readonly highWindows: readonly number[];
  readonly lowWindows: readonly number[];
}

describe("after a pull", () => {
  let daemon: Daemon;
  let high: Guest;
  let low: Guest;
  const classIds = { high: "", low: "" };

  beforeEach(async () => {
    await resetToBare();
    await buildHost();
    await setActivePort("nic0");
    daemon = await startDaemon({ config: quickConfig({ speed: "20mbit" }) });
    high = startGuest(1, "high", annotation("high", "10mbit", "nic1"));
    low = startGuest(2, "low", annotation("low", "4mbit", "nic0"));
    classIds.high = (await whereIs(daemon, high)).classId;
    classIds.low = (await whereIs(daemon, low)).classId;
    const status = await daemon.status();
    assert.ok(status.teams.every(({ condition }) => condition === "ok"));
  });
  afterEach(() => daemon.kill());

  itEnforces(
    "the high-priority guest keeps its reservation and the low-priority one gets what is left, daemon or not",
    {
      sabotage: ["standby classes gone", "reservations gone", "priorities equal"],
      timeoutMs: 180_000,
    },
    async (strike) => {
      const floods = [high, low].map(
        (from, index) =>
          new Flood({ from, to: outside, bitsPerSecond: WANTED, port: 5100 + index }),
      );
      await sleep(1000);
      // With both lines each gets what it wants.
      const whole = await measureClassRates(["nic0", "nic1"], SPAN_MS);
      const alone = {
        high: whole.get("nic1")?.get(classIds.high) ?? 0,
        low: whole.get("nic0")?.get(classIds.low) ?? 0,
      };
      console.log(`      both lines: high ${mbit(alone.high)}, low ${mbit(alone.low)} Mbit/s`);
      for (const cable of [1, 0]) {
        const rates = await quietly(() => withoutCable(cable));
        print(`nic${cable} pulled`, rates);
        assertKept(rates, `nic${cable} pulled`);
        await allAtHome(daemon, [high, low]);
      }
      await daemon.kill();
      strike(null);
      for (const cable of [1, 0]) {
        const rates = await quietly(() => withoutCable(cable));
        print(`nic${cable} pulled, no daemon`, rates);
        assertKept(rates, `nic${cable} pulled, no daemon`);
      }
      for (const flood of floods) await flood.stop();
      for (const [name, rate] of Object.entries(alone)) {
        assert.ok(rate >= WANTED * 0.9, `${name} got ${mbit(rate)} with both lines`);
      }
    },
  );

  /** Rates while a cable is pulled, from the moment when the other port is the active one. */
  async function withoutCable(cable: number): Promise<Rates> {
    const left = `nic${1 - cable}`;
    await pull(cable);
    await until("the other port active", () => activePort() === left);
    // What waited in the queues, and the bursts, are over.
    await sleep(500);
    const sinks = [0, 1].map(
      (index) => new Sink(outside, { port: 5100 + index, windowMs: WINDOW_MS }),
    );
    const leaves = readLeaves(left);
    const startMs = performance.now();
    const ofClasses = (await measureClassRates([left], SPAN_MS)).get(left);
    const seconds = (performance.now() - startMs) / 1000;
    const leavesAfter = readLeaves(left);
    const reports = await Promise.all(sinks.map((sink) => sink.stop()));
    await plug(cable);
    await until("an active port", () => activePort() !== "");
    for (const classId of Object.values(classIds)) {
      const [first, second] = [leaves.get(classId), leavesAfter.get(classId)];
      // A class that is missing is a finding, and the assertions' to tell.
      if (first === undefined || second === undefined) continue;
      const offered = ((second - first) * 8) / seconds;
      if (offered < WANTED * 0.85) throw new LabFault(`a guest sent only ${mbit(offered)} Mbit/s`);
    }
    // The first and the last window are cut.
    const windows = reports.map((report) =>
      report.windows
        .slice(1, -1)
        .map((bytes) => (bytes / PAYLOAD_BYTES) * FRAME_BYTES * 8 * (1000 / WINDOW_MS)),
    );
    return {
      high: ofClasses?.get(classIds.high) ?? 0,
      low: ofClasses?.get(classIds.low) ?? 0,
      highWindows: windows[0] ?? [],
      lowWindows: windows[1] ?? [],
    };
  }
});

/** A machine that was busy for a moment starves the senders: that deserves another try. */
async function quietly(measure: () => Promise<Rates>): Promise<Rates> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await measure();
    } catch (error) {
      if (!(error instanceof LabFault) || attempt === ATTEMPTS) throw error;
      console.log(`      once more: ${error.message}`);
    }
  }
}

/** Bytes that guests have handed to each class's queue: sent, dropped and waiting. */
function readLeaves(link: string): ReadonlyMap<string, number> {
  interface Qdisc {
    readonly parent?: string;
    readonly bytes: number;
    readonly drops: number;
    readonly backlog: number;
  }
  return new Map(
    readJson<Qdisc>("tc", `-s qdisc show dev ${link}`).map(
      ({ parent = "", bytes, drops, backlog }) => [parent, bytes + drops * FRAME_BYTES + backlog],
    ),
  );
}

function annotation(priority: string, reservation: string, uplink: string): string {
  return (
    `<uplink:priority>${priority}</uplink:priority><uplink:bandwidth reservation="${reservation}"/>` +
    `<uplink:placement prefer="${uplink}"/>`
  );
}

function print(what: string, { high, low, highWindows, lowWindows }: Rates): void {
  const least = (windows: readonly number[]) => mbit(Math.min(...windows));
  console.log(
    `      ${what}: high ${mbit(high)} (windows: least ${least(highWindows)}, median ${mbit(median(highWindows))}), ` +
      `low ${mbit(low)} (least ${least(lowWindows)}, median ${mbit(median(lowWindows))}) Mbit/s`,
  );
}

function assertKept({ high, low, highWindows, lowWindows }: Rates, when: string): void {
  const left = LINE - LOW_RESERVATION;
  assert.ok(high >= 0.95 * HIGH_RESERVATION, `${when}: the high one got ${mbit(high)}`);
  assert.ok(high >= 0.9 * left, `${when}: above reservations the high one first: ${mbit(high)}`);
  assert.ok(low >= 0.95 * LOW_RESERVATION, `${when}: the low one got ${mbit(low)}`);
  // Between the two looks at the counters lies a span that is known to 3 %; the windows outside are exact.
  assert.ok(high + low <= LINE * 1.05, `${when}: the classes let out ${mbit(high + low)}`);
  const carried = median(highWindows) + median(lowWindows);
  assert.ok(carried <= LINE * 1.02, `${when}: the line carried ${mbit(carried)}`);
  for (const [windows, reservation] of [
    [highWindows, HIGH_RESERVATION],
    [lowWindows, LOW_RESERVATION],
  ] as const) {
    assert.ok(windows.length >= 6, `${when}: ${windows.length} windows`);
    const kept = windows.filter((rate) => rate >= 0.95 * reservation).length;
    assert.ok(kept >= windows.length * 0.75, `${when}: kept in ${kept} of ${windows.length}`);
  }
}
