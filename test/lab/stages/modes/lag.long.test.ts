import assert from "node:assert/strict";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { type Guest, startGuest, whereIs } from "../../guests.ts";
import { isDistributing, setActivePort } from "../../host.ts";
import { measurePulls, median } from "../../loss.ts";
import { allAtHome, leavesBy } from "../../reached.ts";
import { outside } from "../../switch.ts";
import { until } from "../../wait.ts";
import { assertReached, modesConfig, readSteadyState, type Wired, wire } from "./wired.ts";

const prefer = (uplink: string) => `<uplink:placement prefer="${uplink}"/>`;
const XOR = { mode: "balance-xor", bondOptions: "xmit_hash_policy vlan+srcmac" } as const;
const WIRED: readonly Wired[] = [
  { title: "balance-xor by hash, a static group", host: XOR, bundle: "balance-xor" },
  { title: "balance-xor by hash, separate ports", host: XOR, bundle: null },
  {
    title: "balance-xor by redirect, a static group",
    host: { mode: "balance-xor" },
    bundle: "balance-xor",
    team: "steering: redirect",
  },
];
const BACKUP: Wired = { title: "active-backup", host: { mode: "active-backup" }, bundle: null };
const LACP: Wired = {
  title: "802.3ad by redirect",
  host: { mode: "802.3ad" },
  bundle: "802.3ad",
  team: "steering: redirect",
};
/** A guest goes home so often within three minutes, and then stays where it is. */
const PULLS = 2;

describe("bonds that hash", () => {
  let daemon: Daemon;
  let guests: readonly Guest[];
  afterEach(() => daemon?.kill());

  async function install(wired: Wired): Promise<void> {
    daemon = await startDaemon({ config: modesConfig(wired) });
    guests = [startGuest(1, "first", prefer("nic0")), startGuest(2, "second", prefer("nic1"))];
  }

  for (const wired of WIRED) {
    it(`${wired.title}: each guest where status says, in its class; and given back`, async () => {
      await wire(wired);
      const before = await readSteadyState();
      await install(wired);
      const places: Awaited<ReturnType<typeof whereIs>>[] = [];
      for (const guest of guests) places.push(await whereIs(daemon, guest));
      const ways = guests.map((guest, index) =>
        leavesBy(guest.namespace, places[index]?.classId ?? ""),
      );
      assert.deepEqual(
        ways,
        places.map(({ via }) => via),
      );
      assert.deepEqual(ways.toSorted(), ["nic0", "nic1"]);
      assertReached(guests, wired.title);
      await daemon.release();
      const ours = /52:54:00:00:00:0|tap[12]|vm[12]|7570/;
      const after = await readSteadyState();
      assert.ok(!after.some((line) => line.includes("7570")), "nothing of ours is left");
      assert.deepEqual(
        after.filter((line) => /bond_slave|qdisc (htb|clsact)/.test(line) && !ours.test(line)),
        before.filter((line) => /bond_slave|qdisc (htb|clsact)/.test(line)),
      );
    }).timeout(180_000);
  }

  it("a pulled cable costs a redirected vNIC no more than one on a failed active port", async () => {
    const measure = async (wired: Wired, settle: () => Promise<unknown>) => {
      await wire(wired);
      await settle();
      await install(wired);
      const [first] = guests;
      assert.ok(first !== undefined);
      const { pulls } = await measurePulls({
        ...{ a: first, b: outside, cable: 0, pulls: PULLS },
        afterPlug: async () => {
          await allAtHome(daemon, guests);
          await settle();
        },
      });
      await daemon.kill();
      const lost = pulls.map(({ there, back }) => Math.max(there, back));
      console.log(`      ${wired.title}: ${lost.join(" ")}`);
      return median(lost);
    };
    const backup = await measure(BACKUP, () => setActivePort("nic0"));
    const redirected = await measure(LACP, () =>
      until("LACP agreed", () => isDistributing("nic0"), 15_000),
    );
    assert.ok(redirected <= backup, `${redirected} lost, an active port's ${backup}`);
  }).timeout(300_000);
});
