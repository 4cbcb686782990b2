// Three minutes of chaos; as long as you like, and from any seed, by `npm run chaos`.
import assert from "node:assert/strict";
import { runChaos, summarize } from "../../chaos/chaos.ts";

const MINUTES = 3;
const SEED = 1;

describe("chaos", () => {
  it(`leaves the host right and no guest silent after each fault of ${MINUTES} minutes, seed ${SEED}`, async () => {
    const report = await runChaos({ seed: SEED, durationMs: MINUTES * 60e3 });
    console.log(summarize(report).replaceAll(/^/gm, "      "));
    assert.deepEqual(report.violations, []);
  }).timeout(15 * 60e3);
});
