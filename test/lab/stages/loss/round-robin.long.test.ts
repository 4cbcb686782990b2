import assert from "node:assert/strict";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { startGuest, whereIs } from "../../guests.ts";
import { host } from "../../host.ts";
import { measurePulls, median } from "../../loss.ts";
import { leavesBy } from "../../reached.ts";
import { outside } from "../../switch.ts";
import { until } from "../../wait.ts";
import { hostLeavesBy, modesConfig, type Wired, wire } from "../modes/wired.ts";

const prefer = (uplink: string) => `<uplink:placement prefer="${uplink}"/>`;
const RR: Wired = { title: "balance-rr", host: { mode: "balance-rr" }, bundle: "balance-xor" };
const PULLS = 5;

describe("a balance-rr bond", () => {
  let daemon: Daemon;
  afterEach(() => daemon.kill());

  it("loses at most a frame by a pull in the median, the daemon dead: the driver itself sends by another port", async () => {
    await wire(RR);
    daemon = await startDaemon({ config: modesConfig(RR) });
    const guest = startGuest(2, "second", prefer("nic1"));
    const { classId } = await whereIs(daemon, guest);
    // With a daemon a vNIC stays away after its second return within three minutes.
    await daemon.kill();
    for (const { name, end, home, usedUplink } of [
      {
        name: "a guest",
        end: guest,
        home: "nic1",
        usedUplink: () => leavesBy(guest.namespace, classId),
      },
      { name: "the host", end: host, home: "nic0", usedUplink: hostLeavesBy },
    ]) {
      const atHome = () => until(`${name} at home`, () => usedUplink() === home, 20_000, 300);
      await atHome();
      const { pulls } = await measurePulls({
        a: end,
        b: outside,
        cable: home === "nic0" ? 0 : 1,
        pulls: PULLS,
        settleMs: 400,
        afterPlug: async () => {
          await atHome();
        },
      });
      const there = pulls.map((pulled) => pulled.there);
      const back = pulls.map((pulled) => pulled.back);
      console.log(`      ${name}: there ${there.join(" ")}, back ${back.join(" ")}`);
      // Bonding's own fallback is for the very frame; what waits in the lost NIC's queue goes with it.
      assert.ok(median(there) <= 1, `${name} lost ${there.join(", ")} by pulls`);
    }
  });
});
