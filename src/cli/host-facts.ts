/** What doctor looks at on a host, read from files only: nothing is asked, nothing is changed. */
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { basename, join } from "node:path";

export interface BondFacts {
  readonly name: string;
  readonly mode: string;
  /** What balance-xor and 802.3ad spread by; "" in other modes. */
  readonly hashPolicy: string;
  readonly miimonMs: number;
  readonly updelayMs: number;
  /** What the bond is a port of; null for nothing. */
  readonly master: { readonly name: string; readonly isBridge: boolean } | null;
  readonly ports: readonly {
    readonly name: string;
    /** null where the driver knows none. */
    readonly speedMbit: number | null;
    readonly carrier: boolean;
  }[];
}

export interface HostFacts {
  readonly kernelRelease: string;
  /** Kernel modules of ours that are neither loaded, nor built in, nor there to load. */
  readonly missingModules: readonly string[];
  readonly bonds: readonly BondFacts[];
  readonly hook: {
    readonly path: string;
    readonly state: "fine" | "missing" | "not executable";
    /** libvirt's daemon started before the hook was put there, so it doesn't know it. */
    readonly unknownToLibvirt: boolean;
  };
  /** libvirt's daemon runs. */
  readonly libvirtRuns: boolean;
  readonly libvirtDbusInstalled: boolean;
  readonly busPolicyInstalled: boolean;
  readonly userExists: boolean;
  /** The daemon's sockets that are missing, by name. */
  readonly missingSockets: readonly string[];
  /** Others than root may write to the control socket. */
  readonly openSockets: readonly string[];
  readonly disabledFile: boolean;
}

/** What the planner's objects need, by the module's name. */
const MODULES = ["bonding", "sch_htb", "sch_ingress", "sch_fq_codel", "cls_flower"].concat([
  "cls_matchall",
  "cls_u32",
  "act_skbedit",
  "act_mirred",
  "act_gact",
]);
const HOOK = "/etc/libvirt/hooks/qemu.d/50-uplinkd";
const SOCKETS = ["hook", "control", "read"];

/** @param root where the host's files are: "/", or another for tests @param runDirectory the sockets' place */
export function readHostFacts(root: string, runDirectory: string): HostFacts {
  const at = (path: string) => join(root, path);
  const kernelRelease = readText(at("/proc/sys/kernel/osrelease"));
  const sockets = SOCKETS.map((name) => ({
    name,
    stat: statOf(at(`${runDirectory}/${name}.sock`)),
  }));
  const libvirtStartMs = startOf(root, ["libvirtd", "virtqemud"]);
  const hook = statOf(at(HOOK));
  const anywhere = (paths: readonly string[]) => paths.some((path) => existsSync(at(path)));
  return {
    kernelRelease,
    missingModules: MODULES.filter((module) => !hasModule(root, kernelRelease, module)),
    bonds: list(at("/sys/class/net"))
      .filter((name) => existsSync(at(`/sys/class/net/${name}/bonding`)))
      .map((name) => readBond(root, name)),
    hook: {
      path: HOOK,
      state: hook === null ? "missing" : (hook.mode & 0o111) === 0 ? "not executable" : "fine",
      unknownToLibvirt: hook !== null && libvirtStartMs !== null && libvirtStartMs < hook.ctimeMs,
    },
    libvirtRuns: libvirtStartMs !== null,
    libvirtDbusInstalled: anywhere(["/usr/share/dbus-1/system-services/org.libvirt.service"]),
    busPolicyInstalled: anywhere(
      ["/usr/share", "/etc"].map((folder) => `${folder}/dbus-1/system.d/uplinkd.conf`),
    ),
    userExists: /^uplinkd:/m.test(readText(at("/etc/passwd"))),
    missingSockets: sockets.flatMap(({ name, stat }) => (stat === null ? [name] : [])),
    openSockets: sockets.flatMap(({ name, stat }) =>
      name !== "read" && stat !== null && (stat.mode & 0o022) !== 0 ? [name] : [],
    ),
    disabledFile: existsSync(at("/etc/uplinkd/disabled")),
  };
}

function readBond(root: string, name: string): BondFacts {
  const at = (path: string) => join(root, "/sys/class/net", path);
  const masterName = linkName(at(`${name}/master`));
  const option = (file: string) => readText(at(`${name}/bonding/${file}`)).split(" ")[0] ?? "";
  return {
    name,
    mode: option("mode"),
    hashPolicy: option("xmit_hash_policy"),
    miimonMs: Number(option("miimon")),
    updelayMs: Number(option("updelay")),
    master:
      masterName === null
        ? null
        : { name: masterName, isBridge: existsSync(at(`${masterName}/bridge`)) },
    ports: readText(at(`${name}/bonding/slaves`))
      .split(/\s+/)
      .filter((port) => port !== "")
      .map((port) => {
        const speedMbit = Number(readText(at(`${port}/speed`)) || "-1");
        return {
          name: port,
          speedMbit: speedMbit > 0 ? speedMbit : null,
          carrier: readText(at(`${port}/carrier`)) === "1",
        };
      }),
  };
}

function hasModule(root: string, release: string, module: string): boolean {
  if (existsSync(join(root, "/sys/module", module))) return true;
  // modprobe's own lists; a line each, `kernel/net/sched/sch_htb.ko.xz: ...`.
  return ["modules.dep", "modules.builtin"].some((file) =>
    new RegExp(`/${module.replaceAll("_", "[_-]")}\\.ko`).test(
      readText(join(root, "/lib/modules", release, file)),
    ),
  );
}

/** When the first process of one of these names started, Unix milliseconds; null: none runs. */
function startOf(root: string, names: readonly string[]): number | null {
  const bootSeconds = Number(/^btime (\d+)$/m.exec(readText(join(root, "/proc/stat")))?.[1] ?? "0");
  for (const pid of list(join(root, "/proc")).filter((name) => /^\d+$/.test(name))) {
    const stat = readText(join(root, "/proc", pid, "stat"));
    const command = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    if (!names.includes(command)) continue;
    // proc(5): starttime is the 22nd field, in hundredths of a second since boot; the command's name is the 2nd.
    const ticks = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
    return (bootSeconds + ticks / 100) * 1000;
  }
  return null;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    // Absent, or it gives an error, as a NIC's speed does while it is down.
    return "";
  }
}

function list(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function linkName(path: string): string | null {
  try {
    return basename(readlinkSync(path));
  } catch {
    return null;
  }
}

function statOf(path: string): { readonly mode: number; readonly ctimeMs: number } | null {
  return statSync(path, { throwIfNoEntry: false }) ?? null;
}
