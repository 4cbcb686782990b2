import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { ip, readJson } from "../../command.ts";
import { type Daemon, startDaemon, startDomain } from "../../daemon.ts";
import { type Guest, labConfig, whereIs } from "../../guests.ts";
import { buildHost, readClassCounts, setActivePort, uplinkNames } from "../../host.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { addStandin, ping } from "../../standin.ts";
import { outside, switchMac } from "../../switch.ts";
import { Flood, Sink } from "../../traffic.ts";
import { until } from "../../wait.ts";

const DEFAULT = "7570:fff0";
/** A guest that says nothing else reports its groups and asks for neighbours: few frames against the hundreds of a flood. */
const OWN_FRAMES = 20;

/** What the forger has by right besides its own; the victim's it can't declare. */
const DECLARED = "52:54:00:00:77:77";
const DECLARATION = `<uplink:interface mac="52:54:00:00:00:02">
<uplink:source macs="${DECLARED} 52:54:00:00:00:01"/></uplink:interface>`;

interface TcFilter {
  readonly options?: { readonly indev?: string; readonly actions?: unknown };
}

/** Interfaces by which a vNIC's address is somebody else's. */
const judged = () =>
  readJson<TcFilter>("tc", "filter show dev bond0 egress chain 7583 pref 7584").flatMap(
    ({ options }) => options?.indev ?? [],
  );

/** A domain whose tap its XML names, and its stand-in, which knows its way out without asking. */
function startKnown(number: number, name: string, annotation = ""): Guest {
  const mac = `52:54:00:00:00:0${number}`;
  const domain = { name, macs: [mac], taps: [`tap${number}`], annotation };
  startDomain(domain);
  const standin = addStandin({ number, mac });
  return { ...standin, domain };
}

/** Sends with an address for a second. @returns frames by class on all uplinks, and datagrams that arrived outside */
async function sendAs(guest: Guest, mac: string, classes: readonly string[]) {
  ip(
    [
      `link set eth0 address ${mac}`,
      `neigh replace ${outside.ipv4} lladdr ${switchMac()} dev eth0`,
    ],
    guest.namespace,
  );
  const count = () =>
    classes.map((handle) =>
      uplinkNames().reduce((sum, up) => sum + (readClassCounts(up).get(handle)?.packets ?? 0), 0),
    );
  const sink = new Sink(outside);
  const before = count();
  const flood = new Flood({ from: guest, to: outside, bitsPerSecond: 1e6, frameBytes: 250 });
  await sleep(1000);
  await flood.stop();
  const { datagrams } = await sink.stop();
  const after = count();
  return { went: after.map((frames, place) => frames - (before[place] ?? 0)), arrived: datagrams };
}

describe("source addresses", () => {
  let daemon: Daemon;
  beforeEach(async () => {
    await resetToBare();
    await buildHost();
    await setActivePort("nic0");
  });
  afterEach(() => daemon.stop());

  async function start(sources: string): Promise<{ victim: Guest; forger: Guest }> {
    daemon = await startDaemon({ config: labConfig({ team: `    sources: ${sources}` }) });
    const [victim, forger] = [startKnown(1, "victim"), startKnown(2, "forger", DECLARATION)];
    await until("both to be believed by their taps only", () => {
      const from = judged();
      return [victim.tap, forger.tap].every((tap) => from.includes(tap));
    });
    return { victim, forger };
  }

  itEnforces(
    "claim 67: another's and nobody's address are discarded; who has his own is in his class",
    {
      sabotage: ["forged filters gone", "passed-on filters gone", "vNIC filters gone"],
      timeoutMs: 120_000,
    },
    async (strike) => {
      const { victim, forger } = await start("drop");
      const classes = [
        (await whereIs(daemon, victim)).classId,
        (await whereIs(daemon, forger)).classId,
        DEFAULT,
      ];
      strike(daemon);
      const own = await sendAs(forger, forger.mac, classes);
      const forged = await sendAs(forger, victim.mac, classes);
      const nobodys = await sendAs(forger, "52:54:00:00:99:99", classes);
      const declared = await sendAs(forger, DECLARED, classes);
      console.log(`      ${JSON.stringify({ own, declared, forged, nobodys })}`);
      for (const { arrived, went } of [own, declared])
        assert.ok(arrived > 100 && (went[1] ?? 0) > 100, "what is its own is in its class");
      for (const { went, arrived } of [forged, nobodys]) {
        assert.equal(arrived, 0);
        assert.ok((went[0] ?? 0) <= OWN_FRAMES, "the victim's class");
      }
      assert.ok(ping(victim.namespace, outside.ipv4) >= 4, "the victim's own frames");
    },
  );

  it("log: is let through in the default class, counted and told of whose tap it came by", async () => {
    const { victim, forger } = await start("log");
    const { classId } = await whereIs(daemon, victim);
    for (const mac of [victim.mac, "52:54:00:00:99:99"]) {
      const { went, arrived } = await sendAs(forger, mac, [classId, DEFAULT]);
      assert.ok(arrived > 100);
      assert.ok((went[0] ?? 0) <= OWN_FRAMES, "the victim's class");
      assert.ok((went[1] ?? 0) > 100, "the default class");
    }
    await until("both to be told", () => {
      const log = daemon.log();
      return log.includes("source-forged") && log.includes("source-unregistered");
    });
    const { teams } = await daemon.status();
    const told = teams[0]?.sources?.interfaces.find(({ device }) => device === forger.tap);
    assert.equal(told?.domain, "forger");
    assert.ok(told.forgedFrames > 100 && told.unregisteredFrames > 100, JSON.stringify(told));
  });
});
