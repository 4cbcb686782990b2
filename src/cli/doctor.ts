/** `uplinkctl doctor`: what would keep uplinkd from its work on this host, and what mends each. */
import type { Command } from "commander";
import { PolicyErrors } from "../model/errors.ts";
import { targetName } from "../model/probe.ts";
import { JOURNAL, type Status } from "../model/status.ts";
import { SHAPED_MODES } from "../plan/steering.ts";
import { type LoadedConfig, loadAll } from "../policy/load.ts";
import { type CommandContext, command } from "./command.ts";
import { Failure } from "./failure.ts";
import { type BondFacts, type HostFacts, readHostFacts } from "./host-facts.ts";
import { type Colour, type Layout, wrap } from "./table.ts";

/** One thing that was looked at. */
export interface Finding {
  /** Stable: kernel, bond, speed, hook, libvirt, permissions, daemon, configuration, probes, conflict. */
  readonly check: string;
  readonly state: "ok" | "warning" | "failed";
  readonly object: string;
  readonly message: string;
  /** What to do; "" where it is ok. */
  readonly remedy: string;
}

/** What is known beside the host's files. */
export interface Diagnosis {
  readonly host: HostFacts;
  readonly config: LoadedConfig | PolicyErrors;
  /** The daemon's status, or why there is none. */
  readonly daemon: Status | Failure;
  /** uplinkctl's own. */
  readonly version: string;
}

/** Adds the command. */
export function registerDoctor(program: Command, context: CommandContext): void {
  command(program, "doctor", "look for what would keep uplinkd from its work", HELP).action(
    async ({ json }: { json?: true }) => {
      const findings = diagnose({
        host: readHostFacts("/", context.runDirectory),
        config: readConfig(context.configDirectory),
        daemon: await context.client.status().catch((error: unknown) => {
          if (error instanceof Failure) return error;
          throw error;
        }),
        version: context.version,
      });
      if (json) context.printJson({ findings });
      else context.print(renderFindings(findings, context.layout));
      if (findings.some((finding) => finding.state === "failed")) context.end(1);
    },
  );
}

/** Every check, in the order of what rests on what. Pure. */
export function diagnose(diagnosis: Diagnosis): readonly Finding[] {
  const { host } = diagnosis;
  return [
    ...checkKernel(host),
    ...checkConfig(diagnosis.config),
    ...checkBonds(host, diagnosis.config),
    ...checkHook(host),
    ...checkLibvirt(host),
    ...checkPermissions(host),
    ...checkDaemon(diagnosis),
  ];
}

function checkKernel({ kernelRelease, missingModules }: HostFacts): Finding[] {
  const object = `kernel ${kernelRelease}`;
  if (missingModules.length === 0) return [ok("kernel", object, "has every module that is needed")];
  return [
    failed(
      "kernel",
      object,
      `has no ${missingModules.join(", ")}`,
      "apt-get install linux-image-amd64: the distribution's full kernel, not its cloud flavour",
    ),
  ];
}

function checkConfig(config: Diagnosis["config"]): Finding[] {
  if (!(config instanceof PolicyErrors)) {
    return [ok("configuration", "/etc/uplinkd", "is right")];
  }
  return config.errors.map((error) =>
    failed(
      "configuration",
      `${error.file}:${error.line}`,
      error.message,
      `correct it, then: uplinkctl policy check ${error.file}; systemctl reload uplinkd`,
    ),
  );
}

function checkBonds({ bonds }: HostFacts, config: Diagnosis["config"]): Finding[] {
  const named = config instanceof PolicyErrors ? [] : config.config.teams;
  const missing = named
    .filter((team) => !bonds.some((bond) => bond.name === team.bond))
    .map((team) =>
      failed(
        "bond",
        team.bond,
        "is configured, but not there",
        "name the bond that is, in uplinkd.yaml",
      ),
    );
  if (bonds.length === 0) {
    const remedy =
      "ip link add bond0 type bond mode active-backup miimon 100, and in the network's configuration: with the NICs in it, and itself in the bridge";
    return [...missing, failed("bond", "this host", "has no bond", remedy)];
  }
  const stated = new Set(
    named.flatMap((team) =>
      team.uplinks.flatMap((uplink) => (uplink.speedBitsPerSecond === null ? [] : [uplink.name])),
    ),
  );
  const configured = new Set(named.map((team) => team.bond));
  const redirected = new Set(
    named.filter((team) => team.steering === "redirect").map((team) => team.bond),
  );
  return [...missing, ...bonds.flatMap((bond) => checkBond(bond, stated, configured, redirected))];
}

/** Where bonding chooses ports by xmit_hash_policy. */
const HASHING_MODES: readonly string[] = ["balance-xor", "802.3ad"];

