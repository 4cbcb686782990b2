/** What of our own code ran, by V8's counts (Profiler.takePreciseCoverage). */
import { Session } from "node:inspector/promises";
import { pathToFileURL } from "node:url";

const SOURCES = pathToFileURL(`${import.meta.dirname}/../../src/`).href;

export class Reach {
  readonly #session = new Session();
  readonly #blocks = new Set<string>();
  readonly #functions = new Set<string>();

  async start(): Promise<void> {
    this.#session.connect();
    await this.#session.post("Profiler.enable");
    await this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  /** Names of the blocks that ran since the last look. */
  async take(): Promise<ReadonlySet<string>> {
    const { result } = await this.#session.post("Profiler.takePreciseCoverage");
    const blocks = new Set<string>();
    for (const { url, functions } of result) {
      if (!url.startsWith(SOURCES)) continue;
      for (const { ranges } of functions) {
        for (const [place, { count, startOffset, endOffset }] of ranges.entries()) {
          if (count === 0) continue;
          const name = `${url} ${startOffset} ${endOffset}`;
          blocks.add(name);
          this.#blocks.add(name);
          // The first range is the function's own.
          if (place === 0) this.#functions.add(name);
        }
      }
    }
    return blocks;
  }

  /** Forgets what ran, for the next target. */
  async reset(): Promise<void> {
    await this.take();
    this.#blocks.clear();
    this.#functions.clear();
  }

  /** How many ran since the last reset. */
  get sum(): { readonly functions: number; readonly blocks: number } {
    return { functions: this.#functions.size, blocks: this.#blocks.size };
  }
}
