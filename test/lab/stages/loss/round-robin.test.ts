import assert from "node:assert/strict";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { type Guest, startGuest } from "../../guests.ts";
import { host } from "../../host.ts";
import { measurePulls } from "../../loss.ts";
import { outside } from "../../switch.ts";
import { allAtHome, modesConfig, type Wired, wire } from "../modes/wired.ts";

const prefer = (uplink: string) => `<uplink:placement prefer="${uplink}"/>`;
const RR: Wired = { title: "balance-rr", host: { mode: "balance-rr" }, bundle: "balance-xor" };
/** A guest goes home so often within three minutes, and then stays where it is. */
const PULLS = 2;

describe("a balance-rr bond", () => {
  let daemon: Daemon;
  afterEach(() => daemon.kill());

  it("loses at most a frame by a pull: the driver itself sends by another port", async () => {
    await wire(RR);
    daemon = await startDaemon({ config: modesConfig(RR) });
    const first = startGuest(1, "first", prefer("nic0"));
    const second = startGuest(2, "second", prefer("nic1"));
    const guests: readonly Guest[] = [first, second];
    for (const [name, end] of [
      ["a guest", second],
      ["the host", host],
    ] as const) {
      const cable = name === "the host" ? 0 : 1;
      const { pulls } = await measurePulls({
        a: end,
        b: outside,
        cable,
        pulls: PULLS,
        settleMs: 400,
        afterPlug: () => allAtHome(daemon, guests),
      });
      const there = pulls.map((pulled) => pulled.there);
      const back = pulls.map((pulled) => pulled.back);
      console.log(`      ${name}: there ${there.join(" ")}, back ${back.join(" ")}`);
      // Bonding's own fallback is for the very frame; what waits in the lost NIC's queue goes with it.
      assert.ok(Math.min(...there) <= 1, `${name} lost ${there.join(", ")} by pulls`);
      assert.ok(Math.max(...there) <= 10, `${name} lost ${there.join(", ")} by pulls`);
    }
  }).timeout(180_000);
});
