import assert from "node:assert/strict";
import { type Daemon, startDaemon, startDomain } from "../../daemon.ts";
import { type Guest, startGuest, whereIs } from "../../guests.ts";
import { attribute, isDistributing } from "../../host.ts";
import { itLong } from "../../long.ts";
import { Conversation } from "../../loss.ts";
import { plug, pull } from "../../qmp.ts";
import { allAtHome, leavesBy } from "../../reached.ts";
import { isSabotaged, itEnforces } from "../../sabotage-kit.ts";
import { addStandin } from "../../standin.ts";
import { outside, unbundle } from "../../switch.ts";
import { until } from "../../wait.ts";
import {
  assertFlowed,
  assertReached,
  modesConfig,
  readSteadyState,
  type Wired,
  wire,
} from "./wired.ts";

const prefer = (uplink: string) => `<uplink:placement prefer="${uplink}"/>`;
const REDIRECT: Wired = {
  title: "redirect",
  host: { mode: "802.3ad" },
  bundle: "802.3ad",
  team: "steering: redirect",
};
const HASH: Wired = {
  title: "hash",
  host: { mode: "802.3ad", bondOptions: "xmit_hash_policy vlan+srcmac" },
  bundle: "802.3ad",
};

describe("an 802.3ad bond with a partner", () => {
  let daemon: Daemon;
  let guests: readonly Guest[];
  afterEach(() => daemon.kill());

  async function install(wired: Wired): Promise<void> {
    await wire(wired);
    daemon = await startDaemon({ config: modesConfig(wired) });
    guests = [startGuest(1, "first", prefer("nic0")), startGuest(2, "second", prefer("nic1"))];
  }

  async function readPlaces() {
    const found = [];
    for (const guest of guests) found.push(await whereIs(daemon, guest));
    return found;
  }

  const ways = (classIds: readonly string[]) =>
    guests.map((guest, index) => leavesBy(guest.namespace, classIds[index] ?? ""));

  itEnforces(
    "by redirect sends each guest's frames by its home in its class, by another port when that one is lost or LACP gives it up, and home again",
    { sabotage: ["redirects astray", "vNIC filters gone"], timeoutMs: 180_000 },
    async (strike) => {
      await install(REDIRECT);
      const classIds = (await readPlaces()).map(({ classId }) => classId);
      strike(daemon);
      assert.deepEqual(ways(classIds), ["nic0", "nic1"], "at home");
      assertReached(guests, "at home");
      if (isSabotaged) return;
      await pull(1);
      await until("both by nic0", () => ways(classIds).join() === "nic0,nic0");
      assertReached(guests, "nic1 away");
      await plug(1);
      await until("LACP agreed again", () => isDistributing("nic1"), 15_000);
      await allAtHome(daemon, guests);
      assert.deepEqual(ways(classIds), ["nic0", "nic1"], "home again");
      // The cable stays; the switch's configuration is what fails.
      unbundle(0);
      await until("LACP gave nic0 up", () => !isDistributing("nic0"), 15_000);
      await until("both by nic1", () => ways(classIds).join() === "nic1,nic1");
      assertReached(guests, "nic0 given up");
      const { teams } = await daemon.status();
      const reason = teams[0]?.uplinks.find(({ name }) => name === "nic0")?.reason ?? "";
      assert.match(reason, /LACP has not agreed/);
    },
  );

  itEnforces(
    "by hash sends each guest's frames by the port that was foreseen, in its class, without user space, too",
    { sabotage: ["vNIC filters gone"], long: true },
    async (strike) => {
      await install(HASH);
      const places = await readPlaces();
      const classIds = places.map(({ classId }) => classId);
      const foreseen = places.map(({ via }) => via);
      assert.deepEqual(foreseen.toSorted(), ["nic0", "nic1"], "the two have different ports");
      assert.deepEqual(ways(classIds), foreseen, "as foreseen");
      await daemon.kill();
      strike(null);
      for (const cable of [1, 0]) {
        const other = `nic${1 - cable}`;
        await pull(cable);
        await until(
          "bonding sees it",
          () => attribute(`nic${cable}`, "bonding_slave/mii_status") === "down",
        );
        await until("both by the other", () => ways(classIds).join() === `${other},${other}`);
        assertReached(guests, `nic${cable} away, no daemon`);
        await plug(cable);
        await until("LACP agreed again", () => isDistributing(`nic${cable}`), 15_000);
        await until("as foreseen again", () => ways(classIds).join() === foreseen.join());
      }
    },
  );

  itLong(
    "is given back exactly as it was, and traffic flows while installing and releasing",
    async () => {
      await wire(REDIRECT);
      const standin = addStandin({ number: 3, queues: 4 });
      const before = await readSteadyState();
      const talk = await Conversation.start({ a: standin, b: outside, intervalMicroseconds: 4000 });
      daemon = await startDaemon({ config: modesConfig(REDIRECT) });
      startDomain({ name: "third", macs: [standin.mac] });
      const refused = await daemon.release();
      const { there, back } = await talk.finish(Number.POSITIVE_INFINITY);
      console.log(`      ${there.sent} sent, lost ${there.lost} there, ${back.lost} back`);
      assert.ok(refused.steps.length > 5, "there was something to take away");
      assert.deepEqual(await readSteadyState(), before);
      assertFlowed({ there, back });
    },
  );
});
