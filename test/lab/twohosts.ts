/** Two hosts, each with a daemon and libvirt of its own, one guest that moves between them, and who talks to it. */
import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { resetToBare } from "./bare.ts";
import { inNamespace, ip, readJson, run } from "./command.ts";
import { type Daemon, startDaemon } from "./daemon.ts";
import { buildHost, type HostShape, hostAddress } from "./host.ts";
import {
  domainXml,
  endWords,
  installHook,
  resetLibvirt,
  startLibvirt,
  virsh,
  virshAside,
} from "./libvirt.ts";
import {
  addPeerStandin,
  here,
  type Peer,
  peerAddress,
  peerNamespace,
  setPeerCable,
  startPeer,
} from "./peer.ts";
import { plug, pull } from "./qmp.ts";
import { addStandin, type Standin } from "./standin.ts";
import { bundle, outside } from "./switch.ts";
import { Flood, Sink } from "./traffic.ts";
import { until } from "./wait.ts";

const HOOK = join(import.meta.dirname, "../../hooks/qemu");
export const GUEST = "mover";
export const GUEST_MAC = "52:54:00:00:00:50";
export const GUEST_ADDRESS = "10.9.0.50";
/** Has it moved soon after the loss. */
export const MOVES = '<uplink:failover action="migrate" grace="4s" destination="other"/>';
/** On a busy machine libvirt takes a minute for what is done in two seconds. */
export const LONG_MS = 240_000;
const LOADER = 9;
/** What the guest wants: more than the second uplink has. */
const DEMAND = 14e6;

export type Side = "a" | "b";

/** The first uplink is the wider one; on the other a migration has just what libvirt can be told. */
export function hostConfig(
  side: Side,
  {
    speeds = ["20mbit", "9500kbit"],
    rest = "",
    team = "",
  }: { speeds?: readonly string[]; rest?: string; team?: string } = {},
): string {
  const [first, second] = side === "a" ? ["nic0", "nic1"] : ["u0", "u1"];
  const to = side === "a" ? peerAddress : hostAddress;
  return `teams:
  - bond: bond0
    uplinks:
      - {name: ${first}, speed: ${speeds[0]}, label: left}
      - {name: ${second}, speed: ${speeds[1]}, label: right}
    headroom: 0%
    floor: 100kbit
    holdDown: 2s
    holdDownMax: 2s
    loadWindow: 2s
    host: {reservation: 1mbit}
${team}
resync: 5s
migration: {timeout: 4m}
destinations:
  - {name: other, uri: "qemu+tcp://${to}/system", migrateUri: "tcp://${to}"}
  - {name: nowhere, uri: "qemu+tcp://10.9.0.99/system"}
${rest}
`;
}

export interface Host {
  daemon: Daemon;
  readonly virsh: (...args: readonly string[]) => string;
  readonly virshAside: (...args: readonly string[]) => Promise<string>;
  /** "" for the lab's own. */
  readonly namespace: string;
  readonly uplinks: readonly string[];
}

/** How the first host is wired. */
export interface HostWiring {
  readonly host?: HostShape;
  /** What the switch makes of its ports. */
  readonly group?: "802.3ad" | "balance-xor";
  /** More lines of its team. */
  readonly team?: string;
}

export interface TwoHosts {
  readonly a: Host;
  readonly b: Host;
  readonly peer: Peer;
  /** A neighbour of the guest's on each host. */
  readonly neighbours: Readonly<Record<Side, { readonly namespace: string }>>;
}

/**
 * Two hosts for all tests of a block: built before the first, gone after the last.
 * @param use called with them before the first test
 * @param wired the first host's bond; active-backup by default, which the second has always
 */
export function useTwoHosts(use: (two: TwoHosts) => void, wired: HostWiring = {}): void {
  let built: TwoHosts | undefined;
  before(async function () {
    this.timeout(2 * LONG_MS);
    built = await buildTwoHosts(wired);
    use(built);
  });
  after(async function () {
    this.timeout(LONG_MS);
    await setCable("a", 0, true);
    for (const host of built === undefined ? [] : [built.a, built.b]) await host.daemon.stop();
    await resetLibvirt({ stop: true });
    await resetToBare();
  });
}

async function buildTwoHosts({ host, group, team = "" }: HostWiring): Promise<TwoHosts> {
  await resetLibvirt({ stop: true });
  await resetToBare();
  if (group !== undefined) bundle(group);
  await buildHost(host);
  installHook("50-uplinkd", HOOK);
  await startLibvirt();
  const peer = await startPeer();
  const neighbours = { a: addStandin({ number: 1 }), b: addPeerStandin(2, "52:54:00:00:00:02") };
  const a = await startDaemon({ config: hostConfig("a", { team }) });
  const b = await startDaemon({ config: hostConfig("b"), at: peer });
  return {
    peer,
    neighbours,
    a: { daemon: a, virsh, virshAside, namespace: "", uplinks: ["nic0", "nic1"] },
    b: { daemon: b, ...peer, namespace: peerNamespace, uplinks: ["u0", "u1"] },
  };
}

