// What a busy TCP connection notices of a move that evens out load; the moves themselves are in balance.long.test.ts.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { inNamespace, run, tc } from "../../command.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { LabFault } from "../../fault.ts";
import { startGuest, whereIs } from "../../guests.ts";
import { Conversation, lostBetween } from "../../loss.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { outside, switchNamespace } from "../../switch.ts";
import { Flood, measureClassRates, Sink, Stream } from "../../traffic.ts";
import { until } from "../../wait.ts";
import { buildSkewed, skewedConfig } from "./skew.ts";

/** The guest's own line limits it, so that what is lost on ours is lost by the move and not by a full queue. */
const OWN_LINE = 3e6;
/** A handful. */
const MOST_OUT_OF_ORDER = 5;
const QUIET_MS = 6000;
const INTERVAL_US = 5000;

describe("a team whose load is evened out under a TCP connection", () => {
  let daemon: Daemon;

  beforeEach(buildSkewed);
  afterEach(() => daemon.kill());

  itEnforces(
    "claim 7: moves a TCP connection that is busy without a loss, and nearly in order",
    { sabotage: ["pins gone"], timeoutMs: 180_000 },
    async (strike) => {
      daemon = await startDaemon({ config: skewedConfig("off") });
      const mover = startGuest(1, "mover", '<uplink:bandwidth reservation="6mbit"/>');
      const stays = startGuest(2, "stays", '<uplink:placement prefer="nic0"/>');
      assert.equal((await whereIs(daemon, mover)).via, "nic0");
      const line = `tbf rate ${OWN_LINE}bit burst 3kb limit 1mb`;
      tc([`qdisc add dev eth0 root ${line}`], mover.namespace);
      const sink = new Sink(outside);
      const flood = new Flood({ from: stays, to: outside, bitsPerSecond: 9e6 });
      const stream = new Stream({ from: mover, to: outside });
      const talk = await Conversation.start({
        a: mover,
        b: outside,
        intervalMicroseconds: INTERVAL_US,
      });
      await sleep(2000);
      const quietMs = talk.nowMs();
      const quiet = await noticed(mover.namespace, () => sleep(QUIET_MS));
      const movingMs = talk.nowMs();
      const moving = await noticed(mover.namespace, async () => {
        daemon.reconfigure(skewedConfig("on"));
        await until(
          "moved",
          async () => (await whereIs(daemon, mover)).via === "nic1",
          30_000,
          500,
        );
        await sleep(2000);
      });
      const movedMs = talk.nowMs();
      const { classId } = await whereIs(daemon, mover);
      strike(daemon);
      const rate = (await measureClassRates(["nic1"], 2000)).get("nic1")?.get(classId) ?? 0;
      const { there, back, latestMs } = await talk.finish(Number.POSITIVE_INFINITY);
      const lost = (fromMs: number, toMs: number) =>
        [there, back].map((way) => lostBetween(way, fromMs, toMs));
      const found = {
        quiet: { ...quiet, datagramsLost: lost(quietMs, movingMs) },
        moving: { ...moving, datagramsLost: lost(movingMs, movedMs) },
        latestMs,
        bitsPerSecondAfter: Math.round(rate),
      };
      console.log(`      ${JSON.stringify(found)}`);
      assert.ok((await stream.stop()).bytes > 1e6);
      await flood.stop();
      await sink.stop();
      assert.ok(rate > OWN_LINE * 0.8, `${rate} bit/s by its new uplink`);
      if (quiet.lost > 0 || quiet.outOfOrder > MOST_OUT_OF_ORDER)
        throw new LabFault("the lab loses or reorders without a move");
      assert.deepEqual(found.moving.datagramsLost, [0, 0]);
      assert.equal(moving.lost, 0);
      assert.ok(moving.outOfOrder <= MOST_OUT_OF_ORDER, `${moving.outOfOrder} out of order`);
    },
  );
});

interface Noticed {
  /** Segments that came before one that was sent earlier. */
  readonly outOfOrder: number;
  readonly sentAgain: number;
  /** Sent again, and the receiver didn't say that it had them already (DSACK): two emulated processors reorder by themselves. */
  readonly lost: number;
}

/** What the two ends of the guest's connection count meanwhile. */
async function noticed(sender: string, during: () => Promise<unknown>): Promise<Noticed> {
  const count = () => ({
    outOfOrder: tcpCount(switchNamespace, "TcpExtTCPOFOQueue"),
    sentAgain: tcpCount(sender, "TcpRetransSegs"),
    needless: tcpCount(sender, "TcpExtTCPDSACKRecv"),
  });
  const before = count();
  await during();
  const after = count();
  const sentAgain = after.sentAgain - before.sentAgain;
  return {
    outOfOrder: after.outOfOrder - before.outOfOrder,
    sentAgain,
    lost: Math.max(0, sentAgain - (after.needless - before.needless)),
  };
}

/** One of a namespace's own counters. */
function tcpCount(namespace: string, name: string): number {
  const [program = "", ...args] = [...inNamespace(namespace), "nstat", "-asz"];
  const text = run(program, ...args);
  const found = new RegExp(`^${name}\\s+(\\d+)`, "m").exec(text)?.[1];
  if (found === undefined) throw new Error(`nstat has no ${name}: ${text}`);
  return Number(found);
}
