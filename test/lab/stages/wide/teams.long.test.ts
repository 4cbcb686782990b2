// Two teams on one host: what happens to one is none of the other's concern, a domain with a vNIC on each included.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { ip, run, tc } from "../../command.ts";
import { type Daemon, startDaemon, startDomain } from "../../daemon.ts";
import {
  buildHost,
  readClassCounts,
  readNetworkState,
  setActivePort,
  uplinkNames,
} from "../../host.ts";
import { KernelWatch } from "../../kernel-watch.ts";
import { Conversation } from "../../loss.ts";
import { plug, pull } from "../../qmp.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { addStandin, ping, type Standin, standinMac } from "../../standin.ts";
import { outside } from "../../switch.ts";
import { Flood, measureClassRates, Sink } from "../../traffic.ts";
import { until } from "../../wait.ts";

const LIMIT_BITS_PER_SECOND = 4e6;
const BURST = 20;
/** Under TCG the daemon at work makes senders late; nothing here is timed. */
const LATE_MS = 3500;

const UPLINKS: Readonly<Record<string, readonly string[]>> = {
  bond0: ["nic0", "nic1"],
  bond1: ["nic2", "nic3"],
};

const team = (bond: string, uplinks: readonly string[]) => `  - bond: ${bond}
    uplinks: [${uplinks.map((name) => `{name: ${name}, speed: 40mbit}`).join(", ")}]
    headroom: 0%
    floor: 100kbit
    holdDown: 1s
    holdDownMax: 1s
    loadWindow: 2s
    host: {reservation: 1mbit}
`;
const CONFIG = `teams:
${Object.entries(UPLINKS)
  .map(([bond, uplinks]) => team(bond, uplinks))
  .join("")}resync: 5s
`;

/** One vNIC: on which team it is, and its stand-in. */
interface Place extends Standin {
  readonly domain: string;
  readonly bond: string;
}

/** News of the second team's qdiscs, classes and filters, and of its links; a bridge's port tells of itself now and then. */
const ofSecond = ({ tc: changes, ip: links }: { readonly tc: string; readonly ip: string }) => [
  ...changes.split("\n").filter((line) => /\b(bond1|nic2|nic3)\b/.test(line)),
  ...links.split("\n").filter((line) => /^\d+: (nic[23]|bond1:.* state DOWN)/.test(line)),
];

/** What release has to bring back; the ports that bonding made active are put back first, and failures stay counted. */
async function readSettledState(): Promise<string> {
  await setActivePort("nic0");
  await setActivePort("nic2", "bond1");
  return readNetworkState().replaceAll(/link_failure_count \d+/g, "");
}

