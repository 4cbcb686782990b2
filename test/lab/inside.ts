/**
 * Runs the test files of one stage inside the lab and reports to run.ts outside.
 *
 *   node test/lab/inside.ts REPORT GREP FILE...      GREP is a regular expression, "" for every test
 */
import path from "node:path";
import Mocha from "mocha";
import { repository } from "./cache.ts";
import { type ReportLine, writeReport } from "./report.ts";

/** For a test that says nothing else. TCG is slow, and a test that hangs should not take the stage with it. */
const testLimitMs = 240_000;

class Reporter {
  readonly #file: string;

  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    const { file, grep } = options.reporterOptions as { file: string; grep: RegExp };
    this.#file = file;
    runner.suite.eachTest((test: Mocha.Test) => {
      if (!grep.test(test.fullTitle())) return;
      const from = path.relative(repository, test.file ?? "");
      writeReport(file, { kind: "declared", test: test.fullTitle(), file: from });
    });
    runner.on("pass", (test) => this.#tell(test.fullTitle(), "passed", test.duration ?? 0));
    runner.on("pending", (test) => this.#tell(test.fullTitle(), "skipped", 0));
    runner.on("fail", (test, error) => {
      const kind = error.name === "LabFault" ? "fault" : "failed";
      const title = owner(test)?.fullTitle() ?? test.fullTitle();
      this.#tell(title, kind, test.duration ?? 0, describe(test, error));
    });
  }

  #tell(test: string, kind: Exclude<ReportLine["kind"], "declared">, ms: number, why = ""): void {
    const seconds = Math.round(ms / 100) / 10;
    const mark = { passed: "ok", failed: "FAILED", skipped: "skipped", fault: "lab fault" }[kind];
    process.stdout.write(`  ${mark.padEnd(7)} ${seconds.toFixed(1).padStart(6)} s  ${test}\n`);
    if (why !== "") process.stdout.write(`${why.replaceAll(/^/gm, "      ")}\n`);
    writeReport(this.#file, { kind, test, seconds, why });
  }
}

/** The test that a failed hook belongs to, when it belongs to one. */
function owner(test: Mocha.Runnable): Mocha.Runnable | undefined {
  return (test as Mocha.Hook).ctx?.currentTest ?? undefined;
}

function describe(
  test: Mocha.Runnable,
  error: Error & { actual?: unknown; expected?: unknown },
): string {
  const hook = test.title.includes(" hook") ? `in ${test.title}: ` : "";
  const stack = (error.stack ?? error.message).split("\n");
  return hook + stack.filter((line) => !/^\s+at .*node_modules\//.test(line)).join("\n");
}

const [report = "", pattern = "", ...files] = process.argv.slice(2);
const grep = new RegExp(pattern);
const mocha = new Mocha({
  ui: "bdd",
  timeout: testLimitMs,
  slow: testLimitMs,
  grep,
  forbidOnly: true,
  failZero: false,
  reporter: Reporter as unknown as Mocha.ReporterConstructor,
  reporterOptions: { file: report, grep },
});
for (const file of files) mocha.addFile(path.resolve(file));
await mocha.loadFilesAsync();
// Whatever a test left running ends with the lab.
mocha.run((failures) => process.exit(failures === 0 ? 0 : 1));
