import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { ip, tc } from "../../command.ts";
import { callHook, type Daemon, startDaemon, stopDomain } from "../../daemon.ts";
import { type Guest, labConfig, startGuest, whereIs } from "../../guests.ts";
import { buildHost, readClassCounts } from "../../host.ts";
import { KernelWatch } from "../../kernel-watch.ts";
import { Conversation } from "../../loss.ts";
import { outside } from "../../switch.ts";
import { until } from "../../wait.ts";

/**
 * A daemon that starts takes both of the lab's processors for seconds, and the senders make up for it at once. So
 * nothing here is timed, and a burst is to be smaller than a queue.
 */
const LATE_MS = 3500;
const INTERVAL_MICROSECONDS = 4000;

/** One on each uplink, and each in a class of its own. */
const GUESTS = [
  ["reserved", '<uplink:bandwidth reservation="8mbit"/><uplink:placement prefer="nic1"/>'],
  ["limited", '<uplink:bandwidth limit="8mbit"/><uplink:placement prefer="nic0"/>'],
] as const;

describe("a daemon that ends and starts again", () => {
  let daemon: Daemon;
  let watch: KernelWatch | undefined;
  beforeEach(resetToBare);
  afterEach(async () => {
    watch?.stop();
    await daemon.stop();
  });

  it("adopts all it finds after a kill -9 and after a stop: nothing is rebuilt, no frame is lost", async () => {
    await buildHost();
    daemon = await startDaemon({ config: labConfig() });
    const guests = GUESTS.map(([name, annotation], index) =>
      startGuest(index + 1, name, annotation),
    );
    const placed = await placesOf(daemon, guests);
    const [guest] = guests;
    assert.ok(guest !== undefined);
    watch = await watchKernel();
    const before = readClassCounts("nic1");
    const conversation = await Conversation.start({
      a: guest,
      b: outside,
      intervalMicroseconds: INTERVAL_MICROSECONDS,
    });
    await daemon.kill();
    daemon = await startDaemon({ config: labConfig(), keepState: true });
    // No libvirt tells of any domain, and the timed look (5 s) finds strangers' classes: they stay.
    await sleep(5500);
    assert.equal((await daemon.status()).domains.length, 0, "nobody has told of the domains yet");
    const afterKill = await watch.read();
    await daemon.stop();
    daemon = await startDaemon({ config: labConfig(), keepState: true });
    const { there, back } = await conversation.finish(LATE_MS);
    const afterStop = await watch.read();
    const counts = readClassCounts("nic1");
    for (const each of guests) callHook("reconnect", "begin", each.domain);
    const told = await placesOf(daemon, guests);
    const after = await watch.read();
    const packets =
      (counts.get(told[0]?.classId ?? "")?.packets ?? 0) -
      (before.get(placed[0]?.classId ?? "")?.packets ?? 0);
    console.log(
      `      ${there.sent} frames each way, lost ${there.lost} there and ${back.lost} back; ` +
        `${packets} counted by the same class`,
    );
    const all = [afterKill, afterStop, after];
    assert.deepEqual(
      all.map(({ tc: changes }) => changes),
      ["", "", ""],
      "no qdisc, class or filter was touched",
    );
    assert.deepEqual(
      all.flatMap((seen) => uplinksIn(seen.ip)),
      [],
      "nor an uplink",
    );
    assert.deepEqual(told, placed, "homes and class ids are the same");
    assert.deepEqual([there.lost, back.lost], [0, 0]);
    assert.ok(packets >= there.sent, "the class's counter went on");
    assert.doesNotMatch(daemon.log(), /^<[34]>(?!libvirt-down)/m);

    // Whoever ends without the daemon ever having been told of it leaves nothing either.
    await daemon.kill();
    daemon = await startDaemon({ config: labConfig(), keepState: true });
    stopDomain(guest.domain);
    await until(
      "the ended domain's class to go",
      () => !readClassCounts("nic1").has(placed[0]?.classId ?? ""),
    );
    assert.ok(readClassCounts("nic0").has(placed[1]?.classId ?? ""), "the other's stays");
  });
});

/** A bridge's new ports tell of themselves once more after its forward delay: only uplinks count. */
function uplinksIn(told: string): readonly string[] {
  return told.split("\n").filter((line) => /^\d+: (nic\d|bond0:.* state DOWN)/.test(line));
}

async function placesOf(daemon: Daemon, guests: readonly Guest[]) {
  const places = [];
  for (const guest of guests) places.push(await whereIs(daemon, guest));
  return places;
}

/** A device of nobody's, made and taken away with its queue, is told of by both. */
function watchKernel(): Promise<KernelWatch> {
  return KernelWatch.start(
    () => {
      ip(["link add nobody type dummy"]);
      tc(["qdisc add dev nobody root pfifo limit 7"]);
      ip(["link del nobody"]);
    },
    (tcText, ipText) => tcText.includes("nobody") && ipText.includes("nobody"),
  );
}
