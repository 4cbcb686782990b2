import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { batch, readJson, run, unchecked } from "./command.ts";
import { uplinkNames } from "./host.ts";
import { daemonPids } from "./libvirt.ts";
import { hasCarrier, plug } from "./qmp.ts";
import { clearSwitch } from "./switch.ts";
import { until } from "./wait.ts";

interface Link {
  readonly ifname: string;
  readonly master?: string;
  readonly promiscuity?: number;
  readonly flags: readonly string[];
}

interface Qdisc {
  readonly kind: string;
  readonly dev: string;
  /** "0:" is the kernel's own default, which can't be deleted. */
  readonly handle: string;
}

/**
 * Brings the stage back to what a lab is right after its boot, whatever a test left: strays killed, cables
 * plugged, no namespace but the switch, no link but the uplinks, nothing on them. Then checks that it is so.
 * For every stage's beforeEach.
 */
export async function resetToBare(): Promise<void> {
  await killStrays();
  // One shell for all of it: each process that this one starts costs a tenth of a second under TCG.
  run("sh", "-c", [...clearHost(), ...clearSwitch()].join("\n"));
  for (const [cable] of uplinkNames().entries()) await plug(cable);
  const left = findLeftovers();
  if (left.length > 0) throw new Error(`the stage is not bare: ${left.join("; ")}`);
}

/** Lines of shell that leave the host its uplinks alone, with nothing on them. */
function clearHost(): readonly string[] {
  const uplinks = uplinkNames();
  const links = readdirSync("/sys/class/net").filter(
    (name) => name !== "lo" && !uplinks.includes(name) && name !== "bonding_masters",
  );
  return [
    // A veth's other end, or a VLAN's, is gone by the time its turn comes; what stays after all is a leftover.
    ...unchecked("ip", [
      ...foreignNamespaces().map((namespace) => `netns del ${namespace}`),
      ...links.map((link) => `link del ${link}`),
    ]),
    ...unchecked(
      "tc",
      uplinks.flatMap((uplink) => [
        `qdisc del dev ${uplink} root`,
        `qdisc del dev ${uplink} clsact`,
        `qdisc del dev ${uplink} ingress`,
      ]),
    ),
    // Each `promisc off` gives back one `promisc on`; a link set twice needs it once all the same.
    ...batch(
      "ip",
      uplinks.flatMap((uplink) => [
        `link set ${uplink} promisc off allmulticast off mtu 1500`,
        `addr flush dev ${uplink} scope global`,
        `link set ${uplink} up`,
      ]),
    ),
  ];
}

/** What is on the stage that a bare one doesn't have, each in words. */
export function findLeftovers(): string[] {
  const uplinks = new Set(uplinkNames());
  const left: string[] = [];
  for (const link of readLinks()) {
    const { ifname } = link;
    if (ifname === "lo") continue;
    if (!uplinks.has(ifname)) left.push(`link ${ifname}`);
    if (link.master !== undefined) left.push(`${ifname} in ${link.master}`);
    if (link.promiscuity !== undefined && link.promiscuity > 0) left.push(`${ifname} promiscuous`);
    if (link.flags.includes("ALLMULTI")) left.push(`${ifname} takes all multicast`);
  }
  for (const [cable, uplink] of uplinkNames().entries()) {
    if (!hasCarrier(cable)) left.push(`${uplink} without carrier`);
  }
  for (const { kind, dev, handle } of readJson<Qdisc>("tc", "qdisc show")) {
    if (handle !== "0:") left.push(`qdisc ${kind} on ${dev}`);
  }
  left.push(...foreignNamespaces().map((namespace) => `namespace ${namespace}`));
  left.push(...findStrays().map(({ pid, command }) => `process ${pid} (${command})`));
  return left;
}

function readLinks(): readonly Link[] {
  return readJson<Link>("ip", "-d link show");
}

function foreignNamespaces(): readonly string[] {
  return readdirSync("/run/netns").filter((name) => name !== "switch");
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/** Processes that neither the kernel, the lab nor this test run has to do with. */
function findStrays(): readonly Process[] {
  const all = readProcesses();
  const keep = new Set([1, process.pid, ...keptPids(), ...daemonPids()]);
  // Ours up to init: the test runner, and the shell that the lab's init started.
  for (let pid = process.pid; pid > 1; ) {
    keep.add(pid);
    pid = all.find((candidate) => candidate.pid === pid)?.parent ?? 0;
  }
  return all.filter(({ pid }) => !keep.has(pid));
}

async function killStrays(): Promise<void> {
  // One that is being killed may just have started another.
  await until("no stray process", () => {
    const strays = findStrays();
    for (const { pid } of strays) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    }
    return strays.length === 0;
  });
}

function keptPids(): readonly number[] {
  return readFileSync("/run/lab/keep", "latin1").trim().split(/\s+/).map(Number);
}

function readProcesses(): readonly Process[] {
  const processes: Process[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1");
      const command = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
      const [state = "", parent = "0"] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      // A kernel thread has no program; a zombie waits for its parent, and is none of ours to kill.
      if (state === "Z") continue;
      readlinkSync(`/proc/${name}/exe`);
      processes.push({ pid: Number(name), parent: Number(parent), command });
    } catch {
      // A kernel thread, or it has just ended.
    }
  }
  return processes;
}
