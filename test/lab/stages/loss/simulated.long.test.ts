import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon, startDomain } from "../../daemon.ts";
import { LabFault } from "../../fault.ts";
import {
  type Frame,
  frameConfig,
  generateGuests,
  readPins,
  simulated,
  teamIs,
} from "../../generated.ts";
import { buildHost } from "../../host.ts";
import { pull } from "../../qmp.ts";
import { addStandin } from "../../standin.ts";
import { outside } from "../../switch.ts";
import { Flood, measureClassRates, Sink } from "../../traffic.ts";

/** Slow, so that four guests that send more than the line takes don't cost the lab its processors. */
const FRAME: Frame = { speeds: [10, 8], host: 0 };
const WORLDS = [31, 32, 33, 34, 35];
/** Several rounds of HTB's turns: one of 400 shares is 256 KB, a quarter of a second of such a line. */
const SPAN_MS = 10_000;
/** Part of the line by which a guest's rate may be off: the last turn is cut by the span's end. */
const TOLERANCE = 0.05;
const mbit = (rate: number) => Number((rate / 1e6).toFixed(2));

describe("what simulate expects for a loss", () => {
  let daemon: Daemon;

  beforeEach(async () => {
    await resetToBare();
    await buildHost();
    daemon = await startDaemon({
      config: frameConfig(FRAME),
      policies: { default: "priority: normal\n" },
    });
  });
  afterEach(() => daemon.kill());

  for (const world of WORLDS) {
    it(`is what guests get who want all that they may have: world ${world}`, async () => {
      const guests = generateGuests(world, FRAME, ["throttle"]);
      const ends = guests.map(({ domain, mac }, index) => {
        startDomain(domain);
        const standin = addStandin({ number: index + 1, mac });
        return standin;
      });
      const homes = new Map([...readPins()].map(([mac, { uplink }]) => [mac, uplink ?? ""]));
      const cable = world % 2;
      const left = 1 - cable;
      const { vnics } = simulated(FRAME, guests, homes, [`nic${cable}`]);
      const line = (FRAME.speeds[left] ?? 0) * 1e6;
      const sinks = ends.map((_, index) => new Sink(outside, { port: 5100 + index }));
      const wanted = line * 1.1;
      const floods = ends.map(
        (from, index) =>
          new Flood({ from, to: outside, bitsPerSecond: wanted, port: 5100 + index }),
      );
      await pull(cable);
      await teamIs(daemon, "degraded");
      // What waited in the queues, and the bursts, are over.
      await sleep(2000);
      const rates = (await measureClassRates([`nic${left}`], SPAN_MS)).get(`nic${left}`);
      const pins = readPins();
      const sent = await Promise.all(floods.map((flood) => flood.stop()));
      await Promise.all(sinks.map((sink) => sink.stop()));
      const slowest = Math.min(...sent.map(({ bitsPerSecond }) => bitsPerSecond));
      if (slowest < line) throw new LabFault(`a guest sent only ${mbit(slowest)} Mbit/s`);
      const compared = vnics.map(({ mac, domain, expectedBitsPerSecond }) => ({
        domain,
        expected: expectedBitsPerSecond,
        measured: rates?.get(pins.get(mac)?.classId ?? "") ?? Number.NaN,
      }));
      console.log(
        `      ${compared.map(({ domain, expected, measured }) => `${domain} ${mbit(expected)} expected, ${mbit(measured)} got`).join("; ")}`,
      );
      for (const { domain, expected, measured } of compared) {
        const off = Math.abs(measured - expected);
        assert.ok(
          off <= line * TOLERANCE,
          `${domain}: ${mbit(expected)} expected, ${mbit(measured)} got`,
        );
      }
    });
  }
});
