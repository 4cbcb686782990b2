import assert from "node:assert/strict";
import { type Daemon, startDaemon, startDomain } from "../../daemon.ts";
import { type Guest, startGuest, whereIs } from "../../guests.ts";
import { attribute, isPromiscuous } from "../../host.ts";
import { Conversation } from "../../loss.ts";
import { plug, pull } from "../../qmp.ts";
import { leavesBy } from "../../reached.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { addStandin } from "../../standin.ts";
import { outside } from "../../switch.ts";
import { until } from "../../wait.ts";
import {
  assertFlowed,
  assertReached,
  hostLeavesBy,
  modesConfig,
  readSteadyState,
  type Wired,
  wire,
} from "./wired.ts";

const prefer = (uplink: string) => `<uplink:placement prefer="${uplink}"/>`;
const RR: Wired = { title: "balance-rr", host: { mode: "balance-rr" }, bundle: "balance-xor" };

describe("a balance-rr bond", () => {
  let daemon: Daemon;
  let first: Guest;
  let second: Guest;
  let guests: readonly Guest[];

  beforeEach(() => wire(RR));
  afterEach(() => daemon.kill());

  async function install(): Promise<void> {
    daemon = await startDaemon({ config: modesConfig(RR) });
    first = startGuest(1, "first", prefer("nic0"));
    second = startGuest(2, "second", prefer("nic1"));
    guests = [first, second];
  }

  itEnforces(
    "sends each guest's frames by its home and the host's by one port, each in its class, without user space, too",
    {
      sabotage: ["pins gone", "queue ids gone", "standby classes gone", "catch-all gone"],
      timeoutMs: 180_000,
    },
    async (strike) => {
      await install();
      const classIds = [
        (await whereIs(daemon, first)).classId,
        (await whereIs(daemon, second)).classId,
      ];
      const ways = () =>
        guests.map((guest, index) => leavesBy(guest.namespace, classIds[index] ?? ""));
      const homes = ["nic0", "nic1"];
      assert.deepEqual(ways(), homes, "at home");
      assert.equal(
        isPromiscuous("nic0"),
        false,
        "no port of it is inactive: nothing to be made promiscuous",
      );
      await daemon.kill();
      strike(null);
      assert.deepEqual(ways(), homes, "at home, no daemon");
      assert.equal(hostLeavesBy(), "nic0", "the host's own frames");
      assertReached(guests, "no daemon");
      for (const cable of [1, 0]) {
        const other = `nic${1 - cable}`;
        await pull(cable);
        await until(
          "bonding sees it",
          () => attribute(`nic${cable}`, "bonding_slave/mii_status") === "down",
        );
        assert.deepEqual(ways(), [other, other], `nic${cable} away, no daemon`);
        assert.equal(hostLeavesBy(), other, `the host's, nic${cable} away`);
        assertReached(guests, `nic${cable} away`);
        await plug(cable);
        await until("at home again", () => ways().join() === homes.join());
      }
    },
  );

  it("is given back exactly as it was, and traffic flows while installing and releasing", async () => {
    const standin = addStandin({ number: 3, queues: 4 });
    const before = await readSteadyState();
    const talk = await Conversation.start({ a: standin, b: outside, intervalMicroseconds: 4000 });
    daemon = await startDaemon({ config: modesConfig(RR) });
    const guest = { name: "third", macs: [standin.mac] };
    startDomain(guest);
    await daemon.release();
    const { there, back } = await talk.finish(Number.POSITIVE_INFINITY);
    console.log(`      ${there.sent} sent, lost ${there.lost} there, ${back.lost} back`);
    assert.deepEqual(await readSteadyState(), before);
    assertFlowed({ there, back });
  });
});
