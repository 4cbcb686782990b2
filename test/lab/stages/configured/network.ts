/** Hosts whose bond and bridge another program makes from its configuration: what each of those tests starts from and asks. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { cached } from "../../cache.ts";
import { ip, readJson, run } from "../../command.ts";
import { type Daemon, startDaemon } from "../../daemon.ts";
import { type Guest, labConfig, startGuest } from "../../guests.ts";
import { isPromiscuous, readClassCounts, uplinkNames } from "../../host.ts";
import { allAtHome, leavesBy } from "../../reached.ts";
import { until } from "../../wait.ts";

/** On a machine that others use, without KVM, all takes minutes. */
const SLOW_MS = 300_000;

export const untilSlow = (what: string, condition: () => boolean | Promise<boolean>) =>
  until(what, condition, SLOW_MS, 200);

/** A unit's program then takes /sys for a container's and waits for no udev, which the lab doesn't run. */
export const WITHOUT_UDEV = "[Service]\nReadOnlyPaths=/sys\n";

/** Waits for systemd, and leaves the uplinks as they are at a host's boot: down, and nobody's. */
export async function prepareBoot(): Promise<void> {
  await untilSlow(
    "systemd's boot",
    () => run("systemctl", "show", "-P", "ActiveState", "basic.target").trim() === "active",
  );
  run("systemctl", "start", "dbus");
  const there = new Set(readJson<{ ifname: string }>("ip", "link").map(({ ifname }) => ifname));
  ip(["br0", "bond0"].filter((name) => there.has(name)).map((name) => `link del ${name}`));
  ip(uplinkNames().map((uplink) => `link set ${uplink} down`));
}

/** Puts ifupdown and NetworkManager where their packages do. */
export function installPrograms(): void {
  const root = cached("network-programs/root");
  run("sh", "-c", `tar -C ${root} -c . | tar -C / -x --keep-directory-symlink && ldconfig`);
}

/** Waits until the program has made all that its configuration says. */
export async function untilBuilt(): Promise<void> {
  await untilSlow("both uplinks in bond0, and bond0 in br0", isWhole);
}

function isWhole(): boolean {
  const links = readJson<{
    readonly ifname: string;
    readonly master?: string;
    readonly operstate: string;
  }>("ip", "link show");
  const isIn = (name: string, master: string) =>
    links.some((link) => link.ifname === name && link.master === master && link.operstate === "UP");
  return uplinkNames().every((uplink) => isIn(uplink, "bond0")) && isIn("bond0", "br0");
}

export interface Adopted {
  readonly daemon: Daemon;
  readonly guests: readonly Guest[];
}

/** A daemon that finds the bond, and a guest on each uplink. */
export async function adopt(): Promise<Adopted> {
  const daemon = await startDaemon({ config: labConfig() });
  const guests = [1, 2].map((number) =>
    startGuest(
      number,
      `guest${number}`,
      `<uplink:bandwidth limit="8mbit"/><uplink:placement prefer="nic${number - 1}"/>`,
      // As addStandin names it.
      { taps: [`tap${number}`] },
    ),
  );
  await allAtHome(daemon, guests);
  return { daemon, guests };
}

/** Something that an operator has the program do, and what becomes of it. */
export interface Act {
  readonly title: string;
  readonly run: () => void;
  /** What the log has to tell of it. */
  readonly told?: RegExp;
}

/**
 * Does it, and waits until all is in force again by itself: the same kernel objects as before, and each guest by its home in
 * its class. Says what of ours was touched.
 */
