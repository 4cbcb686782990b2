/** The demo's own part, inside the lab; see demo.ts. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { formatRate } from "../../src/model/units.ts";
import { resetToBare } from "./bare.ts";
import { type Daemon, RUN_DIR, startDaemon } from "./daemon.ts";
import { labConfig } from "./guests.ts";
import { buildHost, readClassCounts } from "./host.ts";
import { domainState, installHook, resetLibvirt, startDomain, startLibvirt } from "./libvirt.ts";
import { plug, pull } from "./qmp.ts";
import { addStandin } from "./standin.ts";
import { outside } from "./switch.ts";
import { Flood, Sink } from "./traffic.ts";
import { until } from "./wait.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const startMs = performance.now();

/** What each domain is promised; its load comes from a stand-in with its MAC, since the tiny guests are quiet. */
const DOMAINS = [
  {
    name: "database",
    mac: "52:54:00:00:00:01",
    sends: 7e6,
    children:
      '<uplink:priority>high</uplink:priority><uplink:bandwidth reservation="6mbit"/><uplink:placement prefer="nic0"/>',
  },
  {
    name: "web",
    mac: "52:54:00:00:00:02",
    sends: 4e6,
    children:
      '<uplink:bandwidth reservation="2mbit" limit="4mbit"/><uplink:placement prefer="nic1"/>',
  },
  {
    name: "batch",
    mac: "52:54:00:00:00:03",
    sends: 5e6,
    children:
      '<uplink:priority>low</uplink:priority><uplink:placement prefer="nic1"/><uplink:failover action="pause" grace="2s"/>',
  },
] as const;

say(
  "A host: uplinks nic0 and nic1 (10 Mbit/s each) in bond0 (active-backup), bond0 in br0, libvirtd.",
);
await resetLibvirt({ stop: true });
await resetToBare();
await buildHost();
installHook("50-uplinkd", join(ROOT, "hooks/qemu"));
await startLibvirt();
const daemon = await startDaemon({ config: labConfig({ speed: "10mbit" }) });

say("Three domains start; each has its classes before its CPUs run.");
for (const { name, mac, children } of DOMAINS) {
  const metadata = `<uplink:network xmlns:uplink="urn:uplinkd:domain:1">${children}</uplink:network>`;
  await startDomain({ name, macs: [mac], metadata });
  console.log(`     ${name}: ${children.replaceAll("uplink:", "")}`);
}
const loads = [
  new Sink(outside),
  ...DOMAINS.map(({ mac, sends }, index) => {
    const from = addStandin({ number: index + 1, mac });
    return new Flood({ from, to: outside, bitsPerSecond: sends });
  }),
];
await sleep(6000);
say("What each was promised, and gets:");
control("status");
await rates(daemon);

say("What would be if nic1 failed, before it does:");
control("explain", "batch");

say("The cable of nic1 is pulled.");
await pull(1);
await sleep(1500);
await rates(daemon);
await until("batch paused", () => domainState("batch") === "paused", 20_000, 300);
say("batch wanted more before the loss than it gets now, and its policy says pause:");
control("status");
await rates(daemon);

say("The cable is plugged in again; after the hold-down everyone goes home.");
await plug(1);
await until("batch running", () => domainState("batch") === "running", 30_000, 300);
await sleep(3000);
control("status");
await rates(daemon);

say("The story, as uplinkctl events tells it:");
control("events");

say("Release: the host is as it was.");
control("release");
for (const load of loads) await load.stop();
await daemon.stop();
await resetLibvirt({ stop: true });
say("That was it.");
process.exit(0);

function say(text: string): void {
  const seconds = Math.round((performance.now() - startMs) / 1000);
  console.log(`\n[${String(seconds).padStart(3)} s] ${text}`);
}

/** uplinkctl, as an operator would run it. */
function control(...args: readonly string[]): void {
  console.log(`     $ uplinkctl ${args.join(" ")}`);
  const result = spawnSync(process.execPath, [join(ROOT, "dist/uplinkctl.mjs"), ...args], {
    encoding: "utf8",
    env: { ...process.env, UPLINKD_RUN_DIR: RUN_DIR, COLUMNS: "110" },
  });
  console.log(`${result.stdout}${result.stderr}`.replaceAll(/^/gm, "     ").trimEnd());
}

/** What left in each domain's class over two seconds, on all uplinks. */
async function rates(of: Daemon): Promise<void> {
  const { domains } = await of.status();
  const read = () => ["nic0", "nic1"].map((uplink) => readClassCounts(uplink));
  const [first, beganMs] = [read(), performance.now()];
  await sleep(2000);
  const [second, seconds] = [read(), (performance.now() - beganMs) / 1000];
  for (const { name, vnics } of domains) {
    const classId = vnics[0]?.classId ?? "";
    const bytes = (counts: ReturnType<typeof read>) =>
      counts.reduce((sum, classes) => sum + Number(classes.get(classId)?.bytes ?? 0), 0);
    const rate = ((bytes(second) - bytes(first)) * 8) / seconds;
    console.log(`     measured: ${name.padEnd(9)} ${formatRate(Math.round(rate / 1e5) * 1e5)}/s`);
  }
}
