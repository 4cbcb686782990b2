/**
 * `npm run chaos -- --minutes N --seed S [--kernel 6.12]`: faults without end on a real host in the lab, in an order that
 * the seed gives. Exit 1: a violation; the same seed and a little more time show it again.
 */
import { parseArgs } from "node:util";
import { bootLab, kernels, reportBroken } from "../boot.ts";
import { bundleForLab } from "../bundle.ts";
import { CHAOS_MEMORY_MIB } from "./memory.ts";

/** Boot, libvirt, three domains, and the last step. */
const AROUND_SECONDS = 600;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "3" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
    kernel: { type: "string", default: "6.1" },
  },
});
const kernel = kernels.find((name) => name === values.kernel);
const minutes = Number(values.minutes);
if (kernel === undefined || !(minutes > 0)) {
  process.stderr.write(`--minutes is a number, --kernel one of ${kernels.join(", ")}\n`);
  process.exit(2);
}
console.log(`chaos: seed ${values.seed}, ${minutes} minutes, kernel ${kernel}`);
const bundle = await bundleForLab(["test/lab/chaos/inside.ts"]);
const outcome = await bootLab({
  kernel,
  memoryMiB: CHAOS_MEMORY_MIB,
  command: ["node", "--enable-source-maps", ...bundle.programs, values.minutes, values.seed],
  limitSeconds: minutes * 60 + AROUND_SECONDS,
});
bundle.remove();
process.exitCode = outcome.kind === "ended" ? outcome.exitCode : reportBroken(outcome);
