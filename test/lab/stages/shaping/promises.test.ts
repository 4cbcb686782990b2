import assert from "node:assert/strict";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { endGuest, type Guest, labConfig, startGuest, whereIs } from "../../guests.ts";
import { buildHost, readClassCounts } from "../../host.ts";
import { shareHost } from "../../one-host.ts";
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

const prefer = '<uplink:placement prefer="nic0"/>';

for (const speed of ["20mbit", "40mbit"]) {
  describe(`what was promised is enforced on ${speed} uplinks`, () => {
    let daemon: Daemon;
    let guests: Guest[] = [];
    shareHost(
      async () => {
        await resetToBare();
        await buildHost();
        daemon = await startDaemon({ config: labConfig({ speed }) });
      },
      () => daemon.stop(),
    );
    afterEach(() => {
      for (const guest of guests) endGuest(guest);
      guests = [];
    });

    function start(name: string, annotation: string): Guest {
      const guest = startGuest(guests.length + 1, name, annotation);
      guests.push(guest);
      return guest;
    }

    for (const kind of ["UDP", "TCP"] as const) {
      const title = `claim 3: holds a limit of 8 Mbit/s within 5 % for ${kind}`;
      itEnforces(title, { sabotage: ["limits lifted", "home classes gone"] }, async (strike) => {
        const guest = start(`limited-${kind}`, '<uplink:bandwidth limit="8mbit"/>');
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
    // Contention costs the lab's processors the more the wider the line is.
    if (speed !== "20mbit") return;

    itEnforces(
      "claim 2: keeps a reservation at 95 % or more while four others want everything",
      { sabotage: ["reservations gone", "capacity lifted"] },
      async (strike) => {
        const reserved = start(
          "reserved",
          `<uplink:priority>normal</uplink:priority><uplink:bandwidth reservation="8mbit" limit="8mbit"/>${prefer}`,
        );
        for (const number of [2, 3, 4, 5])
          start(`other${number}`, `<uplink:bandwidth shares="1000"/>${prefer}`);
        const { classId } = await whereIs(daemon, reserved);
        strike(daemon);
        const rates = await contend(guests, 10e6, 8e6);
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
      const classIds: string[] = [];
      for (const shares of [100, 200, 400]) {
        const annotation = `<uplink:bandwidth shares="${shares}"/>${prefer}`;
        classIds.push((await whereIs(daemon, start(`shares${shares}`, annotation))).classId);
      }
      strike(daemon);
      const rates = await contend(guests, 16e6, 16e6);
      const got = classIds.map((classId) => rates.get(classId) ?? 0);
      const sum = got.reduce((total, rate) => total + rate, 0);
      assert.ok(sum >= 20e6 * 0.85, `they kept the line busy: ${(sum / 1e6).toFixed(2)}`);
      for (const [index, shares] of [100, 200, 400].entries()) {
        within(got[index] ?? 0, (sum * shares) / 700, 0.1, `${shares} of 700 shares`);
      }
    });

    const byPriority = "claim 4: serves a higher priority first above reservations";
    itEnforces(byPriority, { sabotage: ["priorities equal"] }, async (strike) => {
      const high = start("high", `<uplink:priority>high</uplink:priority>${prefer}`);
      const low = start(
        "low",
        `<uplink:priority>low</uplink:priority><uplink:bandwidth reservation="4mbit"/>${prefer}`,
      );
      const places = [await whereIs(daemon, high), await whereIs(daemon, low)];
      strike(daemon);
      const rates = await contend(guests, 24e6, 24e6);
      const [gotHigh = 0, gotLow = 0] = places.map(({ classId }) => rates.get(classId) ?? 0);
      within(gotLow, 4e6, 0.1, "the low one keeps its reservation and gets no more");
      assert.ok(gotHigh >= 14e6, `the high one takes the rest: ${gotHigh}`);
    });
  });
}

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