/** Starts the guest afresh on one host, and waits until it answers. */
export async function startGuest(
  two: TwoHosts,
  side: Side,
  annotation: string,
  priority = "low",
): Promise<void> {
  for (const host of [two.a, two.b]) {
    try {
      host.virsh(endWords([GUEST]));
    } catch {
      // It isn't there, which is what was wanted.
    }
  }
  const metadata = `<uplink:network xmlns:uplink="urn:uplinkd:domain:1"><uplink:priority>${priority}</uplink:priority>\
<uplink:placement prefer="left"/>${annotation}</uplink:network>`;
  const file = `/run/lab/${GUEST}.xml`;
  writeFileSync(file, domainXml({ name: GUEST, macs: [GUEST_MAC], metadata, ipv4: GUEST_ADDRESS }));
  await two[side].virshAside(`define ${file}; start ${GUEST}`);
  const first = new Pinger(outside.namespace);
  await until("the guest to answer", () => first.received > 0, 180_000, 200);
  await first.stop();
}

/**
 * Has the guest want more than its host's second uplink has, and takes the first away: from then on it is due. What it
 * wants is sent in its name, since iPXE sends nothing by itself.
 */
export async function degrade(two: TwoHosts, side: Side): Promise<void> {
  const host = two[side];
  const loader: Pick<Standin, "namespace" | "ipv4" | "ipv6"> =
    side === "a"
      ? addStandin({ number: LOADER, mac: GUEST_MAC })
      : addPeerStandin(LOADER, GUEST_MAC);
  const sink = new Sink(outside);
  const flood = new Flood({ from: loader, to: outside, bitsPerSecond: DEMAND, frameBytes: 1400 });
  await until(
    "demand measured",
    async () => {
      const { domains } = await host.daemon.status();
      const sent = domains.find(({ name }) => name === GUEST)?.vnics[0]?.sentBitsPerSecond ?? 0;
      return sent > 10.5e6;
    },
    60_000,
    300,
  );
  await setCable(side, 0, false);
  await until(
    "the loss seen",
    async () => (await host.daemon.status()).teams[0]?.condition === "degraded",
    20_000,
    100,
  );
  await flood.stop().catch(() => undefined);
  await sink.stop().catch(() => undefined);
  ip([`netns del vm${LOADER}`]);
}

export async function setCable(side: Side, cable: 0 | 1, up: boolean): Promise<void> {
  if (side === "b") setPeerCable(cable, up);
  else if (up) await plug(cable);
  else await pull(cable);
}

/** Starts a host's daemon again, with what the last one has left. */
export async function restartDaemon(two: TwoHosts, side: Side): Promise<void> {
  const at = side === "a" ? here : two.peer;
  two[side].daemon = await startDaemon({ config: hostConfig(side), keepState: true, at });
}

/** Ids of what a host's daemon has told of. */
export async function toldBy({ daemon }: Host): Promise<readonly string[]> {
  return (await daemon.events()).map(({ id }) => id);
}

/** Whether the host's bond has a filter for the guest's MAC. */
export function hasFilter({ namespace }: Host): boolean {
  interface Filter {
    readonly options?: { readonly keys?: { readonly src_mac?: string } };
  }
  return readJson<Filter>("tc", "filter show dev bond0 egress pref 7568", namespace).some(
    ({ options }) => options?.keys?.src_mac === GUEST_MAC,
  );
}

/** Whether a vNIC's class stands on the host's uplinks. */
export function hasClass({ namespace, uplinks }: Host): boolean {
  return uplinks.every((uplink) => {
    const [program = "", ...args] = [
      ...inNamespace(namespace),
      "tc",
      "class",
      "show",
      "dev",
      uplink,
    ];
    return /htb 7570:[1-9a-f][0-9a-f]+ parent 7570:1 /.test(
      run(program, ...args)
        .replaceAll("7570:fff0", "")
        .replaceAll("7570:fff1", ""),
    );
  });
}

/** Pings the guest from a namespace, five times a second, until stopped. */
export class Pinger {
  readonly #process: ChildProcess;
  readonly #arrivals: number[] = [];
  readonly #startedAt = performance.now();
  readonly #ended: Promise<void>;

  constructor(namespace: string) {
    const words = ["ping", "-n", "-i", "0.2", GUEST_ADDRESS];
    const [program = "", ...args] = [...inNamespace(namespace), ...words];
    this.#process = spawn(program, args, { stdio: ["ignore", "pipe", "ignore"] });
    this.#process.stdout?.setEncoding("utf8").on("data", (text: string) => {
      for (const _answer of text.matchAll(/bytes from/g)) this.#arrivals.push(performance.now());
    });
    this.#ended = new Promise((resolve) => this.#process.on("close", () => resolve()));
  }

  get received(): number {
    return this.#arrivals.length;
  }

  /** Ends it. @returns how long it heard nothing at most, from its first answer on, milliseconds */
  async stop(): Promise<{ readonly received: number; readonly longestSilenceMs: number }> {
    this.#process.kill("SIGINT");
    await this.#ended;
    const times = [...this.#arrivals, performance.now()];
    let last = times[0] ?? this.#startedAt;
    let longest = 0;
    for (const time of times) {
      longest = Math.max(longest, time - last);
      last = time;
    }
    return { received: this.received, longestSilenceMs: Math.round(longest) };
  }
}
