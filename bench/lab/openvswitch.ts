/** Open vSwitch in the lab: its daemons with a database of their own, a bridge with a bond, and stand-ins on it. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { ip, run } from "../../test/lab/command.ts";
import { uplinkNames } from "../../test/lab/host.ts";
import { addStandin, type Standin } from "../../test/lab/standin.ts";
import { until } from "../../test/lab/wait.ts";

export type VswitchMode = "balance-slb" | "active-backup";

const FOLDER = "/run/openvswitch";
const DATABASE = `${FOLDER}/conf.db`;
const BRIDGE = "ovsbr";
const FLOWS = `${FOLDER}/flows`;
/** Where a stand-in's tap is born before it is moved: addStandin wants a bridge. */
const NURSERY = "nursery";
/** Words that keep ovs-vsctl from waiting for ever. */
const PATIENCE = ["--timeout=120"];
const PROGRAMS = ["ovs-vswitchd", "ovsdb-server"] as const;

/** Starts the daemons and builds a bridge whose bond has all uplinks of the lab. */
export async function buildVswitch(mode: VswitchMode): Promise<void> {
  run("modprobe", "openvswitch");
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  run("ovsdb-tool", "create", DATABASE, "/usr/share/openvswitch/vswitch.ovsschema");
  const socket = `--remote=punix:${FOLDER}/db.sock`;
  run("ovsdb-server", DATABASE, socket, "--pidfile", "--detach", "--no-chdir", "--log-file");
  vsctl("--no-wait", "init");
  run("ovs-vswitchd", "--pidfile", "--detach", "--no-chdir", "--log-file");
  const bond = ["--", "add-bond", BRIDGE, "bond0", ...uplinkNames(), `bond_mode=${mode}`];
  vsctl("add-br", BRIDGE, ...bond);
  ip([`link set ${BRIDGE} up`, ...uplinkNames().map((name) => `link set ${name} up`)]);
  await until("the bond's ports enabled", () =>
    uplinkNames().every((name) =>
      new RegExp(`${name}: enabled`).test(run("ovs-appctl", "bond/show", "bond0")),
    ),
  );
}

/** A stand-in whose tap is a port of the bridge. */
export function addVswitchPort(number: number): Standin {
  ip([`link add ${NURSERY} type bridge`]);
  const standin = addStandin({ number, bridge: NURSERY });
  ip([`link set ${standin.tap} nomaster`, `link del ${NURSERY}`]);
  vsctl("add-port", BRIDGE, standin.tap);
  return standin;
}

/** Gives each MAC a queue of its own on the bond: linux-htb, as many classes on each uplink as there are MACs. */
export function addVswitchQueues(macs: readonly string[], bitsPerSecond: number): void {
  const queues = macs.flatMap((_mac, index) => [`queues:${index + 1}=@q${index + 1}`]);
  const rates = [`other-config:min-rate=8000`, `other-config:max-rate=${bitsPerSecond}`];
  vsctl(
    ...["set", "port", "bond0", "qos=@qos"],
    ...["--", "--id=@qos", "create", "qos", "type=linux-htb", rates[1] ?? "", ...queues],
    ...macs.flatMap((_mac, index) => ["--", `--id=@q${index + 1}`, "create", "queue", ...rates]),
  );
  const flows = macs.map(
    (mac, index) => `priority=100,dl_src=${mac},actions=set_queue:${index + 1},NORMAL\n`,
  );
  writeFileSync(FLOWS, flows.join(""));
  run("ovs-ofctl", "add-flows", BRIDGE, FLOWS);
}

/** Tells the bridge, for five minutes, where an address is that never sends. */
export function learnVswitchMac(mac: string, port: string): void {
  run("ovs-appctl", "fdb/add", BRIDGE, port, "0", mac);
}

/** Takes bridge and daemons away again. */
export async function stopVswitch(): Promise<void> {
  vsctl("del-br", BRIDGE);
  for (const program of PROGRAMS) {
    const pid = readFileSync(`${FOLDER}/${program}.pid`, "latin1").trim();
    process.kill(Number(pid));
    await until(`${program} gone`, () => run("sh", "-c", `kill -0 ${pid} 2>&1 || :`) !== "");
  }
  // The kernel's half stays with the last datapath.
  run("sh", "-c", "ovs-dpctl del-dp ovs-system 2>/dev/null || :");
}

function vsctl(...words: readonly string[]): void {
  run("ovs-vsctl", ...PATIENCE, ...words);
}
