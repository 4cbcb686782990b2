/** Runs the tests of one stage on one kernel: a boot, and more for what has to be tried again. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { bootLab, reportBroken } from "./boot.ts";
import { bundleForLab } from "./bundle.ts";
import { readReport, type TestResult } from "./report.ts";
import { type Stage, stageFiles, type Wanted } from "./stages.ts";

/** How often what found the lab at fault is tried again. */
const MORE_TRIES = 3;
/** Exit codes from here on are a shell's for a program that a signal ended. */
const SIGNALLED = 128;
/** A stage that takes longer hangs: a tenth of it is usual. */
const stageLimitSeconds = 1800;
const longStageLimitSeconds = 4 * 3600;

export interface StageRun extends Wanted {
  readonly stage: Stage;
  /** Pattern of the full titles of tests to run; "" for all. */
  readonly grep: string;
  readonly sabotage: string | undefined;
  /** Takes what is to be shown, whole lines at a time or not. */
  readonly show: (text: string) => void;
  /** Nothing else is to begin. */
  readonly interrupted: () => boolean;
}

export interface StageOutcome {
  readonly results: readonly TestResult[];
  /** Full titles of tests that passed at another try than the first. */
  readonly secondTries: readonly string[];
  /** The last lab broke. */
  readonly broken: boolean;
}

/**
 * Runs a stage. Times under TCG are those of a machine that others use, too: what fails is tried once more on a fresh
 * boot, what has no verdict up to three times. All tries are shown.
 */
export async function runStage(run: StageRun): Promise<StageOutcome> {
  const first = await tryStage(run, run.grep);
  const secondTries: string[] = [];
  let verdicts = first.results;
  let { broken } = first;
  const tries = run.sabotage === undefined ? MORE_TRIES : 0;
  for (let count = 0; count < tries && !run.interrupted(); count += 1) {
    const open = verdicts.filter(
      ({ verdict }) =>
        verdict === "fault" || verdict === "silent" || (verdict === "failed" && count === 0),
    );
    if (open.length === 0 && !(broken && verdicts.length === 0)) break;
    run.show(`  once more, ${open.length} tests\n`);
    const next = await tryStage(
      run,
      open.length === 0 ? run.grep : exactly(open.map(({ test }) => test)),
    );
    broken = next.broken;
    const names = new Set(next.results.map(({ test }) => test));
    verdicts = [...verdicts.filter(({ test }) => !names.has(test)), ...next.results];
    const mended = next.results.filter(({ verdict }) => verdict === "passed");
    for (const { test } of mended) secondTries.push(`${test} (kernel ${run.kernel})`);
  }
  return { results: verdicts, secondTries, broken };
}

/** One boot. */
async function tryStage(run: StageRun, grep: string): Promise<Omit<StageOutcome, "secondTries">> {
  const { kernel, stage, long, sabotage, show } = run;
  show(`stage ${stage.name}, kernel ${kernel}\n`);
  const folder = mkdtempSync(path.join(os.tmpdir(), "uplinkd-results-"));
  const bundle = await bundleForLab(["test/lab/inside.ts", ...stageFiles(stage, run)]);
  const [inside = "", ...tests] = bundle.programs;
  try {
    const startMs = performance.now();
    const showBytes = (data: Buffer) => show(data.toString());
    const outcome = await bootLab({
      kernel,
      command: ["node", "--enable-source-maps", inside, "/lab/results/report", grep, ...tests],
      environment: {
        ...(sabotage === undefined ? {} : { UPLINKD_SABOTAGE: sabotage }),
        ...(long ? { UPLINKD_LAB_LONG: "yes" } : {}),
      },
      results: folder,
      systemd: stage.systemd === true,
      // Such a host has no ethtool to tell virtio's NICs a speed by.
      ...(stage.clean === true ? { root: "clean", nics: ["vmxnet3"] } : {}),
      cables: stage.cables ?? 2,
      ...(stage.memoryMiB === undefined ? {} : { memoryMiB: stage.memoryMiB }),
      shared: !stage.timed,
      limitSeconds: long ? longStageLimitSeconds : stageLimitSeconds,
      stdout: showBytes,
      stderr: showBytes,
    });
    const read = readReport(path.join(folder, "report"));
    if (outcome.kind === "broken") reportBroken(outcome);
    const crashed = outcome.kind === "ended" && outcome.exitCode >= SIGNALLED;
    if (crashed) show(`  the tests' process crashed (exit ${outcome.exitCode})\n`);
    const broken = outcome.kind === "broken" || crashed;
    const seconds = Math.round((performance.now() - startMs) / 1000);
    show(`  ${read.length} tests in ${seconds} s, boot and all\n`);
    // A file that does not load, or declares nothing, must not look like a stage that passed.
    const loaded = broken || outcome.exitCode === 0 || read.length > 0;
    const unloaded = `stage ${stage.name}, kernel ${kernel}`;
    return { results: loaded ? read : [failure(unloaded, "its files do not load")], broken };
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
