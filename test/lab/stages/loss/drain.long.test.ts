import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { type Daemon, startDaemon, startDomain, stopDomain } from "../../daemon.ts";
import { startGuest, whereIs } from "../../guests.ts";
import { activePort, buildHost, readClassCounts, setActivePort } from "../../host.ts";
import { Conversation } from "../../loss.ts";
import { plug, pull } from "../../qmp.ts";
import { allAtHome, HOLD_DOWN_MS, quickConfig } from "../../reached.ts";
import { outside } from "../../switch.ts";
import { until } from "../../wait.ts";

const annotation = (uplink: string, mbit: number) =>
  `<uplink:bandwidth reservation="${mbit}mbit"/><uplink:placement prefer="${uplink}"/>`;

describe("an uplink that is drained", () => {
  let daemon: Daemon;

  beforeEach(async () => {
    await resetToBare();
    await buildHost();
    await setActivePort("nic1");
    daemon = await startDaemon({ config: quickConfig() });
  });
  afterEach(() => daemon.kill());

  it("loses no frame of a guest when it is drained and pulled, stays drained over a restart, is refused where a reservation would break", async () => {
    const guest = startGuest(1, "guest", annotation("nic1", 15));
    const big = { name: "big", macs: ["52:54:00:00:00:02"], annotation: annotation("nic0", 30) };
    startDomain(big);
    const { classId } = await whereIs(daemon, guest);
    await assert.rejects(
      daemon.drain("nic1"),
      /409 .*domain guest .* would keep .* of its reservation of 15mbit/,
    );
    stopDomain(big);
    const talk = await Conversation.start({ a: guest, b: outside });
    await sleep(500);
    const { carries, problems } = await daemon.drain("nic1");
    assert.deepEqual([carries, problems], [[], []]);
    await until("the other port active", () => activePort() === "nic0");
    await sleep(200);
    const sentBefore = readClassCounts("nic1").get(classId)?.packets ?? 0;
    await sleep(500);
    const sentMeanwhile = (readClassCounts("nic1").get(classId)?.packets ?? 0) - sentBefore;
    await pull(1);
    await sleep(700);
    // Whether anything is lost matters here, not when: a machine that is busy makes the senders late.
    const { there, back } = await talk.finish(Number.POSITIVE_INFINITY);
    console.log(
      `      ${JSON.stringify({ sent: there.sent, there: there.gaps, back: back.gaps, sentMeanwhile })}`,
    );
    await daemon.kill();
    daemon = await startDaemon({ config: quickConfig(), keepState: true });
    // What libvirt would tell the new daemon.
    startDomain(guest.domain);
    await plug(1);
    await sleep(2 * HOLD_DOWN_MS);
    const drained = (await daemon.status()).teams[0]?.uplinks.find(({ name }) => name === "nic1");
    const still = await whereIs(daemon, guest);
    await daemon.undrain("nic1");
    await allAtHome(daemon, [guest]);
    assert.ok(there.sent >= 1000 && back.sent >= 1000, `sent ${there.sent} and ${back.sent}`);
    assert.equal(sentMeanwhile, 0, "nothing of it goes by the drained uplink");
    assert.equal(drained?.drained, true, "the journal kept it");
    assert.deepEqual([still.home, still.via], ["nic1", "nic0"]);
    assert.ok(there.lost <= 1 && back.lost <= 1, `${there.lost} and ${back.lost} lost`);
  });
});