describe("two teams on one host", () => {
  let daemon: Daemon;
  let watch: KernelWatch | undefined;
  let before: string;
  let places: readonly Place[];

  beforeEach(async () => {
    await resetToBare();
    await buildHost({ uplinks: ["nic0", "nic1"] });
    await buildHost({ number: 1, uplinks: ["nic2", "nic3"] });
    await until("addresses to be checked", () => !run("ip", "addr", "show").includes("tentative"));
    before = await readSettledState();
    daemon = await startDaemon({ config: CONFIG });
    const limit = '<uplink:bandwidth limit="4mbit"/>';
    const domains = [
      { name: "first", numbers: [1], bridges: ["br0"], annotation: "" },
      { name: "second", numbers: [2], bridges: ["br1"], annotation: "" },
      { name: "both", numbers: [3, 4], bridges: ["br0", "br1"], annotation: limit },
    ];
    places = domains.flatMap(({ name, numbers, bridges, annotation }) => {
      startDomain({ name, macs: numbers.map(standinMac), bridges, annotation });
      return numbers.map((number, index): Place => {
        const bridge = bridges[index] ?? "";
        const bond = bridge.replace("br", "bond");
        return { ...addStandin({ number, bridge }), domain: name, bond };
      });
    });
  });
  afterEach(async () => {
    watch?.stop();
    watch = undefined;
    await daemon.kill();
  });

  /** Each vNIC as status has it, in the order of `places`. */
  async function readVnics() {
    const { domains } = await daemon.status();
    const all = domains.flatMap(({ vnics }) => vnics);
    return places.map(({ mac }) => {
      const vnic = all.find((one) => one.mac === mac);
      assert.ok(vnic?.via != null && vnic.classId !== null, `${mac} is placed`);
      return { team: vnic.team, home: vnic.home, via: vnic.via, classId: vnic.classId };
    });
  }

  /** By which of its team's uplinks a class counts a burst of pings; each is answered. */
  function waysOf({ namespace, domain, bond }: Place, classId: string): readonly string[] {
    const uplinks = UPLINKS[bond] ?? [];
    const packets = () => uplinks.map((name) => readClassCounts(name).get(classId)?.packets ?? 0);
    const earlier = packets();
    const answers = ping(namespace, outside.ipv4, { count: BURST, intervalMs: 10 });
    assert.ok(answers >= BURST - 1, `${domain}: ${answers} answers of ${BURST}`);
    const later = packets();
    return uplinks.filter((_, index) => (later[index] ?? 0) - (earlier[index] ?? 0) >= BURST / 2);
  }

  async function assertWays(when: string): Promise<void> {
    for (const [index, { team: on, via, classId }] of (await readVnics()).entries()) {
      const place = places[index] as Place;
      assert.equal(on, place.bond, `${when}: ${place.domain}'s team`);
      assert.deepEqual(waysOf(place, classId), [via], `${when}: ${place.domain} ${place.mac}`);
    }
  }

  const conditions = async () => (await daemon.status()).teams.map(({ condition }) => condition);
  const areConditions = (first: string, second: string) =>
    until(
      `${first} and ${second}`,
      async () => {
        await sleep(200);
        return (await conditions()).join(" ") === `${first} ${second}`;
      },
      30_000,
    );

  it("a loss on one leaves the other as it is; both are adopted by the next daemon, and given back", async () => {
    await assertWays("at first");
    const atFirst = await readVnics();
    watch = await KernelWatch.start(
      () => {
        ip(["link add nobody type dummy"]);
        tc(["qdisc add dev nobody root pfifo limit 7"]);
        ip(["link del nobody"]);
      },
      (tcText, ipText) => tcText.includes("nobody") && ipText.includes("nobody"),
    );
    const talk = await Conversation.start({
      a: places[1] as Place,
      b: outside,
      intervalMicroseconds: 4000,
    });
    await pull(0);
    await areConditions("degraded", "ok");
    await assertWays("without nic0");
    const without = await readVnics();
    for (const [index, { via }] of without.entries()) {
      const onFirst = places[index]?.bond === "bond0";
      assert.equal(via, onFirst ? "nic1" : atFirst[index]?.via);
    }
    await plug(0);
    await areConditions("ok", "ok");
    await until("everybody at home", async () => {
      await sleep(200);
      return (await readVnics()).every(({ home, via }) => home === via);
    });
    const { there, back } = await talk.finish(LATE_MS);
    console.log(
      `      the other team: ${there.sent} each way, lost ${there.lost} there, ${back.lost} back`,
    );
    assert.deepEqual(ofSecond(await watch.read()), [], "the other team's devices");
    assert.deepEqual([there.lost, back.lost], [0, 0]);

    // The same the other way round: the second team is no lesser one.
    await pull(3);
    await areConditions("ok", "degraded");
    await assertWays("without nic3");
    await plug(3);
    await areConditions("ok", "ok");

    await daemon.kill();
    await watch.read();
    daemon = await startDaemon({ config: CONFIG, keepState: true });
    await sleep(5500);
    assert.equal((await watch.read()).tc, "", "no qdisc, class or filter was touched");
    assert.deepEqual(await conditions(), ["ok", "ok"]);

    await daemon.release();
    for (const { tap, namespace } of places) ip([`link del ${tap}`, `netns del ${namespace}`]);
    assertSame(await readSettledState(), before);
  }).timeout(600_000);

  itEnforces(
    "a domain with a vNIC on each is held to its limit on each",
    { sabotage: ["limits lifted"], timeoutMs: 400_000 },
    async (strike) => {
      const own = places.filter(({ domain }) => domain === "both");
      const ids = new Set((await readVnics()).slice(2).map(({ classId }) => classId));
      strike(daemon);
      const sinks = own.map((_, index) => new Sink(outside, { port: 5200 + index }));
      const floods = own.map(
        (from, index) =>
          new Flood({
            ...{ from, to: outside, port: 5200 + index, frameBytes: 500 },
            bitsPerSecond: 2 * LIMIT_BITS_PER_SECOND,
          }),
      );
      await sleep(1500);
      const rates = await measureClassRates(uplinkNames(), 3000);
      await Promise.all([...floods, ...sinks].map((meter) => meter.stop()));
      const each = [...rates.values()].flatMap((ofLink) =>
        [...ofLink].flatMap(([id, bits]) => (ids.has(id) && bits > 1e5 ? [Math.round(bits)] : [])),
      );
      console.log(`      ${JSON.stringify(each)}`);
      assert.equal(each.length, 2, "one class on each team sends");
      for (const bits of each) {
        assert.ok(bits <= LIMIT_BITS_PER_SECOND * 1.05, `${bits} bit/s`);
        assert.ok(bits >= LIMIT_BITS_PER_SECOND * 0.8, `only ${bits} bit/s`);
      }
    },
  );
});

/** Says which lines differ, of hundreds. */
function assertSame(now: string, before: string): void {
  const [left, right] = [now.split("\n"), before.split("\n")];
  const added = left.filter((line) => !right.includes(line)).map((line) => `+${line}`);
  const gone = right.filter((line) => !left.includes(line)).map((line) => `-${line}`);
  assert.deepEqual([...gone, ...added], [], "the host is not what it was");
}
