import { spawn } from "node:child_process";
import { accessSync, constants, readFileSync, renameSync, writeFileSync } from "node:fs";
import os from "node:os";
import { cached } from "./cache.ts";

/** How QEMU runs the lab's CPUs: by the machine's own, or by translation, some ten times slower. */
export type Accelerator = "kvm" | "tcg";

/** A stock kernel comes up in less than 2 s with KVM; where KVM is only pretended, it hangs for ever. */
const probeLimitMs = 10_000;

export function acceleratorArguments(accelerator: Accelerator): readonly string[] {
  return accelerator === "kvm"
    ? ["-accel", "kvm", "-cpu", "host"]
    : // Without cx16: QEMU 7.2 now and then spoils the flags of the cmpxchg16b in 6.12's allocator, which panics.
      ["-accel", "tcg,thread=multi", "-cpu", "max,-cx16"];
}

/**
 * One emulated processor whose clock is the number of its instructions, 1 ns each. While it waits for a timer, its clock either
 * goes on like any other, or skips to the timer's time: then none is late because the machine is busy, and nothing outside,
 * QEMU's cables among it, is as fast as the clock.
 */
export type CountedClock = "waits" | "skips";

export function countingArguments(clock: CountedClock): readonly string[] {
  const icount = `shift=0,sleep=${clock === "waits" ? "on" : "off"}`;
  return ["-accel", "tcg,thread=single", "-icount", icount, "-cpu", "max,-cx16"];
}

/**
 * Chooses KVM where a kernel really boots with it and TCG elsewhere. The verdict is kept in the cache, for
 * this machine's kernel. UPLINKD_LAB_ACCEL=kvm or tcg decides without a probe.
 */
export async function chooseAccelerator(): Promise<Accelerator> {
  const wish = process.env["UPLINKD_LAB_ACCEL"];
  if (wish === "kvm" || wish === "tcg") return wish;
  if (wish !== undefined) throw new Error(`UPLINKD_LAB_ACCEL is neither kvm nor tcg: ${wish}`);
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
  } catch {
    return "tcg";
  }
  const verdictFile = cached("accelerator");
  const machine = `${os.hostname()} ${os.release()}`;
  const known = readVerdict(verdictFile, machine);
  if (known !== undefined) return known;
  const verdict = (await bootsWithKvm()) ? "kvm" : "tcg";
  const temporary = `${verdictFile}.${process.pid}`;
  writeFileSync(temporary, `${verdict} ${machine}\n`);
  renameSync(temporary, verdictFile);
  return verdict;
}

function readVerdict(file: string, machine: string): Accelerator | undefined {
  try {
    const [verdict, ...rest] = readFileSync(file, "utf8").trim().split(" ");
    if (rest.join(" ") !== machine) return undefined;
    return verdict === "kvm" || verdict === "tcg" ? verdict : undefined;
  } catch {
    return undefined;
  }
}

/** Boots the 6.1 kernel as far as its first program. */
function bootsWithKvm(): Promise<boolean> {
  const qemu = spawn(
    "qemu-system-x86_64",
    [
      ...acceleratorArguments("kvm"),
      ...["-m", "1024", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"],
      ...["-kernel", cached("kernel-6.1/vmlinux")],
      ...["-initrd", cached("initramfs-6.1/initramfs")],
      ...["-append", "console=ttyS0 panic=-1 quiet lab.probe"],
    ],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  return new Promise((resolve) => {
    let output = "";
    const timer = setTimeout(() => qemu.kill("SIGKILL"), probeLimitMs);
    qemu.stdout.on("data", (data: Buffer) => {
      output += data.toString("latin1");
    });
    qemu.on("error", () => resolve(false));
    qemu.on("close", () => {
      clearTimeout(timer);
      resolve(output.includes("lab probe: up"));
    });
  });
}