function checkBond(
  bond: BondFacts,
  stated: ReadonlySet<string>,
  configured: ReadonlySet<string>,
  redirected: ReadonlySet<string>,
): Finding[] {
  const { name, master } = bond;
  const found: Finding[] = [];
  if (!SHAPED_MODES.some((mode) => mode === bond.mode)) {
    const remedy = `uplinkd shapes ${SHAPED_MODES.join(", ")}; other modes are left alone`;
    found.push(warning("bond", name, `is in mode ${bond.mode}`, remedy));
  } else if (bond.mode !== "active-backup" && !configured.has(name)) {
    const message = `is in mode ${bond.mode}, which is taken only where it is named`;
    found.push(warning("bond", name, message, `teams: [{bond: ${name}}] in uplinkd.yaml`));
  }
  const hashes = HASHING_MODES.includes(bond.mode) && !redirected.has(name);
  if (hashes && configured.has(name) && bond.hashPolicy !== "vlan+srcmac") {
    const remedy = `ip link set ${name} type bond xmit_hash_policy vlan+srcmac, or steering: redirect in uplinkd.yaml`;
    const message = `spreads each VM's flows over its ports (${bond.hashPolicy}): no share can be kept`;
    found.push(failed("bond", name, message, remedy));
  }
  if (bond.miimonMs === 0) {
    const remedy = `ip link set ${name} type bond miimon 100, and in the network's configuration`;
    found.push(failed("bond", name, "has no miimon: it never sees a lost cable", remedy));
  }
  // One that is named may carry bridges on its VLAN interfaces, or macvtaps.
  if (master === null ? !configured.has(name) : !master.isBridge) {
    const message =
      master === null ? "is no bridge's port" : `belongs to ${master.name}, no bridge`;
    const remedy = `ip link set ${name} master BRIDGE, and in the network's configuration: a Linux bridge that VMs are on`;
    found.push(failed("bond", name, message, remedy));
  }
  if (bond.ports.length < 2) {
    const remedy = "nothing can be kept when the only uplink fails: add a second";
    found.push(warning("bond", name, `has ${bond.ports.length} ports`, remedy));
  }
  if (bond.updelayMs === 0 && bond.mode === "active-backup") {
    const remedy = "bondUpdelay: 30s in uplinkd.yaml, or spanning-tree portfast on the switch";
    const message = "has no updelay: a switch port that has carrier may not forward yet";
    found.push(warning("bond", name, message, remedy));
  }
  for (const port of bond.ports) {
    if (port.speedMbit === null && !stated.has(port.name)) {
      const message = port.carrier ? "states no speed" : "has no carrier, and so no speed";
      const remedy = "plug it in, or state `speed:` for it in uplinkd.yaml";
      found.push(failed("speed", port.name, message, remedy));
    }
  }
  return found.length > 0 ? found : [ok("bond", name, "is one that uplinkd can work with")];
}

function checkHook({ hook, libvirtRuns }: HostFacts): Finding[] {
  if (hook.state === "missing") {
    const remedy =
      "install it anew: apt-get install --reinstall -o Dpkg::Options::=--force-confmiss uplinkd";
    return [failed("hook", hook.path, "is missing", remedy)];
  }
  if (hook.state === "not executable") {
    return [failed("hook", hook.path, "is not executable", `chmod 755 ${hook.path}`)];
  }
  if (libvirtRuns && hook.unknownToLibvirt) {
    const message = "is newer than libvirt's start: libvirt doesn't know it yet";
    return [failed("hook", hook.path, message, "systemctl restart libvirtd; running VMs go on")];
  }
  return [ok("hook", hook.path, "is there")];
}

function checkLibvirt(host: HostFacts): Finding[] {
  const found: Finding[] = [];
  if (!host.libvirtDbusInstalled) {
    found.push(
      failed("libvirt", "libvirt-dbus", "is not installed", "apt-get install libvirt-dbus"),
    );
  }
  if (!host.libvirtRuns) {
    // It is started by its socket, and ends when idle.
    found.push(ok("libvirt", "libvirtd", "doesn't run at present"));
  }
  return found;
}

function checkPermissions(host: HostFacts): Finding[] {
  const found: Finding[] = [];
  if (!host.userExists) {
    found.push(
      failed("permissions", "user uplinkd", "does not exist", "systemd-sysusers uplinkd.conf"),
    );
  }
  if (!host.busPolicyInstalled) {
    const message = "of uplinkd is missing: libvirt-dbus refuses the daemon";
    const remedy = "apt-get install --reinstall uplinkd; systemctl reload dbus";
    found.push(failed("permissions", "D-Bus policy", message, remedy));
  }
  for (const name of host.openSockets) {
    const remedy = `chmod 600 /run/uplinkd/${name}.sock; see who has changed uplinkd-${name}.socket`;
    found.push(failed("permissions", `${name}.sock`, "may be written by others than root", remedy));
  }
  return found.length > 0
    ? found
    : [ok("permissions", "user, D-Bus, sockets", "are as they must be")];
}

