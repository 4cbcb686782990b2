/** How long things took and lasted since the daemon's start, for the metrics. Monotonic time, seconds. */
import type { Durations, HistogramCounts } from "../control/api.ts";
import type { TeamPlan } from "../model/plan.ts";

/** From the kernel's event of a loss to the last prepared byte handed to it: 0.1 ms on a host, tens in a busy lab. */
const FAILOVER_BOUNDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1];
/** A run's parts: from an idle host of few domains to one that must make thousands of classes. */
const RUN_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export class DurationLog {
  readonly #seconds: () => number;
  readonly #failover = new Histogram(FAILOVER_BOUNDS);
  readonly #plan = new Histogram(RUN_BOUNDS);
  readonly #apply = new Histogram(RUN_BOUNDS);
  readonly #conditions = new Map<string, ConditionClock>();

  /** @param seconds monotonic */
  constructor(seconds: () => number = () => performance.now() / 1000) {
    this.#seconds = seconds;
  }

  /** A prepared reaction was sent. */
  noteFailover(seconds: number): void {
    this.#failover.note(seconds);
  }

  /** Starts to time a part of a run. @returns ends it */
  begin(part: "plan" | "apply"): () => void {
    const startSeconds = this.#seconds();
    const histogram = part === "plan" ? this.#plan : this.#apply;
    return () => histogram.note(this.#seconds() - startSeconds);
  }

  /** What condition each team is in from now on; a team that is no longer there keeps what it had. */
  noteConditions(teams: readonly Pick<TeamPlan, "name" | "condition">[]): void {
    const now = this.#seconds();
    for (const clock of this.#conditions.values()) clock.advance(now);
    for (const [name, clock] of this.#conditions)
      if (!teams.some((team) => team.name === name)) clock.condition = null;
    for (const { name, condition } of teams) {
      const clock = this.#conditions.get(name) ?? new ConditionClock(now);
      clock.condition = condition;
      this.#conditions.set(name, clock);
    }
  }

  read(): Durations {
    const now = this.#seconds();
    return {
      failover: this.#failover.counts,
      plan: this.#plan.counts,
      apply: this.#apply.counts,
      conditions: [...this.#conditions].flatMap(([team, clock]) =>
        [...clock.advance(now)].map(([condition, seconds]) => ({ team, condition, seconds })),
      ),
    };
  }
}

/** Counts by upper bounds, as Prometheus' histograms do. */
class Histogram {
  readonly #bounds: readonly number[];
  readonly #buckets: number[];
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#buckets = bounds.map(() => 0);
  }

  note(seconds: number): void {
    this.#sum += seconds;
    this.#count += 1;
    const index = this.#bounds.findIndex((bound) => seconds <= bound);
    if (index >= 0) this.#buckets[index] = (this.#buckets[index] ?? 0) + 1;
  }

  get counts(): HistogramCounts {
    let below = 0;
    const buckets = this.#bounds.map((boundSeconds, index) => {
      below += this.#buckets[index] ?? 0;
      return { boundSeconds, count: below };
    });
    return { buckets, sumSeconds: this.#sum, count: this.#count };
  }
}

/** How long one team has been in each condition. */
class ConditionClock {
  readonly #seconds = new Map<string, number>();
  #atSeconds: number;
  condition: string | null = null;

  constructor(atSeconds: number) {
    this.#atSeconds = atSeconds;
  }

  advance(nowSeconds: number): ReadonlyMap<string, number> {
    if (this.condition !== null) {
      const before = this.#seconds.get(this.condition) ?? 0;
      this.#seconds.set(this.condition, before + nowSeconds - this.#atSeconds);
    }
    this.#atSeconds = nowSeconds;
    return this.#seconds;
  }
}
