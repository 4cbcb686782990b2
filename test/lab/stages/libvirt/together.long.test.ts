// One lost NIC, four real domains: what each one's failover action does beside the others'.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { ip, readJson } from "../../command.ts";
import { readClassCounts } from "../../host.ts";
import { domainState, startDomain } from "../../libvirt.ts";
import { addStandin } from "../../standin.ts";
import { outside } from "../../switch.ts";
import { Flood, Sink } from "../../traffic.ts";
import {
  GUEST,
  GUEST_MAC,
  hasFilter,
  hostConfig,
  LONG_MS,
  setCable,
  startGuest,
  type TwoHosts,
  toldBy,
  useTwoHosts,
} from "../../twohosts.ts";
import { until } from "../../wait.ts";

const FRAME_BYTES = 1400;
/** On the narrower uplink a migration has what libvirt can be told, and neither `sleeps` nor the mover fits beside the rest. */
const SPEEDS = ["20mbit", "12mbit"];
const OTHERS = [
  {
    name: "vital",
    number: 61,
    wants: 1e6,
    on: "right",
    words: '<uplink:priority>high</uplink:priority><uplink:bandwidth reservation="1500kbit"/>',
  },
  {
    name: "drops",
    number: 62,
    wants: 1e6,
    on: "left",
    words: '<uplink:priority>low</uplink:priority><uplink:failover action="discard"/>',
  },
  {
    name: "sleeps",
    number: 63,
    wants: 3e6,
    on: "left",
    words: '<uplink:priority>low</uplink:priority><uplink:failover action="pause" grace="1s"/>',
  },
] as const;
const MOVER = { name: GUEST, number: 64, wants: 14e6 };
const MOVES = '<uplink:failover action="migrate" grace="4s" destination="other"/>';

type Other = (typeof OTHERS)[number];

describe("one lost NIC and every action", () => {
  let two: TwoHosts;
  const loads: { stop(): Promise<unknown> }[] = [];
  useTwoHosts((built) => {
    two = built;
  });
  afterEach(async () => {
    for (const load of loads) await load.stop().catch(() => undefined);
  });

  it("claims 13, 14 and 30: has one domain's data discarded, pauses the next, moves the third, and leaves the high priority's alone", async () => {
    for (const host of [two.a, two.b])
      host.daemon.reconfigure(hostConfig(host === two.a ? "a" : "b", { speeds: SPEEDS }));
    for (const other of OTHERS) await startOther(other);
    await startGuest(two, "a", MOVES, "normal");
    loads.push(new Sink(outside));
    const mover = flood(MOVER, GUEST_MAC);
    for (const other of OTHERS) loads.push(flood(other, macOf(other)));
    await until("demand measured", measured, 90_000, 500);
    const ids = await classIds();
    const vital = { sent: sentBy(ids.vital), dropped: droppedFrom(ids.vital) };
    const startMs = performance.now();

    await setCable("a", 0, false);
    await until(
      "the loss seen",
      async () => (await status()).teams[0]?.condition === "degraded",
      20_000,
      100,
    );
    const away = {
      sent: sentBy(ids.drops),
      dropped: readClassCounts("nic1").get(ids.drops)?.drops ?? 0,
    };
    // Its frames in its own name; from here on it is elsewhere that they may come from.
    await mover.stop();
    ip([`netns del vm${MOVER.number}`]);
    await until("the second paused", () => domainState("sleeps") === "paused", 60_000, 300);
    const pausedMs = Math.round(performance.now() - startMs);
    await until(
      "the third moved",
      async () => (await toldBy(two.a)).includes("domain-migrated"),
      LONG_MS,
      500,
    );
    const movedMs = Math.round(performance.now() - startMs);
    assert.match(two.b.virsh("domstate", "--reason", GUEST), /^running \(migrated\)/);
    assert.equal(hasFilter(two.a), false);
    // What the third leaves is enough for the second.
    await until("the second resumed", () => domainState("sleeps") === "running", 60_000, 500);
    const resumedMs = Math.round(performance.now() - startMs);
    assert.equal((await status()).teams[0]?.condition, "degraded");

    const seconds = (performance.now() - startMs) / 1000;
    const vitalRate = ((sentBy(ids.vital) - vital.sent) * 8) / seconds;
    const vitalDropped = droppedFrom(ids.vital) - vital.dropped;
    const discarded = (readClassCounts("nic1").get(ids.drops)?.drops ?? 0) - away.dropped;
    const leaked = sentBy(ids.drops) - away.sent;
    console.log(
      `      ${JSON.stringify({ pausedMs, movedMs, resumedMs, vitalRate: Math.round(vitalRate), vitalDropped, discarded, leaked })}`,
    );
    assert.equal(vitalDropped, 0, "the high priority's is untouched");
    assert.equal(leaked, 0, "the first's data is discarded");
    assert.ok(discarded > 50, `${discarded} counted`);
    assert.equal(domainState("drops"), "running");
    assert.equal(domainState("vital"), "running");

    await setCable("a", 0, true);
    const before = sentBy(ids.drops);
    await until("the first's data goes out again", () => sentBy(ids.drops) > before, 30_000, 500);
    await sleep(3000);
    const told = await toldBy(two.a);
    for (const id of ["domain-paused", "domain-migrated", "domain-resumed"])
      assert.equal(told.filter((one) => one === id).length, 1, id);
  }).timeout(4 * LONG_MS);

  const status = () => two.a.daemon.status();

  async function startOther({ name, number, on, words }: Other): Promise<void> {
    const metadata = `<uplink:network xmlns:uplink="urn:uplinkd:domain:1"><uplink:placement prefer="${on}"/>${words}</uplink:network>`;
    await startDomain({ name, macs: [macOf({ number })], metadata });
  }

  async function measured(): Promise<boolean> {
    const { domains } = await status();
    return [...OTHERS, MOVER].every(({ name, wants }) => {
      const vnic = domains.find((domain) => domain.name === name)?.vnics[0];
      return (vnic?.sentBitsPerSecond ?? 0) > wants * 0.9;
    });
  }

  async function classIds(): Promise<Readonly<Record<"vital" | "drops", string>>> {
    const { domains } = await status();
    const of = (name: string) =>
      domains.find((domain) => domain.name === name)?.vnics[0]?.classId ?? "";
    return { vital: of("vital"), drops: of("drops") };
  }
});

function macOf({ number }: Pick<Other, "number">): string {
  return `52:54:00:00:00:${number}`;
}

/** What a domain wants, sent in its name: its guest sends nothing by itself. */
function flood(
  { number, wants }: Pick<Other, "number" | "wants"> | typeof MOVER,
  mac: string,
): Flood {
  const from = addStandin({ number, mac });
  return new Flood({
    from,
    to: outside,
    bitsPerSecond: wants,
    frameBytes: FRAME_BYTES,
    port: 5100,
  });
}

/** Bytes that a class has let out, by both uplinks. */
function sentBy(classId: string): number {
  return ["nic0", "nic1"].reduce(
    (sum, uplink) => sum + Number(readClassCounts(uplink).get(classId)?.bytes ?? 0n),
    0,
  );
}

/** Frames that the class's queue on nic1 has dropped. */
function droppedFrom(classId: string): number {
  interface Qdisc {
    readonly parent?: string;
    readonly drops: number;
  }
  const leaf = readJson<Qdisc>("tc", "-s qdisc show dev nic1").find(
    ({ parent }) => parent === classId,
  );
  return leaf?.drops ?? Number.NaN;
}
