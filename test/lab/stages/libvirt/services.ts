import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../command.ts";
import { until } from "../../wait.ts";

const ROOT = join(import.meta.dirname, "..", "..", "..", "..");

const QEMU_CONF = `security_driver = "none"
user = "root"
group = "root"
cgroup_controllers = []
namespaces = []
remember_owner = 0
`;

/** Installs the hook, then starts the bus and libvirtd. libvirt-dbus is started by the bus when it is called. */
export async function startServices(): Promise<void> {
  writeFileSync("/etc/libvirt/qemu.conf", QEMU_CONF);
  mkdirSync("/etc/libvirt/hooks/qemu.d", { recursive: true });
  cpSync(join(ROOT, "hooks/qemu"), "/etc/libvirt/hooks/qemu.d/50-uplinkd");
  startBus();
  run("virtlogd", "-d");
  await startLibvirtd();
}

export function startBus(): void {
  mkdirSync("/run/dbus", { recursive: true });
  rmSync("/run/dbus/pid", { force: true });
  run("dbus-daemon", "--system", "--fork");
}

export async function startLibvirtd(): Promise<void> {
  run("libvirtd", "-d");
  await until("libvirtd answers", () => virshTry("uri"), 30_000);
}

/** Ends the processes of a program inside the lab, and waits until they are gone. */
export async function endProgram(name: string, signal: "KILL" | "TERM"): Promise<void> {
  run("sh", "-c", `kill -${signal} $(pidof ${name})`);
  await until(`${name} gone`, () => !running(name), 20_000);
}

export function running(name: string): boolean {
  return run("sh", "-c", `pidof ${name} || true`).trim() !== "";
}

export function virsh(...args: readonly string[]): string {
  return run("virsh", "-q", "-c", "qemu:///system", ...args);
}

/** A command that takes a file of XML as its last argument. */
export function virshWithXml(xml: string, ...args: readonly string[]): string {
  writeFileSync("/run/virsh.xml", xml);
  return virsh(...args, "/run/virsh.xml");
}

function virshTry(...args: readonly string[]): boolean {
  try {
    virsh(...args);
    return true;
  } catch {
    return false;
  }
}