/** A target that answers nobody decides nothing: most likely it is a wrong address. */
function checkProbes({ teams }: Status): Finding[] {
  return teams.flatMap(({ name, uplinks }) => {
    const probed = uplinks.flatMap(({ carrier, probe }) =>
      carrier && probe !== null ? [probe] : [],
    );
    const silent = (probed[0]?.targets ?? []).filter(({ address, vlanId }) =>
      probed.every(({ targets }) =>
        targets.some((one) => one.address === address && one.vlanId === vlanId && !one.answers),
      ),
    );
    return silent.map((target) =>
      warning(
        "probes",
        `team ${name}`,
        `${targetName(target)} answers by no uplink: it decides nothing`,
        "correct its address or VLAN, or give it `sources:` where it ignores probes from 0.0.0.0",
      ),
    );
  });
}

function checkDaemon({ host, daemon, version }: Diagnosis): Finding[] {
  if (daemon instanceof Failure) {
    const remedy =
      daemon.kind === "denied" ? daemon.remedy : "systemctl start uplinkd; journalctl -u uplinkd";
    return [failed("daemon", daemon.object, daemon.message, remedy)];
  }
  const found: Finding[] = [];
  for (const name of host.missingSockets) {
    // systemd refuses to start a socket whose service runs.
    const remedy = `systemctl stop uplinkd; systemctl enable --now uplinkd-${name}.socket; systemctl start uplinkd`;
    found.push(failed("daemon", `${name}.sock`, "is missing", remedy));
  }
  if (daemon.daemon.version !== version) {
    const message = `is of version ${daemon.daemon.version}, uplinkctl of ${version}`;
    found.push(warning("daemon", "uplinkd", message, "systemctl restart uplinkd"));
  }
  if (host.disabledFile) {
    const enforces = daemon.daemon.mode === "enforcing";
    const message = `exists: nothing is enforced${enforces ? " from the next start on" : ""}`;
    const rest = enforces ? ", unless that is meant" : "; systemctl restart uplinkd";
    const remedy = `rm /etc/uplinkd/disabled${rest}`;
    found.push(warning("daemon", "/etc/uplinkd/disabled", message, remedy));
  }
  if (daemon.daemon.libvirt === "down") {
    const remedy =
      "busctl --system call org.libvirt /org/libvirt/QEMU org.libvirt.Connect ListDomains u 0";
    found.push(failed("libvirt", "libvirt-dbus", "does not answer the daemon", remedy));
  }
  if (daemon.daemon.mode !== "enforcing") {
    const message = `is ${daemon.daemon.mode}: nothing is enforced`;
    found.push(warning("daemon", "uplinkd", message, "uplinkctl enable --confirm 60s"));
  }
  for (const { object, message, remedy } of daemon.problems)
    if (object === JOURNAL) found.push(failed("daemon", object, message, remedy));
  for (const { device, found: what, message, remedy } of daemon.teams.flatMap(
    (team) => team.conflicts,
  )) {
    found.push(failed("conflict", device, `${what}: ${message}`, remedy));
  }
  found.push(...checkProbes(daemon));
  for (const drift of daemon.drift) {
    const remedy = "see `uplinkctl events` for what the kernel said";
    found.push(failed("conflict", drift.object, drift.message || "differs from the plan", remedy));
  }
  return found.length > 0 ? found : [ok("daemon", "uplinkd", `runs, ${daemon.daemon.mode}`)];
}

const COLOURS: Readonly<Record<Finding["state"], Colour>> = {
  ok: "green",
  warning: "yellow",
  failed: "red",
};

/** A line each, and below it what to do. */
export function renderFindings(findings: readonly Finding[], layout: Layout): string[] {
  return findings.flatMap(({ state, object, message, remedy }) => {
    const [first = "", ...rest] = wrap(`${object} ${message}`, layout, "         ", "           ");
    const told = `${layout.paint(COLOURS[state], state)}${first.slice(state.length)}`;
    return [told, ...rest, ...(remedy === "" ? [] : wrap(`-> ${remedy}`, layout, "           "))];
  });
}

function readConfig(directory: string): LoadedConfig | PolicyErrors {
  try {
    return loadAll(directory);
  } catch (error) {
    if (error instanceof PolicyErrors) return error;
    throw error;
  }
}

function ok(check: string, object: string, message: string): Finding {
  return { check, state: "ok", object, message, remedy: "" };
}

function warning(check: string, object: string, message: string, remedy: string): Finding {
  return { check, state: "warning", object, message, remedy };
}

function failed(check: string, object: string, message: string, remedy: string): Finding {
  return { check, state: "failed", object, message, remedy };
}

const HELP = `
Looks at the kernel's modules, the bond, the speeds, libvirt's hook, libvirt-dbus, rights,
the configuration, and what the daemon says; changes nothing. Each finding comes with what
mends it. As root it sees all. Ends with 1 if something failed.

Examples:
  uplinkctl doctor
  uplinkctl doctor --json | jq '.findings[] | select(.state != "ok")'`;
