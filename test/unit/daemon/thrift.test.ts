import assert from "node:assert/strict";
import { Thrift } from "../../../src/daemon/thrift.ts";
import { VirtualClock } from "../../simulation/clock.ts";

const MB = 1e6;
const settled = () => Promise.resolve();

/** A heap of which a collection leaves 10 MB. */
function setUp() {
  const clock = new VirtualClock();
  const heap = { bytes: 30 * MB, collections: 0 };
  const thrift = new Thrift({
    clock,
    heapBytes: () => heap.bytes,
    collect: () => {
      heap.bytes = 10 * MB;
      heap.collections += 1;
    },
  });
  return { clock, heap, thrift };
}

describe("thrift", () => {
  it("collects ten seconds after a burst began, once", async () => {
    const { clock, heap, thrift } = setUp();
    thrift.look();
    await clock.advance(9000, settled);
    thrift.look();
    assert.equal(heap.collections, 0);
    await clock.advance(1000, settled);
    assert.equal(heap.collections, 1);
    thrift.look();
    await clock.advance(60_000, settled);
    assert.equal(heap.collections, 1);
  });

  it("does so again only once the heap has grown by 4 MB since", async () => {
    const { clock, heap, thrift } = setUp();
    thrift.look();
    await clock.advance(10_000, settled);
    heap.bytes += 3.9 * MB;
    thrift.look();
    await clock.advance(10_000, settled);
    assert.equal(heap.collections, 1);
    heap.bytes += 0.1 * MB;
    thrift.look();
    await clock.advance(10_000, settled);
    assert.equal(heap.collections, 2);
  });

  it("does nothing once it is stopped", async () => {
    const { clock, heap, thrift } = setUp();
    thrift.look();
    thrift.stop();
    await clock.advance(10_000, settled);
    assert.equal(heap.collections, 0);
  });
});
