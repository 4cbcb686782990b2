/** One measured figure: what `npm run bench:lab` prints, writes as JSON and plots. */
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

/** A group of figures that are measured in one lab, so that they can be compared. */
export interface Benchmark {
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
