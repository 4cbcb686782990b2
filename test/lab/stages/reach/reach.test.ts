import assert from "node:assert/strict";
import { resetToBare } from "../../bare.ts";
import { runAside, tc } from "../../command.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { type Guest, startGuest, whereIs } from "../../guests.ts";
import { activePort, attribute, buildHost, hostAddress, setActivePort } from "../../host.ts";
import { shareHost } from "../../one-host.ts";
import { plug, pull } from "../../qmp.ts";
import {
  allAtHome,
  askFromOutside,
  assertAllAnswered,
  quickConfig,
  solicitedNodeGroup,
} from "../../reached.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { ping } from "../../standin.ts";
import {
  forgetAddresses,
  outside,
  readGroups,
  runOutside,
  snoop,
  switchNamespace,
} from "../../switch.ts";
import { Watch } from "../../traffic.ts";
import { until } from "../../wait.ts";

const prefer = (uplink: string) => `<uplink:placement prefer="${uplink}"/>`;

describe("frames from outside reach vNICs wherever they are at home", () => {
  let daemon: Daemon;
  /** At home on the active port. */
  let first: Guest;
  /** At home on the other. */
  let second: Guest;
  let guests: readonly Guest[];

  // The last of these tests ends the daemon; what comes before leaves everybody at home.
  shareHost(
    async () => {
      await resetToBare();
      snoop(true);
      await buildHost();
      await setActivePort("nic0");
      daemon = await startDaemon({ config: quickConfig() });
      first = startGuest(1, "first", prefer("nic0"));
      second = startGuest(2, "second", prefer("nic1"));
      guests = [first, second];
      assert.equal((await whereIs(daemon, first)).home, "nic0");
      assert.equal((await whereIs(daemon, second)).home, "nic1");
    },
    () => daemon.kill(),
  );
  beforeEach(async () => {
    snoop(true);
    await setActivePort("nic0");
  });

  it("claim 8: before and after a pull of either cable and after its return, behind a switch that snoops", async () => {
    await groupsKnownBy();
    assertAllAnswered(askFromOutside(guests), "before");
    for (const cable of [1, 0]) {
      await groupsKnownBy();
      await pull(cable);
      await until("another port active", () => activePort() === `nic${1 - cable}`);
      assertAllAnswered(askFromOutside(guests), `nic${cable} pulled`);
      await plug(cable);
      assertAllAnswered(askFromOutside(guests), `nic${cable} just back`);
      await allAtHome(daemon, guests);
      assertAllAnswered(askFromOutside(guests), `nic${cable} back`);
    }
  });

  for (const snooping of [true, false]) {
    itEnforces(
      `no frame twice and none of their own, behind a switch that ${snooping ? "snoops" : "floods"}`,
      { sabotage: ["reflection filters gone"] },
      async (strike) => {
        snoop(snooping);
        strike(daemon);
        const watches = guests.map(({ namespace }) => new Watch(namespace));
        for (let round = 0; round < 3; round++) {
          // Broadcasts and multicasts both ways: what the switch floods comes back by the other port.
          assertAllAnswered(askFromOutside(guests), `round ${round}`);
          await Promise.all(
            [...guests.map(({ namespace }) => namespace), switchNamespace].map(broadcast),
          );
        }
        const counts = await Promise.all(watches.map((watch) => watch.stop()));
        console.log(`      ${JSON.stringify({ snooping, first: counts[0], second: counts[1] })}`);
        for (const [index, { frames, reflected, twice }] of counts.entries()) {
          assert.ok(frames >= 20, `guest ${index} took in ${frames} frames`);
          assert.equal(reflected, 0, `guest ${index} got its own frames back`);
          // The switch may forget an address meanwhile; the test below bounds what comes of that.
          assert.ok(twice <= 1, `guest ${index} got ${twice} frames twice`);
        }
      },
    );
  }

  it("of frames to an address that the switch has forgotten only the first may come twice", async () => {
    assertAllAnswered(askFromOutside(guests), "neighbours known");
    const watches = guests.map(({ namespace }) => new Watch(namespace));
    forgetAddresses();
    for (const { ipv4 } of guests) {
      runOutside("ping", "-q", "-c", "5", "-i", "0.2", "-W", "1", ipv4);
    }
    const counts = await Promise.all(watches.map((watch) => watch.stop()));
    console.log(`      ${JSON.stringify({ first: counts[0], second: counts[1] })}`);
    for (const { frames, twice } of counts) {
      assert.ok(frames >= 5, `${frames} frames`);
      assert.ok(twice <= 1, `${twice} frames came twice: the guest's answer did not end the flood`);
    }
  });

  it("two guests on one host talk without a frame of theirs on an uplink", async () => {
    countFramesOf(first);
    assert.equal(ping(first.namespace, second.ipv4, { count: 100, intervalMs: 10 }), 100);
    assert.equal(ping(second.namespace, first.ipv4, { count: 100, intervalMs: 10 }), 100);
    assert.equal(ping(first.namespace, hostAddress, { count: 10, intervalMs: 10 }), 10);
    assert.deepEqual(framesOnUplinks(), [0, 0]);
    // The counters do count.
    assert.equal(ping(first.namespace, outside.ipv4, { count: 10, intervalMs: 10 }), 10);
    assert.deepEqual(framesOnUplinks(), [10, 0]);
  });

  itEnforces(
    "claim 8: before and after a pull of either cable and after its return, with no user space running",
    { sabotage: ["promiscuity off", "redirect filters gone", "report filters gone"] },
    async (strike) => {
      await groupsKnownBy();
      await daemon.kill();
      strike(null);
      assertAllAnswered(askFromOutside(guests), "before");
      for (const cable of [1, 0]) {
        if (cable === 0) await groupsKnownBy();
        await pull(cable);
        await until("another port active", () => activePort() === `nic${1 - cable}`);
        assertAllAnswered(askFromOutside(guests), `nic${cable} pulled`);
        await plug(cable);
        await until("bonding sees it", () => bondingSees(cable));
        assertAllAnswered(askFromOutside(guests), `nic${cable} back`);
      }
    },
  );

  /** Both guests' solicited-node groups are in the switch's table at both cables. */
  async function groupsKnownBy(): Promise<void> {
    const known = () =>
      [1, 2].map((number) =>
        readGroups()
          .filter(({ group }) => group === solicitedNodeGroup(number))
          .map(({ port }) => port)
          .sort()
          .join(),
      );
    let seen = known();
    await until("groups at both cables", () => {
      seen = known();
      return seen.every((ports) => ports === "p0,p1");
    }).catch((error: Error) => assert.fail(`${error.message}; seen ${JSON.stringify(seen)}`));
  }
});

function bondingSees(cable: number): boolean {
  return attribute(`nic${cable}`, "bonding_slave/mii_status") === "up";
}

/** Nobody answers pings to a broadcast address, which ping takes for a failure. */
async function broadcast(namespace: string): Promise<void> {
  const words = "ping -q -c 5 -i 0.02 -W 0.3 -b 10.9.0.255 || :";
  await runAside("ip", "netns", "exec", namespace, "sh", "-c", words);
}

/** Has the switch count the IPv4 frames that a guest sends out by each cable. */
function countFramesOf(guest: Guest): void {
  tc(
    ["p0", "p1"].flatMap((port) => [
      `qdisc add dev ${port} clsact`,
      `filter add dev ${port} ingress pref 1 protocol ip flower src_mac ${guest.mac} action ok`,
    ]),
    switchNamespace,
  );
}

function framesOnUplinks(): readonly number[] {
  return ["p0", "p1"].map((port) => {
    const text = runOutside("tc", "-s", "filter", "show", "dev", port, "ingress");
    return Number(/Sent \d+ bytes (\d+) pkt/.exec(text)?.[1]);
  });
}
