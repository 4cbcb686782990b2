import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { ip, run } from "../../command.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { type Guest, startGuest, whereIs } from "../../guests.ts";
import { buildHost, readClassCounts, setActivePort } from "../../host.ts";
import { plug, pull } from "../../qmp.ts";
import { allAtHome, quickConfig } from "../../reached.ts";
import { ping } from "../../standin.ts";
import {
  countAnnouncements,
  forgetAfter,
  outside,
  readAnnouncements,
  rememberNeighbour,
  splitInTwo,
  switchMac,
} from "../../switch.ts";
import { Flood, Sink } from "../../traffic.ts";
import { until } from "../../wait.ts";

/** The switch's memory; on a real one 300 s, and nothing else ends the silence without announcements. */
const MEMORY_MS = 10_000;
const WINDOW_MS = 50;
const FRAME_BYTES = 500;
/** A frame each 10 ms. */
const RATE = FRAME_BYTES * 8 * 100;
const COUNT = 3;

const config = (announcements: string) => quickConfig({ rest: `announcements: ${announcements}` });

describe("a guest that says nothing, behind the second of two switches", () => {
  let daemon: Daemon;
  let guest: Guest;

  beforeEach(async () => {
    await resetToBare();
    splitInTwo();
    await buildHost();
    await setActivePort("nic0");
    daemon = await startDaemon({ config: config(`{count: ${COUNT}, interval: 200ms}`) });
    guest = startGuest(1, "silent", '<uplink:placement prefer="nic1"/>');
    // IPv6 speaks by itself: router solicitations, reports of groups.
    run(
      "ip",
      "netns",
      "exec",
      guest.namespace,
      "sysctl",
      "-qw",
      "net.ipv6.conf.all.disable_ipv6=1",
    );
    // Nor does it ask whether its neighbour is still there, as it would 5 s after its last frame.
    ip(
      [`neigh replace ${outside.ipv4} lladdr ${switchMac()} dev eth0 nud permanent`],
      guest.namespace,
    );
    forgetAfter(MEMORY_MS / 1000);
    rememberNeighbour(guest.ipv4, guest.mac);
    countAnnouncements(guest.mac);
    assert.equal((await whereIs(daemon, guest)).via, "nic1");
  });
  afterEach(() => daemon.kill());

  it("is reached from outside at once after its uplink is lost; without announcements when the switch forgets", async () => {
    speak();
    const controlled = inControlClass();
    const announced = await silenceDuring(async () => {
      await pull(1);
      await sleep(2000);
    });
    assert.deepEqual(readAnnouncements(), [COUNT, 0]);
    assert.equal(inControlClass() - controlled, COUNT, "not behind what guests have queued");
    await plug(1);
    const returned = await silenceDuring(async () => {
      await allAtHome(daemon, [guest]);
      await until("announced at home", () => readAnnouncements()[1] === COUNT);
    });
    assert.deepEqual(readAnnouncements(), [COUNT, COUNT]);
    assert.deepEqual(await announcedBy(), ["nic0", "nic1"]);

    daemon.reconfigure(config("off"));
    await until("the configuration read", () => daemon.log().includes("<5>reloaded:"));
    speak();
    const unannounced = await silenceDuring(async () => {
      await pull(1);
      await sleep(MEMORY_MS + 2000);
    });
    assert.deepEqual(readAnnouncements(), [COUNT, COUNT]);
    console.log(
      `      nothing arrived for ${announced} ms after the loss, ${returned} ms at the return; ` +
        `without announcements ${unannounced} ms, with a switch that forgets after ${MEMORY_MS} ms`,
    );
    assert.ok(unannounced >= MEMORY_MS / 2, `without: ${unannounced} ms`);
    assert.ok(announced * 5 <= unannounced, `with ${announced} ms, without ${unannounced} ms`);
    assert.ok(returned * 5 <= unannounced, `at the return ${returned} ms`);
  });

  it("goes home twice within 3 minutes, then stays where it is; the fifth move of its MAC is not announced", async () => {
    for (let round = 1; round <= 3; round++) {
      await pull(1);
      await until("carried by nic0", async () => (await whereIs(daemon, guest)).via === "nic0");
      await plug(1);
      await until("the team whole", async () => {
        await sleep(200);
        return (await daemon.status()).teams.every(({ condition }) => condition === "ok");
      });
    }
    await sleep(500);
    const { home, via } = await whereIs(daemon, guest);
    assert.deepEqual({ home, via }, { home: "nic1", via: "nic0" });
    const { vnics } = await daemon.explain("silent");
    assert.match(vnics[0]?.reasons.join() ?? "", /stays on nic0: it moved twice/);
    const moves = (await daemon.status()).domains[0]?.vnics[0]?.recentMoves;
    const announced = await announcedBy();
    console.log(`      ${moves} moves, announced by ${announced.join(", ")}`);
    assert.equal(moves, 5);
    assert.deepEqual(announced, ["nic0", "nic1", "nic0", "nic1"]);
    speak();
    assert.equal(ping(outside.namespace, guest.ipv4), 5, "it is reached where it is");
  });

  /** Lets both switches know where it is. */
  function speak(): void {
    assert.equal(ping(guest.namespace, outside.ipv4, { count: 2 }), 2);
  }

  /** Frames that nic0 has sent before everything else. */
  function inControlClass(): number {
    return readClassCounts("nic0").get("7570:fff1")?.packets ?? Number.NaN;
  }

  /** The longest time in which nothing came to the guest, milliseconds. */
  async function silenceDuring(what: () => Promise<void>): Promise<number> {
    const sink = new Sink(guest, { windowMs: WINDOW_MS });
    await sleep(300);
    const flood = new Flood({
      from: outside,
      to: guest,
      bitsPerSecond: RATE,
      frameBytes: FRAME_BYTES,
    });
    await sleep(700);
    await what();
    const { windows, datagrams } = await sink.stop();
    await flood.stop();
    assert.ok(datagrams > 0, "something came");
    let longest = 0;
    let empty = 0;
    for (const bytes of windows.slice(windows.findIndex((bytes) => bytes > 0))) {
      empty = bytes === 0 ? empty + 1 : 0;
      longest = Math.max(longest, empty);
    }
    return longest * WINDOW_MS;
  }

  async function announcedBy(): Promise<readonly unknown[]> {
    const events = await daemon.events();
    return events.filter(({ id }) => id === "announced").map(({ fields }) => fields.uplink);
  }
});
