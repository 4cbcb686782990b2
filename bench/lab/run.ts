/**
 * Measures uplinkd beside what one would take instead, most of it inside labs: `npm run bench:lab`.
 *
 *   node bench/lab/run.ts [--kernel 6.1|6.12] [--only GROUP] [--out FILE]
 *
 * Prints a table and writes JSON, with what was in FILE for groups that weren't measured this time.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import type { CountedClock } from "../../test/lab/accelerator.ts";
import { bootLab, kernels, reportBroken } from "../../test/lab/boot.ts";
import { bundleForLab } from "../../test/lab/bundle.ts";
import { findRegressions, tellRegressions } from "../regression.ts";
import { formatResults, type Result } from "../result.ts";

/** Benchmarks that share a boot; most take from two to ten minutes without KVM, `memory` forty. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  pulls: ["pulls", "pulls-vswitch"],
  programming: ["programming-1000"],
  "programming-5000": ["programming-5000"],
  losses: ["losses"],
  frames: ["frames", "frames-vswitch"],
  statistics: ["statistics"],
  memory: ["resident"],
  shaping: ["shaping"],
  "high-priority": ["high-priority"],
};
/** Groups whose lab's clock counts instructions instead of time. */
const COUNTED: Readonly<Record<string, CountedClock>> = {
  programming: "skips",
  frames: "waits",
  shaping: "skips",
  "high-priority": "skips",
};
/** What runs on the machine itself. */
const LOCAL = "machine";
const LIMIT_SECONDS = 900;
/** Of groups that take longer: beside other work frames may; of a thousand starts each takes longer than the one before. */
const LONGER_LIMIT_SECONDS: Readonly<Record<string, number>> = { frames: 1800, memory: 4500 };
const DEFAULT_FILE = path.join(import.meta.dirname, "..", "results", "lab.json");

type Results = Record<string, readonly Result[]>;

/** The file's shape. */
interface Report {
  readonly machine: string;
  readonly kernel: string;
  readonly results: Results;
}

const { values } = parseArgs({
  options: {
    kernel: { type: "string", default: "6.1" },
    only: { type: "string" },
    out: { type: "string", default: DEFAULT_FILE },
  },
});
process.exitCode = await main();

async function main(): Promise<number> {
  const kernel = kernels.find((name) => name === values.kernel);
  const names = [LOCAL, ...Object.keys(GROUPS)].filter(
    (name) => values.only === undefined || values.only === name,
  );
  if (kernel === undefined || names.length === 0) {
    const groups = [LOCAL, ...Object.keys(GROUPS)].join("|");
    process.stderr.write(
      `usage: npm run bench:lab -- [--kernel 6.1|6.12] [--only ${groups}] [--out FILE]\n`,
    );
    return 2;
  }
  const folder = mkdtempSync(path.join(tmpdir(), "uplinkd-bench-"));
  const bundle = await bundleForLab(["bench/lab/inside.ts"]);
  const before = readBefore();
  let results = before;
  let measured: readonly Result[] = [];
  let exitCode = 0;
  try {
    for (const name of names) {
      process.stdout.write(`${name}\n`);
      const file = path.join(folder, `${name}.json`);
      if (name === LOCAL) {
        if (!measureHere(file)) exitCode = 1;
      } else {
        const clock = COUNTED[name];
        const outcome = await bootLab({
          kernel,
          command: [
            "node",
            "--enable-source-maps",
            ...bundle.programs,
            `/lab/results/${name}.json`,
            ...(GROUPS[name] ?? []),
          ],
          results: folder,
          ...(clock === undefined ? {} : { counted: clock }),
          limitSeconds: LONGER_LIMIT_SECONDS[name] ?? LIMIT_SECONDS,
        });
        if (outcome.kind === "broken") exitCode = reportBroken(outcome);
        else if (outcome.exitCode !== 0) {
          process.stdout.write(`${name}: ended with ${outcome.exitCode}\n`);
          exitCode = 1;
        }
      }
      if (existsSync(file)) {
        const found = JSON.parse(readFileSync(file, "utf8")) as Results;
        results = { ...results, ...found };
        measured = [...measured, ...Object.values(found).flat()];
      }
      const report: Report = { machine: describeMachine(), kernel, results };
      writeFileSync(values.out, `${JSON.stringify(report, null, 2)}\n`);
    }
  } finally {
    bundle.remove();
    rmSync(folder, { recursive: true });
  }
  process.stdout.write(`${formatResults(Object.values(results).flat())}\n`);
  if (tellRegressions(findRegressions(measured, Object.values(before).flat()))) return 1;
  return exitCode;
}

/**
 * In a network namespace of its own, so that nothing of the machine is touched.
 * @returns whether it ended well; what it had measured until then is in the file
 */
function measureHere(file: string): boolean {
  const program = path.join(import.meta.dirname, "here.ts");
  try {
    execFileSync("unshare", ["--net", process.execPath, program, file], {
      stdio: "inherit",
      timeout: LIMIT_SECONDS * 1000,
    });
    return true;
  } catch (error) {
    process.stdout.write(`${LOCAL}: ${error instanceof Error ? error.message : String(error)}\n`);
    return false;
  }
}

function readBefore(): Results {
  if (!existsSync(values.out)) return {};
  return (JSON.parse(readFileSync(values.out, "utf8")) as Report).results;
}

function describeMachine(): string {
  const [first, ...others] = cpus();
  return `${others.length + 1} x ${first?.model ?? "unknown"}`;
}
