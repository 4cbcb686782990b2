import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { tc } from "../../command.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { type Guest, labConfig, startGuest, whereIs } from "../../guests.ts";
import { buildHost, readClassCounts, uplinkNames } from "../../host.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { addStandin, type Standin } from "../../standin.ts";
import { outside } from "../../switch.ts";
import { Flood, Sink } from "../../traffic.ts";

/** What a guest sends by itself in a second or two, and what still waits: few against the hundreds of a flood. */
const OWN_FRAMES = 20;

/** The class that HTB takes from skb->priority is on each of its frames as it comes from the tap. */
const bear = ({ tap }: Standin, classId: string) =>
  tc([
    `qdisc add dev ${tap} clsact`,
    `filter add dev ${tap} ingress matchall action skbedit priority ${classId}`,
  ]);

/** On a machine that others use the sender takes a second to start. */
const SEND_MS = 3000;

/** @returns frames that went by the class on all uplinks, and datagrams that arrived */
async function sendFor(from: Standin, classId: string) {
  const count = () =>
    uplinkNames().reduce((sum, up) => sum + (readClassCounts(up).get(classId)?.packets ?? 0), 0);
  const sink = new Sink(outside);
  const before = count();
  const flood = new Flood({ from, to: outside, bitsPerSecond: 1e6, frameBytes: 250 });
  await sleep(SEND_MS);
  await flood.stop();
  const { datagrams } = await sink.stop();
  return { went: count() - before, arrived: datagrams };
}

describe("a frame that bears another's class when it comes", () => {
  let daemon: Daemon;
  afterEach(() => daemon.stop());

  itEnforces(
    "goes by its sender's own class, and without one by the default class",
    { sabotage: ["catch-all gone"], timeoutMs: 120_000 },
    async (strike) => {
      await resetToBare();
      await buildHost();
      daemon = await startDaemon({ config: labConfig() });
      const victim = startGuest(1, "victim", "");
      const bearer: Guest = startGuest(2, "bearer", "");
      const stranger = addStandin({ number: 3, mac: "52:54:00:00:00:03" });
      const { classId } = await whereIs(daemon, victim);
      for (const sender of [bearer, stranger]) bear(sender, classId);
      strike(daemon);
      for (const sender of [bearer, stranger]) {
        const { went, arrived } = await sendFor(sender, classId);
        console.log(`      ${JSON.stringify({ went, arrived })}`);
        assert.ok(arrived > 100, "it is sent");
        assert.ok(went <= OWN_FRAMES, `${went} frames went by the victim's class`);
      }
    },
  );
});
