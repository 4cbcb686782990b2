import assert from "node:assert/strict";
import fc from "fast-check";
import {
  bitsPerSecondFromKibibytesPerSecond,
  clip,
  formatDuration,
  formatPercent,
  formatRate,
  formatSize,
  parseDuration,
  parsePercent,
  parseRate,
  parseSize,
  quantizeRate,
  ticksForBytes,
  UnitError,
} from "../../../src/model/units.ts";

describe("units", () => {
  it("are decimal for rates", () => {
    assert.equal(parseRate("500mbit"), 500e6);
    assert.equal(parseRate(" 2.5 Gbit "), 2.5e9);
    assert.equal(formatRate(2.5e9), "2.5gbit");
    assert.equal(formatRate(999), "999bit");
  });

  it("refuse what has no unit, an unknown one, or is beyond reason", () => {
    for (const wrong of ["", "5", "5mb", "-1mbit", "1e3mbit", "11tbit", "mbit"])
      assert.throws(() => parseRate(wrong), UnitError, wrong);
    for (const wrong of ["5", "1gb", "257mib"]) assert.throws(() => parseSize(wrong), UnitError);
    for (const wrong of ["5", "1d", "31000000000s"])
      assert.throws(() => parseDuration(wrong), UnitError);
    for (const wrong of ["5", "101%", "-1%"]) assert.throws(() => parsePercent(wrong), UnitError);
  });

  it("are written so that they are read again as the same", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9_999 }),
        fc.constantFrom(1e3, 1e6, 1e9),
        (n, factor) => {
          const rate = n * factor;
          assert.equal(parseRate(formatRate(rate)), rate);
        },
      ),
    );
    fc.assert(
      fc.property(fc.nat(100_000_000), (bytes) =>
        assert.equal(parseSize(formatSize(bytes)), bytes),
      ),
    );
    fc.assert(
      fc.property(fc.nat(10_000), (n) =>
        assert.equal(parsePercent(formatPercent(n / 10_000)), n / 10_000),
      ),
    );
    assert.equal(parseDuration("1.5s"), 1500);
    assert.equal(formatDuration(200_000), "3m20s");
  });

  it("round rates down to whole bytes, at least one", () => {
    assert.deepEqual([quantizeRate(1), quantizeRate(15), quantizeRate(16)], [8, 8, 16]);
  });

  it("convert libvirt's KiB/s and HTB's ticks of 64 ns", () => {
    assert.equal(bitsPerSecondFromKibibytesPerSecond(1000), 8_192_000);
    // 1500 bytes at 1 Gbit/s take 12 µs.
    assert.equal(ticksForBytes(1500, 1e9), 188);
    assert.equal(ticksForBytes(32_768, 8), 0xffffffff);
  });

  it("repeat foreign text shortened and without control characters", () => {
    assert.equal(clip("a\u001b[31mb\nc"), "a?[31mb?c");
    assert.equal(clip("x".repeat(70)), `${"x".repeat(60)}…`);
  });
});
