/** Says that something still goes on, where a person waits for it. */
import type { Output } from "./command.ts";

/** What takes less needs no words, milliseconds. */
const PATIENCE_MS = 1000;

/**
 * Runs something; after a second a line on the terminal tells what is waited for and for how long, and is taken away
 * again. Nothing is written where nobody looks on.
 * @param what `uplinkd releases the host`
 */
export async function withProgress<T>(
  stderr: Output,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  if (stderr.isTTY !== true) return work();
  const startMs = performance.now();
  const timer = setInterval(() => {
    const seconds = Math.round((performance.now() - startMs) / 1000);
    stderr.write(`\r${what} … ${seconds} s\u001b[K`);
  }, PATIENCE_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    if (performance.now() - startMs >= PATIENCE_MS) stderr.write("\r\u001b[K");
  }
}
