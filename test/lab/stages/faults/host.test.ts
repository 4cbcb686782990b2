import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { resetToBare } from "../../bare.ts";
import { ip, run, tc } from "../../command.ts";
import { type Daemon, STATE_DIR, startDaemon } from "../../daemon.ts";
import { type Guest, labConfig, startGuest, whereIs } from "../../guests.ts";
import { attribute, buildHost, isPromiscuous, readClassCounts } from "../../host.ts";
import { Conversation } from "../../loss.ts";
import { ping } from "../../standin.ts";
import { outside, switchAddress } from "../../switch.ts";
import { until } from "../../wait.ts";

describe("a host that is not what it should be", () => {
  let daemon: Daemon;
  beforeEach(resetToBare);
  afterEach(() => daemon.stop());

  it("waits for a bond without ports, and takes them over when they come", async () => {
    await buildHost();
    ip(["link set nic0 nomaster", "link set nic1 nomaster"]);
    daemon = await startDaemon({ config: labConfig() });
    assert.match(daemon.log(), /^<[34]>team-\w+: team bond0 is .*(nic0|uplink|port)/m);
    const guest = startGuest(1, "early", "");
    ip(["link set nic0 down", "link set nic1 down"]);
    ip(["link set nic0 master bond0", "link set nic1 master bond0"]);
    const tookMs = await until(
      "both to be taken over",
      () => isTakenOver("nic0") && isTakenOver("nic1"),
    );
    await until("the guest's place", async () => (await placeOf(guest)) !== "");
    console.log(`      taken over after ${tookMs.toFixed(0)} ms`);
    assert.equal(ping(guest.namespace, switchAddress), 5);
  });

  it("goes on without an uplink whose driver lets go of it, and takes it back when it returns", async () => {
    await buildHost();
    daemon = await startDaemon({ config: labConfig() });
    const guest = startGuest(1, "there", '<uplink:placement prefer="nic0"/>');
    const conversation = await Conversation.start({
      a: guest,
      b: outside,
      intervalMicroseconds: 4000,
    });
    const device = basename(readlinkSync("/sys/class/net/nic0/device"));
    try {
      writeFileSync("/sys/bus/virtio/drivers/virtio_net/unbind", device);
      await until("the guest to go by nic1", async () => (await placeOf(guest)) === "nic1");
      assert.match(daemon.log(), /uplink-lost: team bond0: uplink nic0 lost: the device is gone/);
    } finally {
      writeFileSync("/sys/bus/virtio/drivers/virtio_net/bind", device);
      const [name = ""] = readdirSync(`/sys/bus/virtio/devices/${device}/net`);
      ip([`link set ${name} down`, `link set ${name} name nic0`]);
    }
    const { there, back } = await conversation.finish(3000);
    console.log(`      lost ${there.lost} there, ${back.lost} back of ${there.sent}`);
    // The active port and the guest's own: the driver's fallback and the switch's learning take their time.
    assert.ok(there.lost + back.lost < 75, "traffic went on");
    ip(["link set nic0 master bond0"]);
    await until("nic0 to be taken over", () => isTakenOver("nic0"));
    await until("the guest to go home", async () => (await placeOf(guest)) === "nic0", 20_000);
    assert.equal(ping(guest.namespace, switchAddress), 5);
    assert.doesNotMatch(daemon.log(), /bug:/);
  });

  it("leaves a foreign root qdisc alone, says so, uses the other uplink, and takes over when it is gone", async () => {
    await buildHost();
    tc(["qdisc add dev nic0 root handle 8001: fq"]);
    daemon = await startDaemon({ config: labConfig() });
    const guest = startGuest(1, "guest", '<uplink:placement prefer="nic0"/>');
    assert.match(
      daemon.log(),
      /conflict: nic0: nic0 has root qdisc fq 8001:.*tc qdisc del dev nic0 root/,
    );
    const [team] = (await daemon.status()).teams;
    assert.match(team?.uplinks[0]?.reason ?? "", /fq 8001:/);
    assert.match(run("tc", "qdisc", "show", "dev", "nic0", "root"), /fq 8001:/);
    assert.equal(await placeOf(guest), "nic1");
    assert.equal(ping(guest.namespace, switchAddress), 5);
    tc(["qdisc del dev nic0 root"]);
    const tookMs = await until("nic0 to be taken over", () => isTakenOver("nic0"));
    await until("its end to be told", () => /conflict-gone: nic0/.test(daemon.log()));
    console.log(`      taken over ${tookMs.toFixed(0)} ms after it was free`);

    tc(["qdisc replace dev nic1 root handle 8002: fq"]);
    await until("the second conflict to be told", () => /conflict: nic1:.*8002/.test(daemon.log()));
    await until("the guest to leave nic1", async () => (await placeOf(guest)) === "nic0");
    assert.match(run("tc", "qdisc", "show", "dev", "nic1", "root"), /fq 8002:/);
    assert.equal(ping(guest.namespace, switchAddress), 5);
  });

  it("changes nothing that it can't save, and goes on when there is room", async () => {
    await buildHost();
    rmSync("/run/uplinkd-test", { recursive: true, force: true });
    mkdirSync(STATE_DIR, { recursive: true });
    run("mount", "-t", "tmpfs", "-o", "size=64k", "full", STATE_DIR);
    try {
      const filler = join(STATE_DIR, "filler");
      run("sh", "-c", `head -c 65536 /dev/zero >${filler} || :`);
      daemon = await startDaemon({ config: labConfig(), keepState: true });
      const guest = startGuest(1, "guest", "");
      assert.match(
        daemon.log(),
        /^<3>state-unwritable: nothing is changed: .*journal\.json.*ENOSPC.*free space/m,
      );
      const problems = (await daemon.status()).drift.map(({ message }) => message);
      assert.match(problems[0] ?? "", /ENOSPC/, "status says so, too");
      const installed = ["nic0", "nic1"].filter((uplink) => readClassCounts(uplink).size > 0);
      assert.deepEqual(installed, []);
      assert.deepEqual([isPromiscuous("nic0"), isPromiscuous("nic1")], [false, false]);
      assert.equal(ping(guest.namespace, switchAddress), 5, "the VM has its network");
      rmSync(filler);
      const tookMs = await until("all to be in force", () => isTakenOver("nic1"));
      console.log(`      in force ${tookMs.toFixed(0)} ms after there was room (resync is 5 s)`);
      await until("no drift", async () => (await daemon.status()).drift.length === 0);
      assert.equal(ping(guest.namespace, switchAddress), 5);
      assert.equal(daemon.log().match(/state-unwritable/g)?.length, 1, "said once");
    } finally {
      await daemon.stop();
      run("umount", STATE_DIR);
    }
  });

  /** Where a guest's frames go, "" for nowhere. */
  async function placeOf(guest: Guest): Promise<string> {
    const { domains } = await daemon.status();
    const via = domains.find(({ name }) => name === guest.domain.name)?.vnics[0]?.via;
    return via ?? "";
  }
});

