import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { resetToBare } from "../../bare.ts";
import { readJson, run, tc } from "../../command.ts";
import { type Daemon, STATE_DIR, startDaemon, startDomain } from "../../daemon.ts";
import { type Guest, labConfig } from "../../guests.ts";
import { buildHost, type HostShape } from "../../host.ts";
import type { End } from "../../meter.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { addStandin } from "../../standin.ts";
import { outside } from "../../switch.ts";
import { Flood, Sink } from "../../traffic.ts";
import { until } from "../../wait.ts";

const LIMIT_BITS_PER_SECOND = 8e6;
/** May pass at once: a sender that stalls for a quarter of a second loses no rate, and the whole is 3 % of what passes in the window. */
const BURST = "256kib";
const FRAME_BYTES = 1000;
const WINDOW_SECONDS = 10;
const INBOUND = `<uplink:inbound limit="8mbit" burst="${BURST}"/>`;

const limits = () => run("tc", "filter", "show", "dev", "bond0", "ingress");

/** What the one limit has counted: packets dropped, and bytes of all that came, by their packets' headers less than layer 2. */
function readCounts(): { readonly drops: number; readonly bytes: number } {
  interface Filter {
    readonly options?: {
      readonly actions?: readonly {
        readonly stats?: { readonly drops: number; readonly bytes: number };
      }[];
    };
  }
  const [stats] = readJson<Filter>("tc", "-s filter show dev bond0 ingress").flatMap(
    ({ options }) => options?.actions?.[0]?.stats ?? [],
  );
  assert.ok(stats !== undefined, "one limit stands");
  return stats;
}

/** A domain whose tap its XML names, and its stand-in. */
function startLimited(number: number, annotation: string): Guest {
  const mac = `52:54:00:00:00:0${number}`;
  const domain = { name: `guest${number}`, macs: [mac], taps: [`tap${number}`], annotation };
  startDomain(domain);
  return { ...addStandin({ number, mac }), domain };
}

/** @returns bits per second of layer 2 that arrive, of twice the limit sent */
async function receivedBy(to: Guest, from: End): Promise<number> {
  const sink = new Sink(to);
  const bitsPerSecond = 2 * LIMIT_BITS_PER_SECOND;
  const flood = new Flood({ from, to, bitsPerSecond, frameBytes: FRAME_BYTES });
  const beganMs = performance.now();
  await sleep(WINDOW_SECONDS * 1000);
  await flood.stop();
  const elapsedMs = performance.now() - beganMs;
  const { datagrams } = await sink.stop();
  return Math.round((datagrams * FRAME_BYTES * 8000) / elapsedMs);
}

const HOSTS: readonly (readonly [string, HostShape])[] = [
  ["active-backup", {}],
  ["balance-rr", { mode: "balance-rr" }],
];

describe("inbound limits", () => {
  let daemon: Daemon;
  afterEach(() => daemon.stop());

  async function start(shape: HostShape): Promise<{ limited: Guest; free: Guest }> {
    await resetToBare();
    await buildHost(shape);
    daemon = await startDaemon({ config: labConfig() });
    const [limited, free] = [startLimited(1, INBOUND), startLimited(2, "")];
    await until("the limit to stand", () => limits().includes(limited.mac));
    return { limited, free };
  }

  for (const [mode, shape] of HOSTS) {
    itEnforces(
      `${mode}: what comes from the wire is held to the limit; a neighbour's and what comes from a neighbour isn't`,
      { sabotage: ["inbound limits gone"], timeoutMs: 180_000 },
      async (strike) => {
        const { limited, free } = await start(shape);
        strike(daemon);
        const held = await receivedBy(limited, outside);
        const unheld = await receivedBy(free, outside);
        const local = await receivedBy(limited, free);
        console.log(`      ${JSON.stringify({ mode, held, unheld, local })}`);
        assert.ok(held <= LIMIT_BITS_PER_SECOND * 1.07, `${held} bit/s came through`);
        assert.ok(held >= LIMIT_BITS_PER_SECOND * 0.9, `only ${held} bit/s came through`);
        assert.ok(unheld > LIMIT_BITS_PER_SECOND * 1.3, `the neighbour got ${unheld} bit/s`);
        assert.ok(local > LIMIT_BITS_PER_SECOND * 1.3, `from the neighbour came ${local} bit/s`);
      },
    );
  }

  it("stands beside libvirt's own shaping of the tap, in both directions, and leaves it as it is", async () => {
    const { limited } = await start({});
    // What libvirt puts on a tap for <inbound> and <outbound> (virNetDevBandwidthSet).
    tc([
      `qdisc add dev ${limited.tap} root handle 1: htb default 1`,
      `class add dev ${limited.tap} parent 1: classid 1:1 htb rate 4mbit ceil 4mbit`,
      `qdisc add dev ${limited.tap} ingress`,
    ]);
    const before = run("tc", "qdisc", "show", "dev", limited.tap);
    const held = await receivedBy(limited, outside);
    assert.ok(held <= 4e6 * 1.1, `the lower of both holds: ${held} bit/s`);
    assert.equal(run("tc", "qdisc", "show", "dev", limited.tap), before);
    const counted = readCounts();
    assert.ok(counted.drops > 100, `${counted.drops} packets dropped`);
    await until("what the kernel counts to be told", async () => {
      const { domains } = await daemon.status();
      const [vnic] = domains.find(({ name }) => name === limited.domain.name)?.vnics ?? [];
      const { inboundBytes = 0, inboundDrops } = vnic ?? {};
      return inboundDrops === counted.drops && inboundBytes >= counted.bytes;
    });
  });

  it("goes with the domain's annotation, and with everything of ours at a release", async () => {
    const { limited } = await start({});
    const status = await daemon.status();
    const [vnic] = status.domains.find(({ name }) => name === limited.domain.name)?.vnics ?? [];
    assert.equal(vnic?.inboundLimitBitsPerSecond, LIMIT_BITS_PER_SECOND);
    await daemon.stop();
    run("sh", join(STATE_DIR, "release.sh"));
    assert.doesNotMatch(run("tc", "qdisc", "show", "dev", "bond0"), /clsact/);
  });
});
