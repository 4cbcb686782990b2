import { globSync } from "node:fs";
import path from "node:path";
import type { Kernel } from "./boot.ts";
import { repository } from "./cache.ts";
import { CHAOS_MEMORY_MIB } from "./chaos/memory.ts";

/** A folder of test/lab/stages: tests that share a boot. */
export interface Stage {
  readonly name: string;
  /** Its files that run on 6.12, too, where the kernel matters to them; 6.1 runs all, and `--long` all on both kernels. */
  readonly alsoOn612: readonly string[];
  /** Its tests judge times and rates, so that its lab has the machine alone. */
  readonly timed: boolean;
  /** Between the host and the switch; 2 by default. */
  readonly cables?: number;
  /** Runs where it is named, with `--chaos` or with `--long`. */
  readonly onRequest?: boolean;
  /** Of the lab; by default what it takes for two hosts with libvirt. */
  readonly memoryMiB?: number;
  /** An installed daemon is systemd's. */
  readonly systemd?: boolean;
  /** Not on the machine's own files but on those of a fresh Debian host, on NICs that state their speed. */
  readonly clean?: boolean;
}

/** In running order: what takes the longest first, as two run beside each other. */
export const stages: readonly Stage[] = [
  { name: "shaping", alsoOn612: ["promises"], timed: true },
  { name: "loss", alsoOn612: ["pulls"], timed: true },
  { name: "libvirt", alsoOn612: [], timed: false },
  { name: "chaos", alsoOn612: [], timed: false, onRequest: true, memoryMiB: CHAOS_MEMORY_MIB },
  { name: "reach", alsoOn612: ["reach"], timed: false },
  { name: "kernel", alsoOn612: ["netlink", "monitor"], timed: false },
  { name: "modes", alsoOn612: [], timed: false },
  { name: "wide", alsoOn612: [], timed: false, cables: 4 },
  { name: "faults", alsoOn612: [], timed: false },
  { name: "configured", alsoOn612: [], timed: false, systemd: true },
  { name: "package", alsoOn612: [], timed: false, systemd: true },
  { name: "clean", alsoOn612: [], timed: false, systemd: true, clean: true },
];

/** Which of a stage's test files are wanted. */
export interface Wanted {
  readonly kernel: Kernel;
  /** Those named NAME.long.test.ts too, and everything on every kernel. */
  readonly long: boolean;
  /** The kernel was asked for by name: then it runs what the other runs. */
  readonly kernelNamed: boolean;
}

/** A stage's test files on a kernel, sorted; none where it has nothing to do there. */
export function stageFiles(
  { name, alsoOn612 }: Stage,
  { kernel, long, kernelNamed }: Wanted,
): readonly string[] {
  const all = long || kernelNamed || kernel === "6.1";
  return globSync(`test/lab/stages/${name}/**/*.test.ts`, { cwd: repository })
    .filter((file) => long || !file.endsWith(".long.test.ts"))
    .filter((file) => all || alsoOn612.includes(path.basename(file, ".test.ts")))
    .sort();
}
