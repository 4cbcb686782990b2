import { appendFileSync, readFileSync } from "node:fs";

/**
 * What the run inside a lab tells the one outside, a JSON object a line: first every test that it found in its
 * files, then what became of each. A lab that dies on the way leaves the tests that never reported.
 */
export type ReportLine =
  | { readonly kind: "declared"; readonly test: string; readonly file: string }
  | {
      readonly kind: "passed" | "failed" | "skipped" | "fault";
      readonly test: string;
      readonly seconds: number;
      readonly why?: string;
    };

/** "fault": the lab did not give the test what it needs, so there is no verdict. */
export type Verdict = Exclude<ReportLine["kind"], "declared"> | "silent";

export interface TestResult {
  readonly test: string;
  readonly verdict: Verdict;
  readonly seconds: number;
  readonly why: string;
}

export function writeReport(file: string, line: ReportLine): void {
  appendFileSync(file, `${JSON.stringify(line)}\n`);
}

/** A result for every declared test; those that never reported are silent. A missing file reads as empty. */
export function readReport(file: string): readonly TestResult[] {
  const results = new Map<string, TestResult>();
  for (const line of readLines(file)) {
    const known = results.get(line.test);
    if (line.kind === "declared") {
      if (known !== undefined) {
        throw new Error(`two tests are named '${line.test}', one of them in ${line.file}`);
      }
      results.set(line.test, {
        test: line.test,
        verdict: "silent",
        seconds: 0,
        why: "never reported",
      });
    } else if (known?.verdict !== "failed") {
      // A test whose hook fails after it has passed is reported twice, and has failed.
      const { test, kind, seconds, why = "" } = line;
      results.set(test, { test, verdict: kind, seconds, why });
    }
  }
  return [...results.values()];
}

function readLines(file: string): readonly ReportLine[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return [];
  }
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as ReportLine);
}