describe("somebody else's changes to what is uplinkd's", () => {
  let daemon: Daemon;
  let guest: Guest;
  before(async () => {
    await resetToBare();
    await buildHost();
    daemon = await startDaemon({ config: labConfig() });
    guest = startGuest(1, "guest", '<uplink:placement prefer="nic1"/>');
  });
  after(() => daemon.stop());

  const filters = (device: string, hook: string, priority: number) =>
    run("tc", "filter", "show", "dev", device, hook, "pref", String(priority));
  const changes = [
    {
      what: "a class deleted",
      make: () => tc(["class del dev nic1 classid 7570:10"]),
      told: /class nic1 7570:10 was gone/,
      isMended: () => readClassCounts("nic1").has("7570:10"),
    },
    {
      what: "a class given another rate",
      make: () =>
        tc([
          `class change dev nic1 parent 7570:1 classid 7570:10 htb rate 1mbit ceil 1mbit prio ${readClassCounts("nic1").get("7570:10")?.prio}`,
        ]),
      told: /class nic1 7570:10 was changed/,
      isMended: () => (readClassCounts("nic1").get("7570:10")?.ceilBitsPerSecond ?? 0) > 30e6,
    },
    {
      what: "the catch-all deleted",
      make: () => tc(["filter del dev bond0 egress pref 7570"]),
      told: /catch-all bond0 was gone/,
      isMended: () => filters("bond0", "egress", 7570) !== "",
    },
    {
      what: "all vNIC filters deleted",
      make: () => tc(["filter del dev bond0 egress pref 7568"]),
      told: /vnic bond0 52:54:00:00:00:01 was gone/,
      isMended: () => filters("bond0", "egress", 7568).includes("52:54:00:00:00:01"),
    },
    {
      what: "the root qdisc deleted",
      make: () => tc(["qdisc del dev nic1 root"]),
      told: /htb nic1 was gone/,
      isMended: () => readClassCounts("nic1").has("7570:10"),
    },
    {
      what: "promiscuity turned off",
      make: () => ip(["link set nic1 promisc off"]),
      told: /promiscuity nic1 was changed/,
      isMended: () => isPromiscuous("nic1"),
    },
  ];
  for (const { what, make, told, isMended } of changes) {
    it(`are mended and told: ${what}`, async () => {
      const earlier = daemon.log().length;
      make();
      const tookMs = await until("it to be mended", isMended);
      await until(`the log to say ${told}`, () => told.test(daemon.log().slice(earlier)), 1000);
      console.log(`      mended after ${tookMs.toFixed(0)} ms`);
      assert.ok(tookMs < 3000, "a second is the aim");
      assert.match(daemon.log().slice(earlier), /drift-mended: somebody else's change is undone/);
      await until("no drift", async () => (await daemon.status()).drift.length === 0, 1000);
      assert.equal(ping(guest.namespace, switchAddress), 5);
    });
  }

  it("are mended although the kernel's events of them were lost", async () => {
    const earlier = daemon.log().length;
    // Changes of a link that is down aren't told (netdev_state_change).
    ip(["link add nobody type dummy", "link set nobody up"]);
    daemon.process.kill("SIGSTOP");
    try {
      // More news than the daemon's socket holds, that of the class among them.
      const news = Array.from({ length: 12_000 }, (_, at) => `link set nobody alias a${at}`);
      ip(news.slice(6000));
      ip(news.slice(0, 6000));
      tc(["class del dev nic1 classid 7570:10"]);
    } finally {
      daemon.process.kill("SIGCONT");
    }
    const tookMs = await until("the class", () => readClassCounts("nic1").has("7570:10"), 4500);
    ip(["link del nobody"]);
    await until("the overrun to be told", () => /overrun/.test(daemon.log().slice(earlier)));
    console.log(`      mended ${tookMs.toFixed(0)} ms after the overrun`);
    assert.equal(ping(guest.namespace, switchAddress), 5);
    await until("no drift", async () => (await daemon.status()).drift.length === 0, 1000);
    assert.equal((await whereIs(daemon, guest)).via, "nic1");
  });

  it("are left for a while where they come again and again, and who it may be is told", async () => {
    const earlier = daemon.log().length;
    const stray = "7570:777";
    const add = () => tc([`class add dev nic0 parent 7570:1 classid ${stray} htb rate 1mbit`]);
    for (let count = 1; count < 5; count += 1) {
      add();
      await until("the stray class gone", () => !readClassCounts("nic0").has(stray));
    }
    add();
    await until("the contest to be told", () => /contest: /.test(daemon.log().slice(earlier)));
    assert.match(
      daemon.log().slice(earlier),
      /<3>contest: class nic0 7570:777 was changed 5 times.*likely a script with tc or ip/,
    );
    assert.ok(readClassCounts("nic0").has(stray), "it is left");
    const { contests } = await daemon.status();
    assert.deepEqual(
      contests.map(({ object, times }) => [object, times]),
      [["class nic0 7570:777", 5]],
    );
    tc(["class del dev nic1 classid 7570:10"]);
    await until("what is no contest to be mended", () => readClassCounts("nic1").has("7570:10"));
    assert.equal(ping(guest.namespace, switchAddress), 5);
  });
});

/** Everything that makes an uplink ours stands. */
function isTakenOver(uplink: string): boolean {
  return (
    readClassCounts(uplink).has("7570:fff0") &&
    isPromiscuous(uplink) &&
    attribute(uplink, "bonding_slave/queue_id") !== "0"
  );
}
