/**
 * The lab's tests, from outside: boots one lab for each kernel and stage, runs the stage's test files in it, and
 * counts what every declared test reported.
 *
 *   node test/lab/run.ts [--kernel 6.1|6.12|all] [--stage NAME|all] [--grep PATTERN] [--long] [--sabotage NAME]
 *
 * Exit 0: every test passed. 1: one failed, was skipped, or never reported. 75: no test failed but the lab broke.
 */
import { globSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { bootLab, brokenExitCode, type Kernel, kernels, reportBroken } from "./boot.ts";
import { bundleForLab } from "./bundle.ts";
import { repository } from "./cache.ts";
import { readReport, type TestResult } from "./report.ts";

/** In running order. The kernel's version matters to some; libvirt's and our own processes don't see it. */
const stages = {
  shaping: kernels,
  loss: kernels,
  libvirt: ["6.1"],
  faults: ["6.1"],
  package: ["6.1"],
} as const satisfies Readonly<Record<string, readonly Kernel[]>>;
type Stage = keyof typeof stages;
const stageNames = Object.keys(stages) as readonly Stage[];

/** How often what found the lab at fault is tried again. */
const MORE_TRIES = 3;
/** Exit codes from here on are a shell's for a program that a signal ended. */
const SIGNALLED = 128;
/** A stage that takes longer hangs: a tenth of it is usual. */
const stageLimitSeconds = 1800;
const longStageLimitSeconds = 4 * 3600;

interface Choice {
  readonly kernels: readonly Kernel[];
  readonly stages: readonly Stage[];
  /** Kernels and stages were named: 6.12 then runs every stage that is asked for. */
  readonly kernelNamed: boolean;
  readonly grep: string;
  readonly long: boolean;
  readonly sabotage: string | undefined;
}

interface LabRun {
  readonly kernel: Kernel;
  readonly stage: Stage;
}

async function main(): Promise<number> {
  const choice = parseChoice();
  if (choice === undefined) return 2;
  const results: TestResult[] = [];
  const secondTries: string[] = [];
  // The lab that runs ends by itself; nothing else is to begin.
  let interrupted = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      interrupted = true;
    });
  }
  let brokenLabs = 0;
  for (const labRun of plannedRuns(choice)) {
    if (interrupted) break;
    const files = stageFiles(labRun.stage, choice.long);
    const first = await runStage(labRun, files, choice.grep, choice);
    let verdicts = first.results;
    // Times under TCG are those of a machine that others use, too: what fails is tried once more on a fresh boot,
    // what has no verdict up to three times. All tries are in the log, and who needed more than one is named at the end.
    let broken = first.broken;
    const tries = choice.sabotage === undefined ? MORE_TRIES : 0;
    for (let count = 0; count < tries && !interrupted; count += 1) {
      const open = verdicts.filter(
        ({ verdict }) =>
          verdict === "fault" || verdict === "silent" || (verdict === "failed" && count === 0),
      );
      if (open.length === 0 && !(broken && verdicts.length === 0)) break;
      process.stdout.write(`  once more, ${open.length} tests\n`);
      const grep = open.length === 0 ? choice.grep : exactly(open.map(({ test }) => test));
      const next = await runStage(labRun, files, grep, choice);
      broken = next.broken;
      verdicts = [...verdicts.filter((result) => !next.names.has(result.test)), ...next.results];
      const mended = next.results.filter(({ verdict }) => verdict === "passed");
      for (const { test } of mended) secondTries.push(`${test} (kernel ${labRun.kernel})`);
    }
    if (broken) brokenLabs += 1;
    results.push(...verdicts);
  }
  for (const test of secondTries) process.stdout.write(`needed another try: ${test}\n`);
  return summarize(results, brokenLabs);
}

function parseChoice(): Choice | undefined {
  const { values } = parseArgs({
    options: {
      kernel: { type: "string", default: "all" },
      stage: { type: "string", default: "all" },
      grep: { type: "string", default: "" },
      long: { type: "boolean", default: false },
      sabotage: { type: "string" },
    },
  });
  const chosenKernels = kernels.filter((name) => values.kernel === "all" || values.kernel === name);
  const chosenStages = stageNames.filter((name) => values.stage === "all" || values.stage === name);
  if (chosenKernels.length === 0 || chosenStages.length === 0) {
    process.stderr.write(
      `--kernel is all or one of ${kernels.join(", ")}; --stage is all or one of ${stageNames.join(", ")}\n`,
    );
    return undefined;
  }
  return {
    kernels: chosenKernels,
    stages: chosenStages,
    kernelNamed: values.kernel !== "all",
    grep: values.grep,
    long: values.long,
    sabotage: values.sabotage,
  };
}

