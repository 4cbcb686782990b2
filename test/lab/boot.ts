import { spawn } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import {
  acceleratorArguments,
  type CountedClock,
  chooseAccelerator,
  countingArguments,
} from "./accelerator.ts";
import { cached, repository } from "./cache.ts";
import { Ports, portNames } from "./ports.ts";
import { takeTurn } from "./turn.ts";

/** Debian's kernels that the lab can boot. */
export const kernels = ["6.1", "6.12"] as const;
export type Kernel = (typeof kernels)[number];

/**
 * QEMU's NICs that were seen to work, with the module that init has still to load. e1000e keeps its
 * carrier when its cable is pulled.
 */
const nicModules = { "virtio-net-pci": "", e1000e: "e1000e", vmxnet3: "vmxnet3" } as const;
export type NicModel = keyof typeof nicModules;
export const nicModels = Object.keys(nicModules) as readonly NicModel[];

export interface Lab {
  readonly kernel: Kernel;
  /** Cables between the host's uplinks and the switch, 1 to 4. */
  readonly cables?: number;
  /** The uplinks' NICs, in order; the last one named stands for the rest. The switch's are virtio. */
  readonly nics?: readonly NicModel[];
  readonly memoryMiB?: number;
  /** What runs inside as root, in the repository's folder; its paths are the same as outside. */
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** The whole lab's life; it is broken if the command has not ended by then. */
  readonly limitSeconds?: number;
  /** A folder that the command can write to, seen inside as /lab/results. */
  readonly results?: string;
  /** systemd is the first program, and runs the command as a unit. */
  readonly systemd?: boolean;
  /** Below everything is a Debian of its own, with what an operator's host has; the machine's own files otherwise. */
  readonly root?: "clean" | "machine";
  /** Gives the command this terminal, by the serial console, instead of the two streams. */
  readonly terminal?: boolean;
  /** No time that is judged depends on having the machine alone: others of this kind may run beside it. */
  readonly shared?: boolean;
  /**
   * A clock that counts instructions: what a frame costs comes out the same on any machine. With one that skips, cables
   * are to be wired inside (wires.ts). Never with KVM.
   */
  readonly counted?: CountedClock;
  readonly stdout?: (data: Buffer) => void;
  readonly stderr?: (data: Buffer) => void;
}

/** A command that ended, with its exit code; or a lab that could not run it to its end. */
export type Outcome =
  | { readonly kind: "ended"; readonly exitCode: number; readonly bootSeconds: number }
  | { readonly kind: "broken"; readonly why: string; readonly console: string };

/** Exit code for a lab that broke, so that it is not taken for a test that failed (sysexits' EX_TEMPFAIL). */
export const brokenExitCode = 75;

/**
 * Hardening and self-tests cost a third of the boot under TCG and change nothing that is tested here. To clear a huge
 * page holds an emulated processor up for milliseconds.
 */
const kernelCommandLine =
  "console=ttyS0 panic=-1 quiet mitigations=off nokaslr cryptomgr.notests transparent_hugepage=never";

/** Booting takes 4 s under TCG on a quiet machine, and a minute on a crowded one; far beyond is a lab that hangs. */
const bootLimitSeconds = 180;

/** From the command's exit code to the end of its lab, milliseconds. */
const LAST_WORDS_MS = 300;