export async function assertSurvived({ daemon, guests }: Adopted, act: Act): Promise<void> {
  const before = readEnforced();
  const from = daemon.log().length;
  act.run();
  // What the program does, it may do a moment later.
  await sleep(2000);
  await untilBuilt();
  await putBack(daemon, guests);
  await untilSlow("all in force as before", async () => {
    await sleep(300);
    const { teams, drift } = await daemon.status();
    const isRight = teams.every(({ condition }) => condition === "ok") && drift.length === 0;
    return isRight && readEnforced() === before;
  }).catch((error: unknown) => {
    console.log(daemon.log().slice(from));
    assert.equal(readEnforced(), before, act.title);
    throw error;
  });
  await allAtHome(daemon, guests);
  const { domains } = await daemon.status();
  for (const guest of guests) {
    const vnic = domains.find(({ name }) => name === guest.domain.name)?.vnics[0];
    assert.equal(leavesBy(guest.namespace, vnic?.classId ?? ""), vnic?.home, act.title);
  }
  const told = daemon.log().slice(from);
  const events = [...told.matchAll(/^<[345]>(.*)$/gm)].map(([, text]) => text);
  console.log(`      ${act.title}: ${events.length === 0 ? "nothing told" : ""}`);
  for (const event of events) console.log(`        ${event}`);
  if (act.told !== undefined) assert.match(told, act.told, act.title);
}

/** A bridge that was made anew comes without the guests' taps: uplinkd says so of each, until somebody puts it back. */
async function putBack(daemon: Daemon, guests: readonly Guest[]): Promise<void> {
  const isAlone = ({ tap }: Guest) =>
    readJson<{ readonly master?: string }>("ip", `link show dev ${tap}`)[0]?.master === undefined;
  const alone = guests.filter(isAlone);
  const remedies = alone.map(({ tap }) => `ip link set dev ${tap} master br0`);
  const told = async () => (await daemon.status()).problems.map(({ remedy }) => remedy);
  await untilSlow("each tap without a bridge to be told", async () => {
    const known = await told();
    return remedies.every((remedy) => known.includes(remedy));
  });
  for (const remedy of remedies) run("sh", "-c", remedy);
  await untilSlow("no tap without a bridge to be told any more", async () => {
    const known = await told();
    return remedies.every((remedy) => !known.includes(remedy));
  });
}

/** What of ours stands in the kernel, as its own tools tell it, without what counts or is numbered anew. */
function readEnforced(): string {
  const links = readJson<{
    readonly ifname: string;
    readonly linkinfo?: {
      readonly info_slave_data?: { readonly queue_id?: number };
      readonly info_data?: { readonly updelay?: number };
    };
  }>("ip", "-d link show");
  const of = (name: string) => links.find(({ ifname }) => ifname === name)?.linkinfo;
  const queueOf = (uplink: string) => of(uplink)?.info_slave_data?.queue_id ?? 0;
  // Ports of a bond that was made anew may have one another's queue ids: what counts is whose a vNIC sends by.
  const nameQueue = (words: string, queue: string) =>
    `queue of ${uplinkNames().find((uplink) => queueOf(uplink) === Number(queue)) ?? words}`;
  const filters = ["bond0", ...uplinkNames()].flatMap((device) =>
    ["egress", "ingress"].map((hook) =>
      run("sh", "-c", `tc filter show dev ${device} ${hook} 2>/dev/null || :`)
        .replaceAll(/index \d+ ref \d+ bind \d+|\b(used_hw_stats|not_in_hw)\b.*/g, "")
        .replaceAll(/queue_mapping (\d+)/g, nameQueue),
    ),
  );
  const classes = uplinkNames().flatMap((uplink) =>
    [...readClassCounts(uplink).values()].map(
      ({ handle, rateBitsPerSecond, ceilBitsPerSecond, prio }) =>
        `${uplink} ${handle} ${rateBitsPerSecond} ${ceilBitsPerSecond} ${prio}`,
    ),
  );
  const settings = uplinkNames().map(
    (uplink) =>
      `${uplink} ${isPromiscuous(uplink)} ${queueOf(uplink) > 0 ? "has a queue id" : "has none"}`,
  );
  const updelay = `updelay ${of("bond0")?.info_data?.updelay ?? "none"}`;
  return [...classes.sort(), ...settings, updelay, ...filters].join("\n");
}
