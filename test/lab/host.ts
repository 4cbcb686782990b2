import { readdirSync, readFileSync } from "node:fs";
import { ip, readJson, run } from "./command.ts";
import type { End } from "./meter.ts";
import { until } from "./wait.ts";

export type BondMode = "active-backup" | "balance-rr" | "balance-xor" | "802.3ad";

export interface HostShape {
  /** Of its bond and bridge: bond0 in br0 by default. The host's addresses are on br0. */
  readonly number?: number;
  readonly mode?: BondMode;
  /** Names of the bond's ports, in enslave order; all of the lab's uplinks by default. */
  readonly uplinks?: readonly string[];
  readonly miimonMs?: number;
  /** More of what `ip link add type bond` understands, e.g. "updelay 200 primary nic0". */
  readonly bondOptions?: string;
  /** What the uplinks state as their speed; 0 leaves it unknown, as virtio has it. */
  readonly speedMbit?: number;
}

/** What uplinks and the switch's ports state where they don't matter but have to agree. */
export const LACP_MBIT = 1000;
/** Synchronization, collecting, distributing (IEEE 802.1AX, LACPDU's state). */
const CARRIES = 0x38;

/** The lab's uplinks: nic0 and up. */
export function uplinkNames(): readonly string[] {
  const count = Number(process.env["UPLINKD_LAB_CABLES"] ?? "2");
  return Array.from({ length: count }, (_, cable) => `nic${cable}`);
}

/** Addresses of the host itself, on br0. */
export const hostAddress = "10.9.0.100";
export const hostAddress6 = "fd09::100";
/** The host as an end of traffic. */
export const host: End = { namespace: "", ipv4: hostAddress, ipv6: hostAddress6 };

/**
 * Builds what an operator's libvirt host has before uplinkd: the uplinks in bond0, bond0 in br0, an address on
 * br0. Returns once the bond has an active port, so traffic can flow.
 */
export async function buildHost(shape: HostShape = {}): Promise<void> {
  const mode = shape.mode ?? "active-backup";
  const uplinks = shape.uplinks ?? uplinkNames();
  // Fast, so that a partner that falls silent is missed after 3 s and not 90.
  const lacp = mode === "802.3ad" ? "lacp_rate fast" : "";
  const number = shape.number ?? 0;
  const [bond, bridge] = [`bond${number}`, `br${number}`];
  const options = `mode ${mode} miimon ${shape.miimonMs ?? 100} ${lacp} ${shape.bondOptions ?? ""}`;
  ip([
    `link add ${bridge} type bridge`,
    `link add ${bond} type bond ${options}`,
    ...uplinks.map((uplink) => `link set ${uplink} down`),
  ]);
  // LACP takes only ports of one speed into an aggregator, as they say when they join.
  const joinMbit = shape.speedMbit ?? (mode === "802.3ad" ? LACP_MBIT : 0);
  if (joinMbit > 0) for (const uplink of uplinks) setSpeed(uplink, joinMbit);
  ip([
    ...uplinks.map((uplink) => `link set ${uplink} master ${bond}`),
    // A port needs no address, and its own link-local one is the bridge's: behind separate ports of a switch the question
    // for it comes back to the bridge, which then takes its own for a duplicate.
    `link set ${bond} addrgenmode none`,
    `link set ${bond} up`,
    `link set ${bond} master ${bridge}`,
    `link set ${bridge} up`,
    ...(number === 0
      ? [`addr add ${hostAddress}/24 dev br0`, `addr add ${hostAddress6}/64 dev br0 nodad`]
      : []),
  ]);
  await until(`${bond} with carrier`, () => attribute(bond, "carrier") === "1");
  if (mode === "active-backup") await until("an active port", () => activePort(bond) !== "");
  if (mode === "802.3ad")
    await until("LACP agreed on every port", () => uplinks.every(isDistributing), 15_000);
}

/** Whether LACP has every bit of a port that carries traffic: in sync, collecting, distributing. */
export function isDistributing(uplink: string): boolean {
  const state = (side: string) =>
    Number(attribute(uplink, `bonding_slave/ad_${side}_oper_port_state`));
  return [state("actor"), state("partner")].every((bits) => (bits & CARRIES) === CARRIES);
}

/** States an uplink's speed. The kernel takes any number for virtio, which has none of its own. */
export function setSpeed(uplink: string, speedMbit: number): void {
  run("ethtool", "-s", uplink, "speed", String(speedMbit), "duplex", "full", "autoneg", "off");
}

