/**
 * A second libvirt host in the same lab, joined to the first by the lab's switch: a network namespace with a bond and
 * a bridge of its own, and a mount namespace in which libvirt, D-Bus and uplinkd have folders of their own. Its uplinks are
 * veth pairs: what matters of a NIC's receive filter is tested on the first host.
 */
import { spawn } from "node:child_process";
import { existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { ip, run, runAside } from "./command.ts";
import type { End } from "./meter.ts";
import { switchNamespace } from "./switch.ts";
import { until } from "./wait.ts";

export const peerNamespace = "peer";
export const peerAddress = "10.9.0.101";
/** The peer's uplinks. */
export const peerUplinks = ["u0", "u1"] as const;
/** The switch's ends of their cables. */
const ports = ["q0", "q1"] as const;

/** Folders that each host has for itself. */
const OWN_FOLDERS = [
  ...["/run/libvirt", "/run/dbus", "/run/uplinkd", "/run/uplinkd-test"],
  ...["/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt", "/etc/libvirt"],
];
/** libvirt refuses to move a domain to a host with its own UUID, or name (qemuMigrationCookieXMLParse). */
const HOST_UUID = "22222222-2222-4222-8222-222222222222";

/** Where a host's programs run, and where its files are seen from here. */
export interface Place {
  /** Words before a command. */
  readonly prefix: readonly string[];
  /** Before a path. */
  readonly root: string;
}

/** The lab's own host. */
export const here: Place = { prefix: [], root: "" };

export interface Peer extends Place {
  readonly virsh: (...args: readonly string[]) => string;
  readonly virshAside: (...args: readonly string[]) => Promise<string>;
}

/**
 * Builds the second host and starts its libvirt, after the first one's configuration and hooks are in place. It ends with
 * resetToBare, as what it is made of are processes and namespaces.
 */
export async function startPeer(): Promise<Peer> {
  buildNetwork();
  const etc = "/run/lab/peer-etc";
  run("sh", "-c", `rm -rf ${etc} && cp -a /etc/libvirt ${etc}`);
  const conf = readFileSync("/etc/libvirt/libvirtd.conf", "utf8");
  writeFileSync(`${etc}/libvirtd.conf`, `${conf}host_uuid = "${HOST_UUID}"\n`);
  const script = [
    "set -e",
    "hostname peer",
    ...OWN_FOLDERS.map((folder) => `mkdir -p ${folder}; mount -t tmpfs tmpfs ${folder}`),
    `cp -a ${etc}/. /etc/libvirt/`,
    "touch /run/dbus/ready",
    "exec sleep 100000",
  ].join("\n");
  const log = openSync("/run/lab/log/peer", "a");
  const holder = spawn(
    "ip",
    ["netns", "exec", peerNamespace, "unshare", "-m", "-u", "sh", "-c", script],
    { detached: true, stdio: ["ignore", log, log] },
  );
  holder.unref();
  const prefix = ["nsenter", "-t", `${holder.pid}`, "-m", "-u", "-n"];
  const root = `/proc/${holder.pid}/root`;
  try {
    await until("the peer's folders", () => existsSync(`${root}/run/dbus/ready`), 60_000, 200);
  } catch (error) {
    throw new Error(readFileSync("/run/lab/log/peer", "utf8"), { cause: error });
  }
  const start = (...words: readonly string[]) => {
    const [program = "", ...args] = [...prefix, ...words];
    spawn(program, args, { detached: true, stdio: ["ignore", log, log] }).unref();
  };
  start("dbus-daemon", "--system", "--nofork", "--nopidfile", "--nosyslog");
  start("libvirtd", "--listen", "-p", "/run/libvirt/libvirtd.pid");
  const virsh = (...args: readonly string[]) => on({ prefix }, "virsh", "-q", ...args);
  await until("the peer's bus", () => existsSync(`${root}/run/dbus/system_bus_socket`), 60_000);
  const user = ["--reuid=libvirtdbus", "--regid=libvirtdbus", "--init-groups"];
  start("setpriv", ...user, "libvirt-dbus", "--system");
  await until("the peer's libvirt", () => answers(virsh), 60_000, 500);
  const virshAside = (...args: readonly string[]) => {
    const [program = "", ...rest] = [...prefix, "virsh", "-q", ...args];
    return runAside(program, ...rest);
  };
  return { prefix, root, virsh, virshAside };
}

/** Runs a program on a host. */
export function on({ prefix }: Pick<Place, "prefix">, ...words: readonly string[]): string {
  const [program = "", ...args] = [...prefix, ...words];
  return run(program, ...args);
}

/** Pulls, or plugs in again, the cable of one of the peer's uplinks. */
export function setPeerCable(cable: 0 | 1, up: boolean): void {
  ip([`link set ${ports[cable]} ${up ? "up" : "down"}`], switchNamespace);
}

/** A stand-in on the peer's bridge. */
export function addPeerStandin(number: number, mac: string): End & { readonly tap: string } {
  const [namespace, tap, ipv4] = [`vm${number}`, `tap${number}`, `10.9.0.${number}`];
  ip([`netns add ${namespace}`]);
  ip(
    [
      `link add ${tap} type veth peer name eth0 netns ${namespace}`,
      `link set ${tap} master br0 up`,
    ],
    peerNamespace,
  );
  ip(
    [
      "link set lo up",
      `link set eth0 address ${mac}`,
      "link set eth0 up",
      `addr add ${ipv4}/24 dev eth0`,
    ],
    namespace,
  );
  return { namespace, tap, ipv4, ipv6: "" };
}

function buildNetwork(): void {
  ip([`netns add ${peerNamespace}`]);
  for (const [cable, uplink] of peerUplinks.entries()) {
    const port = ports[cable] ?? "";
    ip([`link add ${uplink} type veth peer name ${port} netns ${switchNamespace}`], peerNamespace);
    ip([`link set ${port} master sbr up`], switchNamespace);
  }
  ip(
    [
      "link set lo up",
      "link add br0 type bridge",
      "link add bond0 type bond mode active-backup miimon 100",
      ...peerUplinks.map((uplink) => `link set ${uplink} master bond0`),
      "link set bond0 up",
      "link set bond0 master br0",
      "link set br0 up",
      `addr add ${peerAddress}/24 dev br0`,
    ],
    peerNamespace,
  );
}

function answers(virsh: Peer["virsh"]): boolean {
  try {
    virsh("uri");
    return true;
  } catch {
    return false;
  }
}
