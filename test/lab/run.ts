/**
 * The lab's tests, from outside: boots one lab for each kernel and stage, runs the stage's test files in it, and
 * counts what every declared test reported. Stages whose tests judge times come first, one lab at a time; of the others two run
 * beside each other, their lines marked with stage and kernel.
 *
 *   node test/lab/run.ts [--kernel 6.1|6.12|all] [--stage NAME[,NAME...]|all] [--grep PATTERN] [--chaos] [--long] [--sabotage NAME]
 *
 * Exit 0: every test passed. 1: one failed, was skipped, or never reported. 75: no test failed but the lab broke.
 */
import { parseArgs } from "node:util";
import { brokenExitCode, type Kernel, kernels } from "./boot.ts";
import type { TestResult } from "./report.ts";
import { runStage, type StageOutcome } from "./stage-run.ts";
import { type Stage, stageFiles, stages } from "./stages.ts";

/** A lab under TCG keeps about one processor busy, and test machines have two. */
const LABS_AT_ONCE = 2;

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
  // The labs that run end by themselves; nothing else is to begin.
  let interrupted = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      interrupted = true;
    });
  }
  const outcomes: StageOutcome[] = [];
  const start = async ({ kernel, stage }: LabRun, show: (text: string) => void) => {
    if (interrupted) return;
    const { grep, long, kernelNamed, sabotage } = choice;
    const wanted = { kernel, long, kernelNamed };
    const run = { ...wanted, stage, grep, sabotage, show, interrupted: () => interrupted };
    outcomes.push(await runStage(run));
  };
  const runs = plannedRuns(choice);
  for (const run of runs.filter(({ stage }) => stage.timed)) {
    await start(run, (text) => process.stdout.write(text));
  }
  const waiting = runs.filter(({ stage }) => !stage.timed);
  const startNext = async (): Promise<void> => {
    for (let run = waiting.shift(); run !== undefined; run = waiting.shift()) {
      const lines = new MarkedLines(`${run.stage.name} ${run.kernel}`);
      await start(run, (text) => lines.show(text));
      lines.end();
    }
  };
  await Promise.all(Array.from({ length: LABS_AT_ONCE }, startNext));
  for (const { secondTries } of outcomes) {
    for (const test of secondTries) process.stdout.write(`needed another try: ${test}\n`);
  }
  return summarize(
    outcomes.flatMap(({ results }) => results),
    outcomes.filter(({ broken }) => broken).length,
  );
}

/** Shows whole lines only, each with whose it is, so that those of two labs can be told apart. */
class MarkedLines {
  readonly #mark: string;
  #rest = "";

  constructor(mark: string) {
    this.#mark = mark;
  }

  show(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) process.stdout.write(`${this.#mark.padEnd(12)} ${line}\n`);
  }

  end(): void {
    if (this.#rest !== "") this.show("\n");
  }
}

function parseChoice(): Choice | undefined {
  const { values } = parseArgs({
    options: {
      kernel: { type: "string", default: "all" },
      stage: { type: "string", default: "all" },
      grep: { type: "string", default: "" },
      chaos: { type: "boolean", default: false },
      long: { type: "boolean", default: false },
      sabotage: { type: "string" },
    },
  });
  const chosenKernels = kernels.filter((name) => values.kernel === "all" || values.kernel === name);
  const usual = stages.filter(({ onRequest }) => onRequest !== true || values.chaos || values.long);
  const wanted = values.stage === "all" ? usual.map(({ name }) => name) : values.stage.split(",");
  const chosenStages = stages.filter(({ name }) => wanted.includes(name));
  if (chosenKernels.length === 0 || chosenStages.length < wanted.length) {
    const names = stages.map(({ name }) => name).join(", ");
    process.stderr.write(
      `--kernel is all or one of ${kernels.join(", ")}; --stage is all or some of ${names}\n`,
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

function plannedRuns({ kernels: chosen, stages: wanted, long, kernelNamed }: Choice): LabRun[] {
  return wanted.flatMap((stage) =>
    chosen
      .filter((kernel) => stageFiles(stage, { kernel, long, kernelNamed }).length > 0)
      .map((kernel) => ({ kernel, stage })),
  );
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