/** The port that an active-backup bond sends by, "" when it has none. */
export function activePort(bond = "bond0"): string {
  return attribute(bond, "bonding/active_slave");
}

/** Makes a port the active one and waits until it is. */
export async function setActivePort(port: string, bond = "bond0"): Promise<void> {
  // Bonding refuses one whose link it hasn't yet seen to be up: it looks once a miimon.
  await until(`${port} up to bonding`, () => attribute(port, "bonding_slave/mii_status") === "up");
  ip([`link set ${bond} type bond active_slave ${port}`]);
  await until(`${port} active`, () => activePort(bond) === port);
}

/** One file of /sys/class/net/LINK, trimmed; "" when the link or the value isn't there. */
export function attribute(link: string, name: string): string {
  try {
    return readFileSync(`/sys/class/net/${link}/${name}`, "latin1").trim();
  } catch {
    return "";
  }
}

/** An HTB class as `tc` shows it; bytes and packets are what has left it. */
export interface ClassCount {
  readonly handle: string;
  /** "root" for a class right below the qdisc. */
  readonly parent: string;
  readonly prio: number;
  readonly rateBitsPerSecond: number;
  readonly ceilBitsPerSecond: number;
  readonly bytes: bigint;
  readonly packets: number;
  readonly drops: number;
  readonly backlogPackets: number;
}

/** A link's HTB classes by class id (`7570:11`). iproute2 6.1 has no JSON for classes, so this reads its text. */
export function readClassCounts(link: string): Map<string, ClassCount> {
  const classes = new Map<string, ClassCount>();
  const entries = run("tc", "-s", "class", "show", "dev", link).split(/^class /m);
  for (const entry of entries) {
    const handle = /^htb (\S+)/.exec(entry)?.[1];
    if (handle === undefined) continue;
    const word = (pattern: RegExp) => pattern.exec(entry)?.[1] ?? "0";
    classes.set(handle, {
      handle,
      parent: /^htb \S+ root/.test(entry) ? "root" : word(/ parent (\S+)/),
      prio: Number(word(/ prio (\d+)/)),
      rateBitsPerSecond: parseRate(word(/ rate (\S+)/)),
      ceilBitsPerSecond: parseRate(word(/ ceil (\S+)/)),
      bytes: BigInt(word(/Sent (\d+) bytes/)),
      packets: Number(word(/bytes (\d+) pkt/)),
      drops: Number(word(/dropped (\d+)/)),
      backlogPackets: Number(word(/backlog \S+ (\d+)p/)),
    });
  }
  return classes;
}

/** "25Mbit" as tc writes it. It rounds to three digits and more. */
function parseRate(text: string): number {
  const [, number = "0", prefix = ""] = /^([0-9.]+)([KMGT]?)bit$/.exec(text) ?? [];
  return Number(number) * 1000 ** ["", "K", "M", "G", "T"].indexOf(prefix);
}

/** Whether an administrator made a link promiscuous: the kernel's count also holds what bonding and bridges ask for. */
export function isPromiscuous(link: string): boolean {
  const [entry] = readJson<{ readonly flags: readonly string[] }>("ip", `link show dev ${link}`);
  return entry?.flags.includes("PROMISC") ?? false;
}

/** Everything of the host's that uplinkd may change, as text: what release has to bring back exactly. */
export function readNetworkState(): string {
  const bonds = readdirSync("/sys/class/net").filter((name) => /^(br|bond)\d$/.test(name));
  const links = [...bonds, ...uplinkNames()];
  const volatile = /(expires|valid_lft|preferred_lft|age|gso_ipv4_max_size|\w+_timer) +\S+/g;
  const parts = [
    run("ip", "-d", "link", "show"),
    run("ip", "addr", "show"),
    run("tc", "qdisc", "show"),
    ...links.flatMap((link) => [
      run("tc", "class", "show", "dev", link),
      run("tc", "filter", "show", "dev", link, "ingress"),
      run("tc", "filter", "show", "dev", link, "egress"),
    ]),
    // What a bridge learns comes and goes with the traffic; what somebody set is marked.
    run("bridge", "fdb", "show")
      .split("\n")
      .filter((line) => /permanent|static|sticky/.test(line))
      .join("\n"),
  ];
  return parts.join("").replaceAll(volatile, "$1");
}
