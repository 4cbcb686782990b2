/** What benchmarks measure and how it is told: printed, written as JSON, plotted. */

/** One figure. */
export interface Result {
  /** What was measured, with whom it is compared. */
  readonly what: string;
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** In words; null where a figure only stands beside others. */
  readonly goal: string | null;
  /** Whether the goal is met; null without one. */
  readonly met: boolean | null;
}

/** A group of figures that are measured together, so that they can be compared. */
export interface Benchmark {
  /** As in `--only NAME`. */
  readonly name: string;
  readonly run: () => Promise<readonly Result[]>;
}

/** A bound that a figure has to keep. */
export interface Goal {
  readonly words: string;
  readonly holds: (values: readonly number[]) => boolean;
}

/** `at most LIMIT`, for the median. */
export function atMost(limit: number): Goal {
  return { words: `at most ${limit}`, holds: (values) => median(values) <= limit };
}

/** `at least LIMIT`, for the median. */
export function atLeast(limit: number): Goal {
  return { words: `at least ${limit}`, holds: (values) => median(values) >= limit };
}

/** Sums up what was measured several times. */
export function resultOf(
  what: string,
  unit: string,
  values: readonly number[],
  goal: Goal | null = null,
): Result {
  return {
    what,
    unit,
    median: round(median(values)),
    min: round(Math.min(...values)),
    max: round(Math.max(...values)),
    goal: goal?.words ?? null,
    met: goal?.holds(values) ?? null,
  };
}

/** Each value of one series by that of another measured in the same round. */
export function ratios(values: readonly number[], others: readonly number[]): number[] {
  return values.map((value, index) => value / (others[index] ?? Number.NaN));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[sorted.length >> 1] ?? Number.NaN;
  return sorted.length % 2 === 1
    ? upper
    : ((sorted[(sorted.length >> 1) - 1] ?? upper) + upper) / 2;
}

/** Three digits say all that the lab's clock can. */
function round(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(3)) : value;
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
