import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { type Guest, startGuest, whereIs } from "../../guests.ts";
import { buildHost, readClassCounts, setActivePort } from "../../host.ts";
import { plug, pull } from "../../qmp.ts";
import { allAtHome, quickConfig } from "../../reached.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { outside } from "../../switch.ts";
import { Flood, measureClassRates, Sink } from "../../traffic.ts";

const HIGH_WANTS = 8e6;
const LOW_WANTS = 4e6;
const FRAME_BYTES = 1000;
const SPAN_MS = 2000;
/** What waits in queues is over, and the prepared messages are sent. */
const SETTLE_MS = 300;

interface Seen {
  /** Layer 2 bits per second that left by their classes, on both uplinks. */
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
    { sabotage: ["standby classes gone"] },
    async (strike) => {
      const ids = {
        high: (await whereIs(daemon, high)).classId,
        low: (await whereIs(daemon, low)).classId,
      };
      const sinks = [5100, 5101].map((port) => new Sink(outside, { port }));
      const floods = [
        new Flood({ from: high, to: outside, bitsPerSecond: HIGH_WANTS, port: 5100 }),
        new Flood({ from: low, to: outside, bitsPerSecond: LOW_WANTS, port: 5101 }),
      ];
      await sleep(500);
      assertBoth(await look(ids), "both NICs");
      for (const when of ["nic1 away", "nic1 away, no daemon"]) {
        await pull(1);
        await sleep(SETTLE_MS);
        const seen = await look(ids);
        console.log(`      ${when}: ${JSON.stringify(seen)}`);
        assert.equal(seen.low, 0, `${when}: the low one's data is discarded`);
        const sent = (LOW_WANTS * SPAN_MS) / 8000 / FRAME_BYTES;
        assert.ok(seen.discarded >= 0.8 * sent, `${when}: ${seen.discarded} of ${sent} counted`);
        assert.ok(seen.high >= 0.95 * HIGH_WANTS, `${when}: the high one got ${seen.high}`);
        await plug(1);
        if (when === "nic1 away") {
          await allAtHome(daemon, [high, low]);
          assertBoth(await look(ids), "nic1 back");
          await daemon.kill();
          strike(null);
        }
      }
      for (const flood of floods) await flood.stop();
      const [arrivedHigh = 0, arrivedLow = 0] = (
        await Promise.all(sinks.map((sink) => sink.stop()))
      ).map(({ datagrams }) => datagrams);
      console.log(`      ${JSON.stringify({ arrivedHigh, arrivedLow })}`);
      assert.ok(arrivedLow > 0 && arrivedHigh > arrivedLow, "what left has arrived");
    },
  );
});

/** Looks for a moment at what leaves, and at what is discarded. */
async function look(ids: { readonly high: string; readonly low: string }): Promise<Seen> {
  const uplinks = ["nic0", "nic1"];
  const discardedBefore = readClassCounts("nic0").get(ids.low)?.drops ?? 0;
  const rates = await measureClassRates(uplinks, SPAN_MS);
  const discarded = (readClassCounts("nic0").get(ids.low)?.drops ?? 0) - discardedBefore;
  const sent = (classId: string) =>
    uplinks.reduce((sum, uplink) => sum + (rates.get(uplink)?.get(classId) ?? 0), 0);
  return { high: Math.round(sent(ids.high)), low: Math.round(sent(ids.low)), discarded };
}

function assertBoth({ high, low }: Seen, when: string): void {
  assert.ok(high >= 0.95 * HIGH_WANTS, `${when}: the high one got ${high}`);
  assert.ok(low >= 0.9 * LOW_WANTS, `${when}: the low one got ${low}`);
}