function plannedRuns(choice: Choice): readonly LabRun[] {
  // A stage may have long tests only.
  const due = choice.stages.filter((stage) => stageFiles(stage, choice.long).length > 0);
  return due.flatMap((stage) =>
    choice.kernels
      .filter((kernel) => choice.kernelNamed || stages[stage].some((name) => name === kernel))
      .map((kernel) => ({ kernel, stage })),
  );
}

/** Files named NAME.long.test.ts take long and run only when asked for. */
function stageFiles(stage: Stage, long: boolean): readonly string[] {
  return globSync(`test/lab/stages/${stage}/**/*.test.ts`, { cwd: repository })
    .filter((file) => long || !file.endsWith(".long.test.ts"))
    .sort();
}

interface StageOutcome {
  readonly results: readonly TestResult[];
  readonly names: ReadonlySet<string>;
  readonly broken: boolean;
}

async function runStage(
  { kernel, stage }: LabRun,
  files: readonly string[],
  grep: string,
  choice: Choice,
): Promise<StageOutcome> {
  process.stdout.write(`stage ${stage}, kernel ${kernel}\n`);
  const folder = mkdtempSync(path.join(os.tmpdir(), "uplinkd-results-"));
  const bundle = await bundleForLab(["test/lab/inside.ts", ...files]);
  const [inside = "", ...tests] = bundle.programs;
  try {
    const startMs = performance.now();
    const outcome = await bootLab({
      kernel,
      command: ["node", "--enable-source-maps", inside, "/lab/results/report", grep, ...tests],
      environment: choice.sabotage === undefined ? {} : { UPLINKD_SABOTAGE: choice.sabotage },
      results: folder,
      // An installed daemon is systemd's.
      systemd: stage === "package",
      limitSeconds: choice.long ? longStageLimitSeconds : stageLimitSeconds,
    });
    const read = readReport(path.join(folder, "report"));
    if (outcome.kind === "broken") reportBroken(outcome);
    const crashed = outcome.kind === "ended" && outcome.exitCode >= SIGNALLED;
    if (crashed) process.stdout.write(`  the tests' process crashed (exit ${outcome.exitCode})\n`);
    const broken = outcome.kind === "broken" || crashed;
    const seconds = Math.round((performance.now() - startMs) / 1000);
    process.stdout.write(`  ${read.length} tests in ${seconds} s, boot and all\n`);
    // A file that does not load, or declares nothing, must not look like a stage that passed.
    const loaded = broken || outcome.exitCode === 0 || read.length > 0;
    const results = loaded
      ? read
      : [failure(`stage ${stage}, kernel ${kernel}`, "its files do not load")];
    return {
      results,
      names: new Set(results.map(({ test }) => test)),
      broken,
    };
  } finally {
    bundle.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

function failure(test: string, why: string): TestResult {
  return { test, verdict: "failed", seconds: 0, why };
}

/** A pattern for exactly these full titles. */
function exactly(titles: readonly string[]): string {
  return `^(${titles.map((title) => title.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})$`;
}

function summarize(results: readonly TestResult[], brokenLabs: number): number {
  const of = (...verdicts: readonly TestResult["verdict"][]) =>
    results.filter(({ verdict }) => verdicts.includes(verdict));
  const [passed, failed, skipped] = [of("passed"), of("failed"), of("skipped")];
  const unjudged = of("fault", "silent");
  for (const { test, why } of failed) process.stdout.write(`FAILED: ${test}: ${firstLine(why)}\n`);
  for (const { test, why } of unjudged) {
    process.stdout.write(`no verdict: ${test}: ${firstLine(why)}\n`);
  }
  // Skipping is for what is missing, and what is missing fails the run.
  for (const { test } of skipped) process.stdout.write(`skipped: ${test}\n`);
  // A test without a verdict did not pass; whether the lab or the test is to blame, the exit code says.
  const lost = failed.length + unjudged.length;
  const skips = skipped.length > 0 ? `, ${skipped.length} skipped` : "";
  const none = results.length === 0;
  if (none) process.stdout.write("no test ran\n");
  let exitCode = lost + skipped.length > 0 || none ? 1 : 0;
  if (failed.length === 0 && (brokenLabs > 0 || of("fault").length > 0)) {
    process.stdout.write(`lab broken: ${unjudged.length} tests have no verdict\n`);
    exitCode = brokenExitCode;
  }
  process.stdout.write(`${passed.length} passed, ${lost} failed${skips}\n`);
  return exitCode;
}

function firstLine(text: string): string {
  return text.split("\n")[0] ?? "";
}

process.exitCode = await main();
