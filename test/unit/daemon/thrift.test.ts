import assert from "node:assert/strict";
import { Thrift } from "../../../src/daemon/thrift.ts";
import { VirtualClock } from "../../simulation/clock.ts";

const MB = 1e6;
const settled = () => Promise.resolve();

/** A process of which a collection leaves 80 MB. */
function setUp() {
  const clock = new VirtualClock();
  const memory = { bytes: 100 * MB, collections: 0 };
  const thrift = new Thrift({
    clock,
    ownBytes: () => memory.bytes,
    collect: () => {
      memory.bytes = 80 * MB;
      memory.collections += 1;
    },
  });
  return { clock, memory, thrift };
}

describe("thrift", () => {
  it("collects ten seconds after a burst began, and a minute later what it left in the burst's midst", async () => {
    const { clock, memory, thrift } = setUp();
    thrift.look();
    await clock.advance(9000, settled);
    thrift.look();
    assert.equal(memory.collections, 0);
    await clock.advance(1000, settled);
    assert.equal(memory.collections, 1);
    thrift.look();
    await clock.advance(59_000, settled);
    assert.equal(memory.collections, 1);
    await clock.advance(1000, settled);
    assert.equal(memory.collections, 2);
    thrift.look();
    await clock.advance(600_000, settled);
    assert.equal(memory.collections, 2, "a quiet process is left alone");
  });

  it("does so again only once the process has grown by 10 MB since", async () => {
    const { clock, memory, thrift } = setUp();
    thrift.look();
    await clock.advance(10_000, settled);
    memory.bytes += 9.9 * MB;
    thrift.look();
    await clock.advance(10_000, settled);
    assert.equal(memory.collections, 1);
    memory.bytes += 0.1 * MB;
    thrift.look();
    await clock.advance(10_000, settled);
    assert.equal(memory.collections, 2);
  });

  it("does nothing once it is stopped", async () => {
    const { clock, memory, thrift } = setUp();
    thrift.look();
    thrift.stop();
    await clock.advance(10_000, settled);
    assert.equal(memory.collections, 0);
    thrift.look();
    await clock.advance(10_000, settled);
    assert.equal(memory.collections, 0);
  });
});
