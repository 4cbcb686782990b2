import assert from "node:assert/strict";
import { Recent } from "../../../src/daemon/recent.ts";
import { VirtualClock } from "../../simulation/clock.ts";

describe("what was read a moment ago", () => {
  const clock = new VirtualClock();
  const settle = () => Promise.resolve();
  const make = () => new Recent<string>(clock);

  it("is had once, for the same", () => {
    const recent = make();
    assert.equal(recent.take("bond0 5"), null);
    recent.keep("classes", "bond0 5");
    assert.equal(recent.take("bond0 5"), "classes");
    assert.equal(recent.take("bond0 5"), null);
    recent.keep("classes", "bond0 5");
    assert.equal(recent.take("bond0 6"), null, "of another device");
    assert.equal(recent.take("bond0 5"), null, "and is gone then");
  });

  it("isn't trusted for long, nor kept", async () => {
    const recent = make();
    recent.keep("classes", "bond0 5");
    await clock.advance(2000, settle);
    recent.keep("others", "bond0 5");
    await clock.advance(1999, settle);
    assert.equal(recent.take("bond0 5"), "others");
    recent.keep("classes", "bond0 5");
    await clock.advance(2000, settle);
    assert.equal(recent.take("bond0 5"), null);
  });

  it("isn't trusted for long where the thread stood still, so that its end comes late", () => {
    let nowMs = 0;
    const recent = new Recent<string>({ now: () => nowMs, after: () => () => undefined });
    recent.keep("classes", "bond0 5");
    nowMs += 2000;
    assert.equal(recent.take("bond0 5"), "classes");
    recent.keep("classes", "bond0 5");
    nowMs += 2001;
    assert.equal(recent.take("bond0 5"), null);
  });

  it("is forgotten once somebody is heard of who changes it", () => {
    const recent = make();
    recent.keep("classes", "bond0 5");
    recent.forget();
    assert.equal(recent.take("bond0 5"), null);
    recent.keep("others", "bond0 5");
    assert.equal(recent.take("bond0 5"), "others");
  });
});
