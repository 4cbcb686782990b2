import { spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { cached } from "./cache.ts";
import { CommandError, run, runAside } from "./command.ts";
import { until } from "./wait.ts";

/** Where libvirtd looks for hook scripts, once, as it starts. */
export const hookFolder = "/etc/libvirt/hooks/qemu.d";
const stateFolder = "/run/lab/libvirt";
const logFolder = "/run/lab/log";

/** What libvirtd needs to run without systemd, cgroup delegation and users of its own. */
const qemuConf = `
security_driver = "none"
user = "root"
group = "root"
cgroup_controllers = [ ]
namespaces = [ ]
remember_owner = 0
dynamic_ownership = 0
stdio_handler = "file"
`;

/** Without polkit, so that the unprivileged libvirt-dbus gets in. */
const libvirtdConf = `
unix_sock_rw_perms = "0777"
auth_unix_rw = "none"
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
`;

type Daemon = "dbus" | "virtlogd" | "libvirtd" | "libvirt-dbus";
const daemons: readonly Daemon[] = ["dbus", "virtlogd", "libvirtd", "libvirt-dbus"];

const commands: Record<Daemon, readonly [string, ...string[]]> = {
  dbus: ["dbus-daemon", "--system", "--nofork", "--nopidfile", "--nosyslog"],
  virtlogd: ["virtlogd"],
  // Another host's libvirtd connects for a migration.
  libvirtd: ["libvirtd", "--listen"],
  // Debian's bus lets only this user own the name.
  "libvirt-dbus": [
    "setpriv",
    ...["--reuid=libvirtdbus", "--regid=libvirtdbus", "--init-groups"],
    ...["libvirt-dbus", "--system"],
  ],
};

/** Writes libvirt's configuration for a lab. Whoever starts its daemons otherwise than by startLibvirt needs this first. */
export function configureLibvirt(): void {
  writeFileSync("/etc/libvirt/qemu.conf", qemuConf);
  writeFileSync("/etc/libvirt/libvirtd.conf", libvirtdConf);
  // The default network would bring dnsmasq and a bridge that nobody asked for.
  rmSync("/etc/libvirt/qemu/networks/autostart", { recursive: true, force: true });
}

/** Starts D-Bus, virtlogd, libvirtd and libvirt-dbus as needed, and waits until they answer. */
export async function startLibvirt(): Promise<void> {
  mkdirSync("/run/dbus", { recursive: true });
  mkdirSync(stateFolder, { recursive: true });
  mkdirSync(logFolder, { recursive: true });
  configureLibvirt();
  if (!existsSync("/etc/machine-id")) run("dbus-uuidgen", "--ensure=/etc/machine-id");
  for (const daemon of daemons) await startDaemon(daemon);
}

/** Starts one of the daemons unless it runs, and waits until it answers. */
export async function startDaemon(daemon: Daemon): Promise<void> {
  if (isRunning(daemon)) return;
  const [program, ...args] = commands[daemon];
  const log = openSync(path.join(logFolder, daemon), "a");
  const child = spawn(program, args, { detached: true, stdio: ["ignore", log, log] });
  child.unref();
  writeFileSync(path.join(stateFolder, daemon), String(child.pid));
  const answers: Record<Daemon, () => boolean> = {
    dbus: () => existsSync("/run/dbus/system_bus_socket"),
    virtlogd: () => existsSync("/run/libvirt/virtlogd-sock"),
    libvirtd: () => succeeds("virsh", "-q", "uri"),
    "libvirt-dbus": () => ownsName("org.libvirt"),
  };
  await until(`${daemon} to answer (log: ${readLog(daemon)})`, answers[daemon], 60_000);
}

/** Ends one of the daemons: with a signal of the caller's choice, to play a crash. */
export async function stopDaemon(
  daemon: Daemon,
  signal: NodeJS.Signals = "SIGTERM",
): Promise<void> {
  const pid = daemonPid(daemon);
  if (pid === undefined) return;
  process.kill(pid, signal);
  await until(`${daemon} to end`, () => !existsSync(`/proc/${pid}/exe`), 30_000);
  rmSync(path.join(stateFolder, daemon), { force: true });
  if (daemon === "dbus") rmSync("/run/dbus/system_bus_socket", { force: true });
  if (daemon === "virtlogd") rmSync("/run/libvirt/virtlogd-sock", { force: true });
}

/** Process id of a daemon, undefined when it doesn't run. */
export function daemonPid(daemon: Daemon): number | undefined {
  try {
    const pid = Number(readFileSync(path.join(stateFolder, daemon), "latin1"));
    return existsSync(`/proc/${pid}`) && !isZombie(pid) ? pid : undefined;
  } catch {
    return undefined;
  }
}

export function isRunning(daemon: Daemon): boolean {
  return daemonPid(daemon) !== undefined;
}

/** What a daemon has said so far. */
export function readLog(daemon: Daemon): string {
  try {
    return readFileSync(path.join(logFolder, daemon), "utf8");
  } catch {
    return "";
  }
}

/** Puts hook scripts in place, by name (`50-uplinkd`). libvirtd must be started, or restarted, afterwards. */
export function installHook(name: string, source: string): void {
  mkdirSync(hookFolder, { recursive: true });
  const target = path.join(hookFolder, name);
  copyFileSync(source, target);
  run("chmod", "755", target);
}

/**
 * Brings libvirt back to having no domain and no hook, whether it runs or not. For the libvirt stage's
 * beforeEach, before resetToBare. Daemons go on running, unless `stop` says otherwise.
 */
export async function resetLibvirt({
  stop = false,
}: {
  readonly stop?: boolean;
} = {}): Promise<void> {
  if (isRunning("libvirtd") && !stop) {
    // One virsh takes a second under TCG, so the guests die by signal and are forgotten all at once.
    for (const pid of guestPids()) process.kill(pid, "SIGKILL");
    await until("no domain", () => {
      const names = domainNames();
      const words = names.map((name) => `undefine --managed-save --snapshots-metadata ${name}`);
      if (names.length > 0) succeeds("virsh", "-q", words.join("; "));
      return names.length === 0;
    });
  } else {
    for (const daemon of daemons.toReversed()) await stopDaemon(daemon, "SIGKILL");
    for (const folder of ["/run/libvirt", "/var/lib/libvirt/qemu"]) {
      rmSync(folder, { recursive: true, force: true });
    }
    for (const name of listFolder("/etc/libvirt/qemu").filter((file) => file.endsWith(".xml"))) {
      rmSync(path.join("/etc/libvirt/qemu", name));
    }
  }
  rmSync(hookFolder, { recursive: true, force: true });
}

export interface DomainShape {
  readonly name: string;
  /** One interface per address, on `bridge`. */
  readonly macs: readonly string[];
  readonly bridge?: string;
  /** What goes into <metadata>, as XML. */
  readonly metadata?: string;
  /** More children for every interface, as XML: <bandwidth>, <target>. */
  readonly interfaceXml?: string;
  /** The first interface's address; the guest answers ARP and ping with it. Without one it stays silent. */
  readonly ipv4?: string;
}

/** A domain of the tiny guest. Starting it takes QEMU a few seconds, the guest's first answer some more. */
export function domainXml(shape: DomainShape): string {
  const script = path.join("/run/lab", `${shape.name}.ipxe`);
  writeFileSync(script, guestScript(shape.ipv4));
  const interfaces = shape.macs.map((mac) => interfaceXml(mac, shape)).join("\n");
  return `<domain type='qemu'>
  <name>${shape.name}</name>
  <metadata>${shape.metadata ?? ""}</metadata>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>${cached("tiny/ipxe.lkrn")}</kernel>
    <initrd>${script}</initrd>
  </os>
  <features><acpi/></features>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
${interfaces}
  </devices>
</domain>
`;
}

/** An interface as in domainXml, alone: for attach-device. */
export function interfaceXml(
  mac: string,
  shape: Pick<DomainShape, "bridge" | "interfaceXml">,
): string {
  return `    <interface type='bridge'>
      <mac address='${mac}'/>
      <source bridge='${shape.bridge ?? "br0"}'/>
      <model type='virtio'/>
      <rom enabled='no'/>
      ${shape.interfaceXml ?? ""}
    </interface>`;
}

/** A guest that costs nothing while nobody talks to it. */
function guestScript(ipv4: string | undefined): string {
  const address = ipv4 === undefined ? "" : `set net0/ip ${ipv4}\nset net0/netmask 255.255.255.0\n`;
  return `#!ipxe\nifopen net0\n${address}:idle\nsleep 100000\ngoto idle\n`;
}

/** virsh, to its end. */
export function virsh(...args: readonly string[]): string {
  return run("virsh", "-q", ...args);
}

/** virsh, without blocking the test: while a domain starts, its hooks talk to a daemon that may be ours. */
export function virshAside(...args: readonly string[]): Promise<string> {
  return runAside("virsh", "-q", ...args);
}

/** Defines a domain and starts it. */
export async function startDomain(shape: DomainShape): Promise<void> {
  const file = path.join("/run/lab", `${shape.name}.xml`);
  writeFileSync(file, domainXml(shape));
  await virshAside(`define ${file}; start ${shape.name}`);
}

/** What one virsh, which takes a second to start under TCG, ends and forgets any domains by; some may not be there. */
export function endWords(names: readonly string[]): string {
  return names.map((name) => `destroy ${name}; undefine ${name}`).join("; ");
}

/** Ends and forgets domains, those that are there. */
export function endDomains(names: readonly string[]): void {
  if (names.length > 0) succeeds("virsh", "-q", endWords(names));
}

export function domainNames(): readonly string[] {
  return virsh("list", "--all", "--name")
    .split("\n")
    .filter((name) => name !== "");
}

/**
 * "running", "paused", or "shut off": what libvirtd itself keeps on disk of a domain that runs, since the guests need the
 * processors that a virsh takes for each look.
 */
export function domainState(name: string): string {
  try {
    const status = readFileSync(`/run/libvirt/qemu/${name}.xml`, "utf8");
    return /^<domstatus state='(\w+)'/m.exec(status)?.[1] ?? "unknown";
  } catch {
    return "shut off";
  }
}

/** The tap of a domain's interface (`vnet0`), "" while it has none. */
export function tapOf(name: string, mac: string): string {
  const line = virsh("domiflist", name)
    .split("\n")
    .find((entry) => entry.includes(mac));
  const tap = line?.trim().split(/\s+/)[0] ?? "";
  return tap === "-" ? "" : tap;
}

function ownsName(name: string): boolean {
  const target = ["--system", "--print-reply", "--dest=org.freedesktop.DBus", "/"];
  try {
    const reply = run(
      "dbus-send",
      ...target,
      "org.freedesktop.DBus.NameHasOwner",
      `string:${name}`,
    );
    return reply.includes("boolean true");
  } catch (error) {
    if (error instanceof CommandError) return false;
    throw error;
  }
}

function succeeds(program: string, ...args: readonly string[]): boolean {
  try {
    run(program, ...args);
    return true;
  } catch (error) {
    if (error instanceof CommandError) return false;
    throw error;
  }
}

function isZombie(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z ");
  } catch {
    return true;
  }
}

function listFolder(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

function guestPids(): readonly number[] {
  return listFolder("/run/libvirt/qemu")
    .filter((name) => name.endsWith(".pid") && name !== "driver.pid")
    .map((name) => Number(readFileSync(path.join("/run/libvirt/qemu", name), "latin1")))
    .filter((pid) => pid > 1 && existsSync(`/proc/${pid}/exe`));
}

/** Processes that resetToBare leaves alone: the daemons, while they run. */
export function daemonPids(): readonly number[] {
  return daemons.map(daemonPid).filter((pid) => pid !== undefined);
}
