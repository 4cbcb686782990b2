import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { startGuest, whereIs } from "../../guests.ts";
import { uplinkNames } from "../../host.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { outside } from "../../switch.ts";
import { Flood, measureClassRates, Sink } from "../../traffic.ts";
import { until } from "../../wait.ts";
import { buildSkewed, SPEED_BITS_PER_SECOND, skewedConfig, WINDOW_MS } from "./skew.ts";

const THRESHOLD = 0.1;

/** How far each uplink's rate, as HTB counts it, is from both uplinks' mean, as a part of capacity. */
async function unevenness(): Promise<number> {
  const rates = await measureClassRates(uplinkNames(), 3000);
  const [one = 0, other = 0] = uplinkNames().map((uplink) => rates.get(uplink)?.get("7570:1") ?? 0);
  return Math.abs(one - other) / 2 / SPEED_BITS_PER_SECOND;
}

const at = (uplink: string) => `<uplink:placement prefer="${uplink}"/>`;

describe("a team whose load is evened out", () => {
  let daemon: Daemon;

  beforeEach(buildSkewed);
  afterEach(() => daemon.kill());

  const events = async (id: string) => (await daemon.events()).filter((event) => event.id === id);

  itEnforces(
    "claims 6 and 7: moves one vNIC of a skewed load, is even by it, and holds still for 10 windows",
    { sabotage: ["pins gone"] },
    async (strike) => {
      daemon = await startDaemon({ config: skewedConfig("suggest") });
      // Both are put on nic0: the one since it is first, the other for its wish.
      const mover = startGuest(1, "mover", "");
      const stays = startGuest(2, "stays", at("nic0"));
      for (const guest of [mover, stays]) assert.equal((await whereIs(daemon, guest)).via, "nic0");
      const sink = new Sink(outside);
      const floods = [
        new Flood({ from: mover, to: outside, bitsPerSecond: 9e6, port: 5100 }),
        new Flood({ from: stays, to: outside, bitsPerSecond: 11e6, port: 5100 }),
      ];
      await until(
        "a suggestion",
        async () => (await events("move-suggested")).length > 0,
        20_000,
        200,
      );
      assert.match(
        (await daemon.explain("mover")).vnics[0]?.reasons.join("\n") ?? "",
        /suggested: from nic0 to nic1/,
      );
      assert.equal((await whereIs(daemon, mover)).home, "nic0", "suggested only");
      assert.ok((await unevenness()) > THRESHOLD);

      daemon.reconfigure(skewedConfig("on"));
      await until("a move", async () => (await whereIs(daemon, mover)).via === "nic1", 20_000, 200);
      await sleep(10 * WINDOW_MS);
      const told = (await events("vnic-moved")).map(({ message }) => message);
      assert.equal(told.length, 1, told.join("\n"));
      assert.match(told[0] ?? "", /moved from nic0 to nic1 with its .*even is/);
      assert.match(
        (await daemon.explain("mover")).vnics[0]?.reasons.join("\n") ?? "",
        /moved .* ago/,
      );
      const [team] = (await daemon.status()).teams;
      const sent = team?.uplinks.map((uplink) => uplink.sentBitsPerSecond ?? 0) ?? [];
      assert.ok(
        sent.every(
          (rate) => rate > 0.1 * SPEED_BITS_PER_SECOND && rate < 0.4 * SPEED_BITS_PER_SECOND,
        ),
        String(sent),
      );
      strike(daemon);
      const after = await unevenness();
      assert.ok(after <= THRESHOLD, `uneven by ${after}`);
      for (const flood of floods) await flood.stop();
      await sink.stop();
    },
  );
});
