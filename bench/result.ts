/** What benchmarks measure and how it is told. */

/** One figure. */
export interface Result {
  /** What was measured: `plan 1,000 domains x 4 uplinks, warm`. */
  readonly what: string;
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** As a bound on the median, in the same unit: `<= 10`; null for a figure that has none. */
  readonly goal: string | null;
  /** Whether the goal is met; null without a goal. */
  readonly met: boolean | null;
}

/** A file of benchmarks. */
export interface Benchmark {
  /** As in `npm run bench -- --only NAME`. */
  readonly name: string;
  readonly run: () => Promise<Result[]>;
}

/** Makes a result of samples. @param atMost the goal: the largest median that meets it */
export function resultOf(
  what: string,
  unit: string,
  samples: readonly number[],
  atMost: number | null = null,
): Result {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.round((sorted.length - 1) * part)] ?? Number.NaN;
  const median = at(0.5);
  return {
    what,
    unit,
    median,
    min: at(0),
    max: at(1),
    goal: atMost === null ? null : `<= ${atMost}`,
    met: atMost === null ? null : median <= atMost,
  };
}

/**
 * Milliseconds of processor time that each of `runs` calls takes this thread, in order. On a quiet machine that is the
 * time that passes; on a busy one the time in which others ran is not the call's.
 */
export function timeRuns(runs: number, call: () => unknown): number[] {
  return Array.from({ length: runs }, () => {
    const before = process.threadCpuUsage();
    call();
    const { user, system } = process.threadCpuUsage(before);
    return (user + system) / 1000;
  });
}

/** The results as a table for people. */
export function formatResults(results: readonly Result[]): string {
  const rows = results.map((result) => [
    result.what,
    ...[result.median, result.min, result.max].map(formatFigure),
    result.unit,
    result.goal ?? "",
    result.met === null ? "" : result.met ? "met" : "MISSED",
  ]);
  const all = [["what", "median", "min", "max", "unit", "goal", ""], ...rows];
  const widths = all[0]?.map((_, column) =>
    Math.max(...all.map((row) => row[column]?.length ?? 0)),
  );
  return all
    .map((row) =>
      row
        .map((cell, column) => {
          const width = widths?.[column] ?? 0;
          return column >= 1 && column <= 3 ? cell.padStart(width) : cell.padEnd(width);
        })
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function formatFigure(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
