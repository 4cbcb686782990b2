import assert from "node:assert/strict";
import { readCorpus } from "../../fuzz/corpus.ts";
import { hunt } from "../../fuzz/hunt.ts";
import { TARGETS } from "../../fuzz/targets.ts";
import { Random } from "../../simulation/random.ts";

/** One input may take so long, on a machine that has other things to do, milliseconds. */
const LIMIT_MS = 2000;

describe("what was kept of bad input", () => {
  for (const [name, target] of Object.entries(TARGETS)) {
    it(`is taken or refused by an error of ours, in little time: ${name}`, async () => {
      const corpus = readCorpus(name);
      assert.ok(corpus.length >= 3, `${corpus.length} inputs`);
      for (const input of corpus) {
        const startedAtMs = performance.now();
        await target(input);
        assert.ok(performance.now() - startedAtMs < LIMIT_MS);
      }
    });
  }
});

describe("a hunt for bad input", () => {
  const seeds = [new TextEncoder().encode("ab"), new TextEncoder().encode("cd")];
  const goesOn = (executions: number) => executions < 20_000;

  it("finds what breaks only behind what was reached before", async () => {
    let ran = new Set<string>();
    const target = (input: Uint8Array) => {
      if (input[0] !== 0xff) return;
      ran.add("first");
      if (input[1] !== 0x80) return;
      ran.add("second");
      if (input[2] === 0x7f) throw new TypeError("broken");
    };
    const reached = async () => {
      const found = ran;
      ran = new Set();
      return found;
    };
    const { kept, find } = await hunt(target, seeds, { random: new Random(1), goesOn, reached });
    assert.match(find?.error ?? "", /TypeError: broken/);
    assert.deepEqual([...(find?.input.subarray(0, 3) ?? [])], [0xff, 0x80, 0x7f]);
    assert.ok(kept.length >= 2);
  });

  it("ends when it was told to, where nothing breaks", async () => {
    const reached = async () => new Set<string>();
    const { executions, find, kept } = await hunt(() => undefined, seeds, {
      random: new Random(1),
      goesOn,
      reached,
    });
    assert.deepEqual([find, kept], [null, []]);
    assert.ok(executions >= 20_000);
  });
});
