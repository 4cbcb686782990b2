// A share of the simulation that is small enough for every run of the tests; npm run test:simulation does more.
import assert from "node:assert/strict";
import { describeEvent } from "../../simulation/event.ts";
import { simulate } from "../../simulation/simulate.ts";

/** Histories and events of each; about 20 s of one core. */
const SEEDS = 24;
const EVENTS = 400;

describe("the simulated host", () => {
  it("lives through a seed in the same way every time", async () => {
    const [one, two] = [await simulate(7, 60), await simulate(7, 60)];
    assert.deepEqual(one, two);
  });

  for (let seed = 1; seed <= SEEDS; seed += 1) {
    it(`keeps every promise through ${EVENTS} events of seed ${seed}`, async function () {
      this.timeout(30_000);
      const { violation, events, lived } = await simulate(seed, EVENTS);
      const last = events.slice(Math.max(0, lived - 5), lived + 1).map(describeEvent);
      assert.equal(
        violation,
        null,
        `${JSON.stringify(violation)} after ${lived} events, the last: ${last.join("; ")}; \
npm run test:simulation -- --seed ${seed} --events ${EVENTS} shortens it`,
      );
    });
  }
});
