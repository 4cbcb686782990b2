import assert from "node:assert/strict";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { type Guest, labConfig, startGuest, whereIs } from "../../guests.ts";
import { buildHost, readClassCounts } from "../../host.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { outside } from "../../switch.ts";
import { Flood, measureClassRates, Sink, Stream } from "../../traffic.ts";

/** Long enough that reading the counters (0.1 s under TCG) is noise. */
const SPAN_MS = 4000;
const within = (actual: number, wanted: number, part: number, what: string) =>
  assert.ok(
    Math.abs(actual - wanted) <= wanted * part,
    `${what}: ${(actual / 1e6).toFixed(2)} Mbit/s, promised ${(wanted / 1e6).toFixed(2)}`,
  );

describe("what was promised is enforced", () => {
  let daemon: Daemon;
  beforeEach(resetToBare);
  afterEach(() => daemon.stop());

  for (const speed of ["20mbit", "40mbit"]) {
    for (const kind of ["UDP", "TCP"] as const) {
      const title = `claim 3: holds a limit of 8 Mbit/s within 5 % for ${kind} on ${speed} uplinks`;
      itEnforces(title, { sabotage: ["limits lifted", "home classes gone"] }, async (strike) => {
        await buildHost();
        daemon = await startDaemon({ config: labConfig({ speed }) });
        const guest = startGuest(1, "limited", '<uplink:bandwidth limit="8mbit"/>');
        const { home, classId } = await whereIs(daemon, guest);
        strike(daemon);
        const sink = new Sink(outside);
        const load =
          kind === "UDP"
            ? new Flood({ from: guest, to: outside, bitsPerSecond: 14e6 })
            : new Stream({ from: guest, to: outside });
        await measureClassRates([home], 1500);
        const rates = await measureClassRates([home], SPAN_MS);
        await load.stop();
        await sink.stop();
        within(rates.get(home)?.get(classId) ?? 0, 8e6, 0.05, `limit, ${kind}`);
        if (kind === "UDP") {
          const drops = readClassCounts(home).get(classId)?.drops ?? 0;
          assert.ok(drops > 0, "claim 67: what exceeds the limit is dropped and counted");
        }
      });
    }
  }

  const reservation =
    "claim 2: keeps a reservation at 95 % or more while four others want everything";
  itEnforces(
    reservation,
    { sabotage: ["reservations gone", "capacity lifted"] },
    async (strike) => {
      await buildHost();
      daemon = await startDaemon({ config: labConfig({ speed: "20mbit" }) });
      const prefer = '<uplink:placement prefer="nic0"/>';
      const reserved = startGuest(
        1,
        "reserved",
        `<uplink:priority>normal</uplink:priority><uplink:bandwidth reservation="8mbit" limit="8mbit"/>${prefer}`,
      );
      const others = [2, 3, 4, 5].map((number) =>
        startGuest(number, `other${number}`, `<uplink:bandwidth shares="1000"/>${prefer}`),
      );
      const { classId } = await whereIs(daemon, reserved);
      strike(daemon);
      const rates = await contend([reserved, ...others], 10e6, 8e6);
      const got = rates.get(classId) ?? 0;
      assert.ok(got >= 0.95 * 8e6, `reservation of 8 Mbit/s got ${(got / 1e6).toFixed(2)}`);
      const all = [...rates]
        .filter(([handle]) => handle !== "7570:1")
        .reduce((sum, [, rate]) => sum + rate, 0);
      assert.ok(all <= 20e6 * 1.02, `the line of 20 Mbit/s carried ${(all / 1e6).toFixed(2)}`);
      assert.ok(all >= 20e6 * 0.9, `the guests kept the line busy: ${(all / 1e6).toFixed(2)}`);
    },
  );

  const byShares = "claim 4: shares what is left by shares within 10 %";
  itEnforces(byShares, { sabotage: ["shares equal", "vNIC filters gone"] }, async (strike) => {
    await buildHost();
    daemon = await startDaemon({ config: labConfig({ speed: "20mbit" }) });
    const prefer = '<uplink:placement prefer="nic0"/>';
    const guests = [100, 200, 400].map((shares, index) =>
      startGuest(index + 1, `shares${shares}`, `<uplink:bandwidth shares="${shares}"/>${prefer}`),
    );
    const classIds: string[] = [];
    for (const guest of guests) classIds.push((await whereIs(daemon, guest)).classId);
    strike(daemon);
    const rates = await contend(guests, 16e6, 16e6);
    const got = classIds.map((classId) => rates.get(classId) ?? 0);
    const sum = got.reduce((total, rate) => total + rate, 0);
    for (const [index, shares] of [100, 200, 400].entries()) {
      within(got[index] ?? 0, (sum * shares) / 700, 0.1, `${shares} of 700 shares`);
    }
  });

  const byPriority = "claim 4: serves a higher priority first above reservations";
  itEnforces(byPriority, { sabotage: ["priorities equal"] }, async (strike) => {
    await buildHost();
    daemon = await startDaemon({ config: labConfig({ speed: "20mbit" }) });
    const prefer = '<uplink:placement prefer="nic0"/>';
    const high = startGuest(1, "high", `<uplink:priority>high</uplink:priority>${prefer}`);
    const low = startGuest(
      2,
      "low",
      `<uplink:priority>low</uplink:priority><uplink:bandwidth reservation="4mbit"/>${prefer}`,
    );
    const places = [await whereIs(daemon, high), await whereIs(daemon, low)];
    strike(daemon);
    const rates = await contend([high, low], 24e6, 24e6);
    const [gotHigh = 0, gotLow = 0] = places.map(({ classId }) => rates.get(classId) ?? 0);
    within(gotLow, 4e6, 0.1, "the low one keeps its reservation and gets no more");
    assert.ok(gotHigh >= 14e6, `the high one takes the rest: ${gotHigh}`);
  });

  /** Loads all guests at once (the first at a rate of its own) and returns nic0's class rates. */
  async function contend(
    guests: readonly Guest[],
    bitsPerSecond: number,
    firstBitsPerSecond: number,
  ): Promise<Map<string, number>> {
    const sink = new Sink(outside);
    const floods = guests.map(
      (guest, index) =>
        new Flood({
          from: guest,
          to: outside,
          bitsPerSecond: index === 0 ? firstBitsPerSecond * 1.1 : bitsPerSecond,
        }),
    );
    await measureClassRates(["nic0"], 2000);
    const rates = await measureClassRates(["nic0"], SPAN_MS * 1.5);
    for (const flood of floods) await flood.stop();
    await sink.stop();
    return rates.get("nic0") ?? new Map();
  }
});
