import { globSync } from "node:fs";
import { type Kernel, kernels } from "./boot.ts";
import { repository } from "./cache.ts";

/** A folder of test/lab/stages: tests that share a boot. */
export interface Stage {
  readonly name: string;
  /** 6.1 runs everything; 6.12 what the kernel matters to. */
  readonly kernels: readonly Kernel[];
  /** Instead of `kernels` where what takes long is asked for. */
  readonly longKernels?: readonly Kernel[];
  /** Its tests judge times and rates, so that its lab has the machine alone. */
  readonly timed: boolean;
  /** Between the host and the switch; 2 by default. */
  readonly cables?: number;
  /** An installed daemon is systemd's. */
  readonly systemd?: boolean;
}

/** In running order. */
export const stages: readonly Stage[] = [
  { name: "shaping", kernels, timed: true },
  { name: "loss", kernels, timed: true },
  { name: "kernel", kernels, timed: false },
  { name: "reach", kernels, timed: false },
  { name: "wide", kernels: ["6.1"], timed: false, cables: 4 },
  { name: "modes", kernels: ["6.1"], longKernels: kernels, timed: false },
  { name: "libvirt", kernels: ["6.1"], timed: false },
  { name: "faults", kernels: ["6.1"], timed: false },
  { name: "package", kernels: ["6.1"], timed: false, systemd: true },
];

/** A stage's test files. Those named NAME.long.test.ts take long and run only when asked for. */
export function stageFiles(stage: Stage, long: boolean): readonly string[] {
  return globSync(`test/lab/stages/${stage.name}/**/*.test.ts`, { cwd: repository })
    .filter((file) => long || !file.endsWith(".long.test.ts"))
    .sort();
}
