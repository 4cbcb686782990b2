import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { withProgress } from "../../../src/cli/progress.ts";

describe("progress", () => {
  const run = async (isTTY: boolean, takesMs: number) => {
    let written = "";
    const stderr = { isTTY, write: (text: string) => (written += text) };
    const result = await withProgress(stderr, "waiting", async () => {
      await sleep(takesMs);
      return "done";
    });
    assert.equal(result, "done");
    return written;
  };

  it("tells what takes longer than a second, and takes the line away again", async () => {
    const written = await run(true, 1300);
    assert.ok(written.startsWith("\rwaiting … 1 s"), written);
    assert.ok(written.endsWith("\r\u001b[K"));
  });

  it("says nothing of what is quick, nor where nobody looks on", async () => {
    assert.equal(await run(true, 10), "");
    assert.equal(await run(false, 1300), "");
  });

  it("takes the line away after a failure, too", async () => {
    let written = "";
    const stderr = { isTTY: true, write: (text: string) => (written += text) };
    const work = async () => {
      await sleep(1300);
      throw new Error("no");
    };
    await assert.rejects(withProgress(stderr, "waiting", work), /no/);
    assert.ok(written.endsWith("\r\u001b[K"));
  });
});
