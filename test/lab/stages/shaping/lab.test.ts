import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { tc } from "../../command.ts";
import { LabFault } from "../../fault.ts";
import { buildHost } from "../../host.ts";
import { median } from "../../loss.ts";
import { addStandin, ping } from "../../standin.ts";
import { outside, switchAddress } from "../../switch.ts";
import { Flood, measureClassRates, Sink, Stream, Watch } from "../../traffic.ts";

const megabit = 1_000_000;

/** HTB as an operator would set it up, with a class per stand-in. */
function shape(uplink: string, rates: readonly number[]): void {
  tc([
    `qdisc add dev ${uplink} root handle 1: htb default ff`,
    `class add dev ${uplink} parent 1: classid 1:1 htb rate 40mbit quantum 60000`,
    `class add dev ${uplink} parent 1:1 classid 1:ff htb rate 1mbit ceil 40mbit quantum 60000`,
    ...rates.flatMap((rate, index) => [
      `class add dev ${uplink} parent 1:1 classid 1:1${index} htb rate ${rate}bit burst 64k cburst 64k quantum 60000`,
      `filter add dev ${uplink} parent 1: protocol all pref ${index + 1} flower src_mac 52:54:00:00:00:0${index + 1} classid 1:1${index}`,
    ]),
  ]);
}

describe("the lab's traffic meters", () => {
  beforeEach(resetToBare);

  // More at once than any test of the stage lets through: the fullest line there has 20 Mbit/s.
  it("carry 24 Mbit/s of datagrams and of TCP, and agree with the classes' counters", async () => {
    await buildHost({ speedMbit: 40 });
    shape("nic0", [16 * megabit, 8 * megabit]);
    const one = addStandin({ number: 1 });
    const two = addStandin({ number: 2 });
    assert.equal(ping(one.namespace, switchAddress), 5);
    assert.equal(ping(two.namespace, switchAddress), 5);
    const [datagrams, stream] = [new Sink(outside), new Sink(outside, { port: 5200 })];
    await sleep(500);
    const flood = new Flood({ from: one, to: outside, bitsPerSecond: 20 * megabit });
    const tcp = new Stream({ from: two, to: outside, port: 5200 });
    await sleep(1500);
    const rates = await measureClassRates(["nic0"], 4000);
    const offered = await flood.stop();
    await tcp.stop();
    const [taken, streamed] = [await datagrams.stop(), await stream.stop()];
    const [ofOne = 0, ofTwo = 0] = ["1:10", "1:11"].map((id) => rates.get("nic0")?.get(id));
    // What falls short of this, a busy machine takes: no figure of the stage would be true.
    for (const [what, rate, wanted] of [
      ["the flood's own rate", offered.bitsPerSecond, 20],
      ["UDP", ofOne, 16],
      ["TCP", ofTwo, 8],
    ] as const) {
      if (Math.abs(rate / (wanted * megabit) - 1) < 0.05) continue;
      throw new LabFault(`${what}: ${(rate / megabit).toFixed(2)} of ${wanted} Mbit/s`);
    }
    // Four windows a second; headers take 42 bytes of 1000, and 66 of 1514.
    const takenRate = median(taken.windows) * 4 * 8 * (1000 / 958);
    const streamedRate = median(streamed.windows) * 4 * 8 * (1514 / 1448);
    assert.ok(Math.abs(takenRate / ofOne - 1) < 0.05, `UDP at ${ofOne}, ${takenRate} arrived`);
    assert.ok(
      Math.abs(streamedRate / ofTwo - 1) < 0.05,
      `TCP at ${ofTwo}, ${streamedRate} arrived`,
    );
  });

  it("see frames that come twice and frames that come back", async () => {
    await buildHost({ mode: "balance-rr" });
    const guest = addStandin({ number: 1 });
    const watch = new Watch(guest.namespace);
    await sleep(500);
    // A bond without a word to its switch hears its own broadcasts by the other port.
    ping(guest.namespace, "10.9.0.77", { count: 3, intervalMs: 200 });
    const count = await watch.stop();
    assert.ok(count.reflected > 0, `${count.reflected} of ${count.frames} came back`);
  });
});