/** Boots a lab, runs one command in it, and switches it off. Does not throw for what happens inside. */
export async function bootLab(lab: Lab): Promise<Outcome> {
  const missing = missingPart(lab);
  if (missing !== undefined) {
    const setup = `sh test/setup.sh ${isClean(lab) ? "long" : "lab"}`;
    return { kind: "broken", why: `${missing} is missing: run ${setup}`, console: "" };
  }
  const accelerator =
    lab.counted === undefined
      ? acceleratorArguments(await chooseAccelerator())
      : countingArguments(lab.counted);
  const folder = mkdtempSync(path.join(os.tmpdir(), "uplinkd-lab-"));
  const share = path.join(folder, "share");
  try {
    writeShare(share, lab);
    const ports = new Ports(folder, lab);
    await ports.listen();
    // A shell is idle most of the time, and may stay open all day.
    const endTurn = lab.terminal === true ? () => undefined : await takeTurn(lab.shared === true);
    try {
      return await runQemu(lab, qemuArguments(lab, folder, accelerator), {
        folder,
        ports,
      });
    } finally {
      endTurn();
      ports.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Prints why a lab broke, for a person, and gives the exit code that says so. */
export function reportBroken(outcome: Extract<Outcome, { kind: "broken" }>): number {
  if (outcome.console !== "") process.stderr.write(`${outcome.console.trimEnd()}\n`);
  process.stderr.write(`lab broken: ${outcome.why}\n`);
  return brokenExitCode;
}

function isClean(lab: Lab): boolean {
  return lab.root === "clean";
}

function missingPart(lab: Lab): string | undefined {
  const { kernel } = lab;
  const parts = [`kernel-${kernel}/vmlinux`, `initramfs-${kernel}/initramfs`, "meter/meter"];
  if (isClean(lab)) parts.push("clean/root");
  return parts.map((part) => cached(part)).find((file) => !existsSync(file));
}

function writeShare(share: string, lab: Lab): void {
  mkdirSync(path.join(share, "results"), { recursive: true });
  copyFileSync(path.join(import.meta.dirname, "guest/init"), path.join(share, "init"));
  chmodSync(path.join(share, "init"), 0o755);
  const models = new Set(uplinkModels(lab));
  const settings = {
    LAB_CABLES: String(cableCount(lab)),
    // What lies at its path in the machine's own root, and has to be put there in another.
    LAB_REPOSITORY: isClean(lab) ? repository : "",
    LAB_CACHE: isClean(lab) ? cached() : "",
    LAB_MODULES: cached(`kernel-${lab.kernel}`, "modules"),
    LAB_NIC_MODULES: [...models]
      .map((model) => nicModules[model])
      .join(" ")
      .trim(),
    LAB_RESULTS: lab.results === undefined ? "no" : "yes",
    LAB_MODE: lab.terminal === true ? "shell" : lab.systemd === true ? "systemd" : "command",
  };
  writeFileSync(path.join(share, "settings"), shellAssignments(settings, ""));
  const environment = {
    PATH: `${path.dirname(process.execPath)}:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME: "/root",
    LANG: "C.UTF-8",
    TERM: lab.terminal === true ? (process.env["TERM"] ?? "linux") : "dumb",
    ...ownEnvironment(),
    UPLINKD_LAB_CACHE: cached(),
    // Node's own need; what a test starts as an operator's has an environment of its own.
    ...(isClean(lab) ? { LD_LIBRARY_PATH: cached("clean/lib") } : {}),
    UPLINKD_LAB_KERNEL: lab.kernel,
    UPLINKD_LAB_CABLES: String(cableCount(lab)),
    ...lab.environment,
  };
  const command = lab.command.map(shellQuote).join(" ");
  writeFileSync(
    path.join(share, "job"),
    `${shellAssignments(environment, "export ")}cd ${shellQuote(repository)}\nexec ${command}\n`,
  );
}

/** UPLINKD_* settings of the caller hold inside as well. */
function ownEnvironment(): Record<string, string> {
  const own: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (name.startsWith("UPLINKD_") && value !== undefined) own[name] = value;
  }
  return own;
}

function shellAssignments(values: Readonly<Record<string, string>>, prefix: string): string {
  return Object.entries(values)
    .map(([name, value]) => `${prefix}${name}=${shellQuote(value)}\n`)
    .join("");
}

function shellQuote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

function cableCount(lab: Lab): number {
  return lab.cables ?? 2;
}

function uplinkModels(lab: Lab): NicModel[] {
  const named = lab.nics ?? [];
  return Array.from(
    { length: cableCount(lab) },
    (_, cable) => named[cable] ?? named.at(-1) ?? "virtio-net-pci",
  );
}

function qemuArguments(lab: Lab, folder: string, accelerator: readonly string[]): string[] {
  const socket = (name: string) => path.join(folder, name);
  const shareOptions = "security_model=none,multidevs=remap";
  const root = isClean(lab) ? cached("clean/root") : "/";
  const arguments_ = [
    ...accelerator,
    ...["-smp", lab.counted === undefined ? "2" : "1", "-m", String(lab.memoryMiB ?? 3072)],
    ...["-nodefaults", "-display", "none", "-no-reboot"],
    ...["-kernel", cached(`kernel-${lab.kernel}/vmlinux`)],
    ...["-initrd", cached(`initramfs-${lab.kernel}/initramfs`)],
    ...["-append", kernelCommandLine],
    ...["-virtfs", `local,path=${root},mount_tag=rootfs,readonly=on,${shareOptions}`],
    ...["-virtfs", `local,path=${socket("share")},mount_tag=lab,${shareOptions}`],
    // The monitor's own socket, and a serial port of the guest that is connected to it.
    ...["-chardev", `socket,id=monitor,path=${socket("monitor")},server=on,wait=off`],
    ...["-mon", "chardev=monitor,mode=control"],
    ...["-device", "virtio-serial-pci"],
    ...["-chardev", `socket,id=qmp,path=${socket("monitor")},reconnect=1`],
    ...["-device", "virtserialport,chardev=qmp,name=qmp"],
  ];
  if (isClean(lab)) {
    for (const [tag, folder_] of Object.entries({ repository, cache: cached() })) {
      const share = `local,path=${folder_},mount_tag=${tag},readonly=on,${shareOptions}`;
      arguments_.push("-virtfs", share);
    }
  }
  if (lab.results !== undefined) {
    arguments_.push("-virtfs", `local,path=${lab.results},mount_tag=results,${shareOptions}`);
  }
  for (const port of portNames(lab)) {
    arguments_.push("-chardev", `socket,id=${port},path=${socket(port)}`);
    arguments_.push("-device", `virtserialport,chardev=${port},name=${port}`);
  }
  if (lab.terminal === true) {
    // Ctrl-C is for the shell inside, not for QEMU.
    arguments_.push("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console");
  } else {
    arguments_.push("-serial", `file:${socket("console")}`);
  }
  for (const [cable, model] of uplinkModels(lab).entries()) {
    // Two NICs on one hub are the two ends of one cable.
    const ends = [
      ["nic", model, "52:55"],
      ["p", "virtio-net-pci", "52:56"],
    ] as const;
    for (const [end, device, prefix] of ends) {
      arguments_.push("-netdev", `hubport,id=${end}hub${cable},hubid=${cable}`);
      const mac = `${prefix}:00:00:00:0${cable}`;
      arguments_.push(
        "-device",
        `${device},netdev=${end}hub${cable},id=${end}${cable},mac=${mac},romfile=`,
      );
    }
  }
  return arguments_;
}

async function runQemu(
  lab: Lab,
  qemuArguments_: readonly string[],
  { folder, ports }: { readonly folder: string; readonly ports: Ports },
): Promise<Outcome> {
  const terminal = lab.terminal === true;
  const qemu = spawn("qemu-system-x86_64", qemuArguments_, {
    stdio: [terminal ? "inherit" : "ignore", terminal ? "inherit" : "ignore", "pipe"],
    // A Ctrl-C at the terminal comes to us, and we end QEMU ourselves.
    detached: !terminal,
  });
  let complaints = "";
  qemu.stderr?.on("data", (data: Buffer) => {
    complaints += data.toString();
  });
  let why: string | undefined;
  const end = (reason: string) => {
    why ??= reason;
    qemu.kill("SIGKILL");
  };
  // What the command wrote last has ports of its own, and may come a little later.
  ports.onExit = () => setTimeout(() => qemu.kill(), LAST_WORDS_MS);
  const limitSeconds = lab.limitSeconds ?? 600;
  const timers = terminal
    ? []
    : [
        setTimeout(() => {
          if (ports.bootSeconds === undefined) end(`not up within ${bootLimitSeconds} s`);
        }, bootLimitSeconds * 1000),
        setTimeout(
          () => end(`the command did not end within ${limitSeconds} s`),
          limitSeconds * 1000,
        ),
      ];
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const interrupt = (signal: NodeJS.Signals) => end(`ended by ${signal}`);
  for (const signal of signals) process.on(signal, interrupt);
  const qemuExit = await new Promise<string>((resolve) => {
    qemu.on("error", (error) => resolve(error.message));
    qemu.on("close", (code, signal) => resolve(`QEMU ended with ${signal ?? code}`));
  });
  for (const timer of timers) clearTimeout(timer);
  for (const signal of signals) process.off(signal, interrupt);
  // What QEMU sent last may still be on its way to us through the sockets.
  await new Promise((resolve) => setTimeout(resolve, 50));
  if (ports.exitCode !== undefined) {
    return { kind: "ended", exitCode: ports.exitCode, bootSeconds: ports.bootSeconds ?? 0 };
  }
  if (terminal) return { kind: "ended", exitCode: 0, bootSeconds: ports.bootSeconds ?? 0 };
  const console_ = readConsole(path.join(folder, "console"));
  const said = /lab broken: (.*)/.exec(console_)?.[1];
  return {
    kind: "broken",
    why: why ?? said ?? `the command never reported its end (${qemuExit})`,
    console: `${console_}${complaints}`,
  };
}

/** The serial console's log without SeaBIOS's terminal codes: from the kernel's first complaint on, or its end. */
function readConsole(file: string): string {
  if (!existsSync(file)) return "";
  const text = readFileSync(file, "latin1").replaceAll("\r", "");
  const complaint = text.search(/^.*(BUG:|Oops:|general protection|WARNING:|lab broken)/m);
  const part = complaint < 0 ? text.slice(-4000) : text.slice(complaint, complaint + 6000);
  return part.replaceAll(/[^\x20-\x7e\n]/g, "");
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      kernel: { type: "string", default: "6.1" },
      cables: { type: "string", default: "2" },
      nic: { type: "string", default: "virtio-net-pci" },
      memory: { type: "string", default: "3072" },
      limit: { type: "string", default: "600" },
      results: { type: "string" },
      systemd: { type: "boolean", default: false },
      clean: { type: "boolean", default: false },
      counted: { type: "string" },
    },
  });
  const kernel = kernels.find((name) => name === values.kernel);
  const nics = values.nic.split(",").filter((name): name is NicModel => name in nicModules);
  const cables = Number(values.cables);
  const counted = (["waits", "skips"] as const).find((clock) => clock === values.counted);
  const isWrong = !(cables <= 4) || values.counted !== counted;
  if (kernel === undefined || nics.length === 0 || positionals.length === 0 || isWrong) {
    process.stderr.write(
      "usage: node test/lab/boot.ts [--kernel 6.1|6.12] [--cables 1..4] " +
        "[--nic virtio-net-pci|e1000e|vmxnet3[,...]] [--memory MIB] [--limit SECONDS] " +
        "[--results FOLDER] [--systemd] [--clean] [--counted waits|skips] -- COMMAND [ARGUMENT...]\n",
    );
    return 2;
  }
  const outcome = await bootLab({
    kernel,
    nics,
    cables,
    memoryMiB: Number(values.memory),
    limitSeconds: Number(values.limit),
    systemd: values.systemd,
    root: values.clean ? "clean" : "machine",
    command: positionals,
    ...(values.results === undefined ? {} : { results: path.resolve(values.results) }),
    ...(counted === undefined ? {} : { counted }),
  });
  return outcome.kind === "ended" ? outcome.exitCode : reportBroken(outcome);
}

if (import.meta.main) process.exitCode = await main();
