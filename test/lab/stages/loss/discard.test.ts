import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { type Guest, startGuest, whereIs } from "../../guests.ts";
import { buildHost, readClassCounts, setActivePort } from "../../host.ts";
import { plug, pull } from "../../qmp.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { outside } from "../../switch.ts";
import { Flood, Sink } from "../../traffic.ts";
import { allAtHome, quickConfig } from "./reached.ts";

const HIGH_WANTS = 8e6;
const LOW_WANTS = 4e6;
const FRAME_BYTES = 1000;
const PAYLOAD_BYTES = FRAME_BYTES - 42;
const SPAN_MS = 1500;
/** What waits in queues is over, and the prepared messages are sent. */
const SETTLE_MS = 300;

interface Seen {
  /** Layer 2 bits per second that arrived outside. */
  readonly high: number;
  readonly low: number;
  /** Frames that the low one's class on nic0 discarded meanwhile, as the kernel counts. */
  readonly discarded: number;
}

describe("a policy that discards", () => {
  let daemon: Daemon;
  let high: Guest;
  let low: Guest;

  beforeEach(async () => {
    await resetToBare();
    await buildHost();
    await setActivePort("nic0");
    daemon = await startDaemon({ config: quickConfig({ speed: "20mbit" }) });
    high = startGuest(
      1,
      "high",
      '<uplink:priority>high</uplink:priority><uplink:bandwidth reservation="10mbit"/><uplink:placement prefer="nic0"/>',
    );
    low = startGuest(
      2,
      "low",
      '<uplink:priority>low</uplink:priority><uplink:placement prefer="nic1"/><uplink:failover action="discard"/>',
    );
  });
  afterEach(() => daemon.kill());

  itEnforces(
    "claim 30: has the low priority's data discarded and counted while its NIC is away, the high one's untouched, daemon or not",
    { sabotage: ["standby classes gone"], timeoutMs: 90_000 },
    async (strike) => {
      const { classId } = await whereIs(daemon, low);
      const floods = [
        new Flood({ from: high, to: outside, bitsPerSecond: HIGH_WANTS, port: 5100 }),
        new Flood({ from: low, to: outside, bitsPerSecond: LOW_WANTS, port: 5101 }),
      ];
      await sleep(500);
      assertBoth(await look(classId), "both NICs");
      for (const when of ["nic1 away", "nic1 away, no daemon"]) {
        await pull(1);
        await sleep(SETTLE_MS);
        const seen = await look(classId);
        console.log(`      ${when}: ${JSON.stringify(seen)}`);
        assert.equal(seen.low, 0, `${when}: the low one's data is discarded`);
        const sent = (LOW_WANTS * SPAN_MS) / 8000 / FRAME_BYTES;
        assert.ok(seen.discarded >= 0.8 * sent, `${when}: ${seen.discarded} of ${sent} counted`);
        assert.ok(seen.high >= 0.95 * HIGH_WANTS, `${when}: the high one got ${seen.high}`);
        await plug(1);
        if (when === "nic1 away") {
          await allAtHome(daemon, [high, low]);
          assertBoth(await look(classId), "nic1 back");
          await daemon.kill();
          strike(null);
        }
      }
      for (const flood of floods) await flood.stop();
    },
  );
});

/** Looks for a moment at what arrives, and at what is discarded. */
async function look(classId: string): Promise<Seen> {
  const discardedBefore = readClassCounts("nic0").get(classId)?.drops ?? 0;
  const sinks = [5100, 5101].map((port) => new Sink(outside, { port }));
  await sleep(SPAN_MS);
  const reports = await Promise.all(sinks.map((sink) => sink.stop()));
  const [high = 0, low = 0] = reports.map(({ bytes, elapsedMs }) =>
    Math.round(((bytes / PAYLOAD_BYTES) * FRAME_BYTES * 8000) / elapsedMs),
  );
  const discarded = (readClassCounts("nic0").get(classId)?.drops ?? 0) - discardedBefore;
  return { high, low, discarded };
}

function assertBoth({ high, low }: Seen, when: string): void {
  assert.ok(high >= 0.95 * HIGH_WANTS, `${when}: the high one got ${high}`);
  assert.ok(low >= 0.9 * LOW_WANTS, `${when}: the low one got ${low}`);
}
