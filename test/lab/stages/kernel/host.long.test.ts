import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { ip, readJson } from "../../command.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { labConfig, startGuest, whereIs } from "../../guests.ts";
import { attribute, buildHost, host, readClassCounts, setActivePort } from "../../host.ts";
import type { End } from "../../meter.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { addStandin } from "../../standin.ts";
import { outside, switchMac } from "../../switch.ts";
import { Flood, Sink } from "../../traffic.ts";
import { until } from "../../wait.ts";

const [MANAGEMENT, MIGRATION, STORAGE, DEFAULT] = [
  "7570:fff2",
  "7570:fff3",
  "7570:fff4",
  "7570:fff0",
];
const MIGRATION_PORT = 5202;
const VLAN = 30;
const CLASSES = `reservation: 500kbit,
      management: {reservation: 3mbit, match: [{protocol: icmp}]},
      migration: {match: [{protocol: udp, destinationPort: 5202-5203}]},
      storage: {match: [{vlan: ${VLAN}}]}`;

interface TcFilter {
  readonly pref: number;
  readonly options?: { readonly indev?: string; readonly actions?: unknown };
}

const passedOn = () =>
  readJson<TcFilter>("tc", "filter show dev bond0 egress pref 7573").filter(
    ({ options }) => options?.actions !== undefined,
  );

describe("what the host itself sends", () => {
  let daemon: Daemon;
  beforeEach(resetToBare);
  afterEach(() => daemon.stop());

  itEnforces(
    "claim 68: is told apart by ports and VLAN, on the active port; no guest gets there by its port or by the host's address",
    { sabotage: ["host sources gone", "passed-on filters gone"] },
    async (strike) => {
      await buildHost();
      await setActivePort("nic1");
      daemon = await startDaemon({ config: labConfig({ host: CLASSES }) });
      ip([
        `link add link bond0 name bond0.${VLAN} type vlan id ${VLAN}`,
        `link set bond0.${VLAN} up`,
        `addr add 10.30.0.1/24 dev bond0.${VLAN}`,
        `neigh add 10.30.0.254 lladdr 02:00:00:00:30:fe dev bond0.${VLAN}`,
      ]);
      const registered = startGuest(1, "registered", '<uplink:placement prefer="nic1"/>');
      const unknown = addStandin({ number: 2 });
      const forger = addStandin({ number: 3, mac: attribute("br0", "address") });
      // The answer to its question would come to the host.
      ip([`neigh add ${outside.ipv4} lladdr ${switchMac()} dev eth0`], forger.namespace);
      const { classId } = await whereIs(daemon, registered);
      await until("what the forger sends is told apart", () => {
        const from = passedOn().flatMap(({ options }) => options?.indev ?? []);
        return [registered.tap, unknown.tap, forger.tap].every((tap) => from.includes(tap));
      });
      strike(daemon);
      const sink = new Sink(outside, { port: MIGRATION_PORT });
      const vlan = { namespace: "", ipv4: "10.30.0.1", ipv6: "" };
      const beyond = { namespace: "", ipv4: "10.30.0.254", ipv6: "" };
      const went: Record<string, Record<string, number>> = {};
      for (const [who, from, to, family] of [
        ["host", host, outside, 4],
        ["host by IPv6", host, outside, 6],
        ["host in a VLAN", vlan, beyond, 4],
        ["registered", registered, outside, 4],
        ["unknown", unknown, outside, 4],
        ["forger", forger, outside, 4],
      ] as const) {
        went[who] = await classesOf(from, to, family, classId);
      }
      await sink.stop();
      console.log(`      ${JSON.stringify(went)}`);
      for (const [who, class_] of [
        ["host", MIGRATION],
        ["host by IPv6", MIGRATION],
        // A migration's port, and matched before: the classes are asked in their order.
        ["host in a VLAN", MIGRATION],
        ["registered", classId],
        ["unknown", DEFAULT],
        ["forger", DEFAULT],
      ] as const) {
        const [first] = Object.entries(went[who] ?? {}).sort(([, a], [, b]) => b - a);
        assert.equal(first?.[0], class_, who);
        const strays = class_ === MIGRATION ? 0 : (went[who]?.[MIGRATION] ?? 0);
        assert.equal(strays, 0, `${who}: frames in the migration class`);
      }
      const inVlan = await classesOf(vlan, beyond, 4, classId, 5999);
      assert.ok(
        (inVlan[STORAGE] ?? 0) > 100,
        `another port of the VLAN: ${JSON.stringify(inVlan)}`,
      );
    },
  );

  it("is told from what an interface passes on that comes and goes, which is nobody's change", async () => {
    await buildHost();
    daemon = await startDaemon({ config: labConfig({ host: CLASSES }) });
    const names = () => passedOn().map(({ options }) => options?.indev ?? "gone");
    const passing = addStandin({ number: 2 });
    await until("its filter", () => names().includes(passing.tap));
    const others = names().filter((name) => name !== passing.tap);
    ip([`link del ${passing.tap}`]);
    await until("no filter of it", () => names().sort().join() === others.toSorted().join());
    assert.doesNotMatch(daemon.log(), /somebody else's change|kernel-refused/);
    assert.deepEqual((await daemon.status()).drift, []);
  });
});

/** Frames by class on the active port while one sends, and none by the other port. */
async function classesOf(
  from: End,
  to: End,
  family: 4 | 6,
  guestClass: string,
  port = MIGRATION_PORT,
): Promise<Record<string, number>> {
  const classes = [MANAGEMENT, MIGRATION, STORAGE, DEFAULT, guestClass] as const;
  const before = readClassCounts("nic1");
  const flood = new Flood({ from, to, bitsPerSecond: 1e6, frameBytes: 250, family, port });
  await sleep(1000);
  await flood.stop();
  const after = readClassCounts("nic1");
  return Object.fromEntries(
    classes.map((handle) => {
      const packets = (counts: typeof after) => counts.get(handle ?? "")?.packets ?? 0;
      return [handle, packets(after) - packets(before)];
    }),
  );
}
