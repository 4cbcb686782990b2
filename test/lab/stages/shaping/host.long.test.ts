import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { LabFault } from "../../fault.ts";
import { labConfig, startGuest, whereIs } from "../../guests.ts";
import { activePort, buildHost, host, setActivePort } from "../../host.ts";
import type { End } from "../../meter.ts";
import { pull } from "../../qmp.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { outside } from "../../switch.ts";
import { Flood, measureClassRates, Sink } from "../../traffic.ts";
import { until } from "../../wait.ts";

const [MANAGEMENT, MIGRATION, DEFAULT] = ["7570:fff2", "7570:fff3", "7570:fff0"];
const [MANAGEMENT_PORT, MIGRATION_PORT] = [5201, 5202];
const CLASSES = `reservation: 500kbit,
      management: {reservation: 2mbit, priority: normal, match: [{protocol: udp, destinationPort: ${MANAGEMENT_PORT}}]},
      migration: {priority: low, match: [{protocol: udp, destinationPort: 5202-5203}]}`;
const SPAN_MS = 4000;

describe("what the host itself sends", () => {
  let daemon: Daemon;
  beforeEach(resetToBare);
  afterEach(() => daemon.stop());

  itEnforces(
    "claim 68: management and a critical guest keep their reservations, also after a loss, while a migration and a guest flood",
    { sabotage: ["host reservations gone", "host matches gone"] },
    async (strike) => {
      await buildHost();
      await setActivePort("nic0");
      daemon = await startDaemon({ config: labConfig({ speed: "10mbit", host: CLASSES }) });
      const prefer = '<uplink:placement prefer="nic0"/>';
      const critical = startGuest(
        1,
        "critical",
        `<uplink:priority>critical</uplink:priority><uplink:bandwidth reservation="4mbit" limit="4mbit"/>${prefer}`,
      );
      const other = startGuest(2, "other", `<uplink:priority>high</uplink:priority>${prefer}`);
      const { classId } = await whereIs(daemon, critical);
      strike(daemon);
      const sinks = [5100, MANAGEMENT_PORT, MIGRATION_PORT].map(
        (port) => new Sink(outside, { port }),
      );
      const flood = (from: End, mbit: number, port = 5100) =>
        new Flood({ from, to: outside, bitsPerSecond: mbit * 1e6, port });
      const floods = [
        flood(host, 2.3, MANAGEMENT_PORT),
        flood(host, 9, MIGRATION_PORT),
        flood(critical, 4.5),
        flood(other, 9),
      ];
      const seen: Record<string, string> = {};
      const look = async (uplink: string) => {
        await sleep(2000);
        const rates = (await measureClassRates([uplink], SPAN_MS)).get(uplink);
        const of = (handle: string) => rates?.get(handle) ?? 0;
        for (const handle of [MANAGEMENT, MIGRATION, classId, DEFAULT])
          seen[`${uplink} ${handle}`] = `${(of(handle) / 1e6).toFixed(2)} Mbit/s`;
        return of;
      };
      const before = await look("nic0");
      await pull(0);
      await until("nic1 active", () => activePort() === "nic1");
      const after = await look("nic1");
      const sent = await Promise.all(floods.map((one) => one.stop()));
      await Promise.all(sinks.map((sink) => sink.stop()));
      console.log(`      ${JSON.stringify(seen)}`);
      // Who hasn't sent more than its reservation can't show that it keeps it.
      for (const [index, least] of [2e6, 6e6, 4e6, 6e6].entries()) {
        const rate = sent[index]?.bitsPerSecond ?? 0;
        if (rate < least) throw new LabFault(`sender ${index} sent only ${rate} bit/s`);
      }
      for (const [when, of] of [
        ["whole", before],
        ["after the loss", after],
      ] as const) {
        assert.ok(of(MANAGEMENT) >= 0.95 * 2e6, `${when}: management ${of(MANAGEMENT)}`);
        assert.ok(of(classId) >= 0.95 * 4e6, `${when}: the critical guest ${of(classId)}`);
        // Its floor, and nothing of what a higher priority wants.
        assert.ok(of(MIGRATION) < 1e6, `${when}: migration ${of(MIGRATION)}`);
        assert.ok(of(MIGRATION) > 0, `${when}: its floor`);
      }
    },
  );
});
