import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { readJson } from "../../command.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { labConfig } from "../../guests.ts";
import { buildHost, readClassCounts, setActivePort, uplinkNames } from "../../host.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { addStandin } from "../../standin.ts";
import { outside } from "../../switch.ts";
import { Flood, Sink } from "../../traffic.ts";

/** Flows enough that a guest with four queues uses each of them. */
const PORTS = Array.from({ length: 8 }, (_, index) => 5300 + index);
const RATE = 0.25e6;
const FRAME_BYTES = 250;
const SPAN_MS = 2000;
const DEFAULT_CLASS = "7570:fff0";

describe("what uplinkd knows nothing of", () => {
  let daemon: Daemon;
  beforeEach(resetToBare);
  afterEach(() => daemon.stop());

  itEnforces(
    "leaves by the active port in the default class, whatever queues it uses, and nothing goes out unshaped",
    { sabotage: ["catch-all gone", "default classes gone"] },
    async (strike) => {
      await buildHost();
      await setActivePort("nic0");
      daemon = await startDaemon({ config: labConfig() });
      const unknown = addStandin({ number: 1, queues: 4 });
      strike(daemon);
      const before = readCounts();
      const sinks = PORTS.map((port) => new Sink(outside, { port }));
      await sleep(300);
      const floods = PORTS.map(
        (port) =>
          new Flood({
            from: unknown,
            to: outside,
            bitsPerSecond: RATE,
            frameBytes: FRAME_BYTES,
            port,
          }),
      );
      await sleep(SPAN_MS);
      const reports = await Promise.all(floods.map((flood) => flood.stop()));
      await Promise.all(sinks.map((sink) => sink.stop()));
      const after = readCounts();
      const went = uplinkNames().map((name, index) => ({
        name,
        shaped: (after[index]?.shaped ?? 0) - (before[index]?.shaped ?? 0),
        direct: (after[index]?.direct ?? 0) - (before[index]?.direct ?? 0),
      }));
      console.log(`      ${JSON.stringify(went)}`);
      for (const { bitsPerSecond } of reports) assert.ok(bitsPerSecond > RATE / 2, "it sent");
      // Half of what it was told to send, as a machine that is busy may make it late.
      const due = (PORTS.length * RATE * SPAN_MS) / 1000 / 8 / FRAME_BYTES / 2;
      assert.ok((went[0]?.shaped ?? 0) >= due, `by nic0 in the default class: ${went[0]?.shaped}`);
      // The daemon's and the kernel's own frames, neighbour discovery and such, are few.
      assert.ok((went[1]?.shaped ?? 0) < due / 20, `by nic1: ${went[1]?.shaped}`);
      for (const { name, direct } of went) assert.equal(direct, 0, `unshaped by ${name}`);
    },
  );
});

/** Frames that each uplink let out in the default class, and past all classes. */
function readCounts(): readonly { readonly shaped: number; readonly direct: number }[] {
  interface Qdisc {
    readonly kind: string;
    readonly options?: { readonly direct_packets_stat?: number };
  }
  return uplinkNames().map((name) => {
    const htb = readJson<Qdisc>("tc", `-s qdisc show dev ${name}`).find(
      ({ kind }) => kind === "htb",
    );
    const direct = htb?.options?.direct_packets_stat;
    assert.ok(direct !== undefined, `tc tells of ${name} what went out directly`);
    return { shaped: readClassCounts(name).get(DEFAULT_CLASS)?.packets ?? 0, direct };
  });
}
