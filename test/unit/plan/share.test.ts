import assert from "node:assert/strict";
import fc from "fast-check";
import { fitClaims, isShort, shareUplink, sum } from "../../../src/plan/share.ts";

const sharer = (rate: number, want: number, prio = 3, shares = 100) => ({
  rateBitsPerSecond: rate,
  wantBitsPerSecond: want,
  prio,
  shares,
});

const claim = (reservation: number, prio = 3, floor = 0) => ({
  reservationBitsPerSecond: reservation,
  prio,
  floorBitsPerSecond: floor,
});

describe("sharing an uplink as HTB does", () => {
  it("serves rates first, then strictly by priority", () => {
    assert.deepEqual(
      shareUplink(1000, [sharer(100, 900, 4), sharer(300, 800, 1), sharer(100, 500, 2)]),
      [100, 800, 100],
    );
  });

  it("splits what is left within one priority by shares, and passes on what somebody doesn't need", () => {
    assert.deepEqual(
      shareUplink(1000, [sharer(0, 1000, 3, 100), sharer(0, 1000, 3, 300)]),
      [250, 750],
    );
    assert.deepEqual(
      shareUplink(1000, [sharer(0, 100, 3, 300), sharer(0, 1000, 3, 100), sharer(0, 1000, 3, 200)]),
      [100, 300, 600],
    );
  });

  it("never gives more than the capacity or more than is wanted", () => {
    const sharers = fc.array(
      fc
        .tuple(
          fc.nat(1000),
          fc.nat(5000),
          fc.integer({ min: 1, max: 4 }),
          fc.integer({ min: 1, max: 1000 }),
        )
        .map(([rate, want, prio, shares]) => sharer(rate, want, prio, shares)),
      { maxLength: 10 },
    );
    fc.assert(
      fc.property(sharers, (all) => {
        const capacity = 10_000;
        const got = shareUplink(capacity, all);
        assert.ok(sum(got) <= capacity + 1e-6);
        for (const [index, rate] of got.entries())
          assert.ok(rate <= (all[index]?.wantBitsPerSecond ?? 0) + 1e-6);
        // Nothing is left over while somebody wants more.
        const wanted = sum(all.map((entry) => entry.wantBitsPerSecond));
        assert.ok(Math.abs(sum(got) - Math.min(wanted, capacity)) < 1e-6);
      }),
    );
  });
});

describe("fitting claims", () => {
  it("keeps all where they fit, in whole bytes", () => {
    assert.deepEqual(fitClaims(10_000, [claim(1600), claim(2005, 1)]), [1600, 2000]);
  });

  it("cuts the lowest priority first, and within one priority in proportion", () => {
    const rates = fitClaims(10_000_000, [
      claim(6e6, 1),
      claim(4e6, 3),
      claim(12e6, 3),
      claim(5e6, 4),
    ]);
    assert.equal(rates[0], 6e6);
    assert.ok(Math.abs((rates[1] ?? 0) - 1e6) < 50);
    assert.ok(Math.abs((rates[2] ?? 0) - 3e6) < 50);
    assert.equal(rates[3], 8);
  });

  it("keeps floors before reservations", () => {
    assert.deepEqual(fitClaims(1600, [claim(1600, 1), claim(0, 4, 400)]), [1200, 400]);
  });

  it("scales floors down where even they don't fit, to no less than a byte a second", () => {
    assert.deepEqual(fitClaims(160, [claim(0, 1, 800), claim(0, 4, 800)]), [80, 80]);
    assert.deepEqual(fitClaims(0, [claim(0, 1, 800), claim(800, 4, 800)]), [8, 8]);
  });

  it("never exceeds a capacity that has a byte for each", () => {
    const claims = fc.array(
      fc
        .tuple(fc.nat(1e6), fc.integer({ min: 0, max: 4 }), fc.nat(1e5))
        .map(([reservation, prio, floor]) => claim(reservation, prio, floor)),
      { minLength: 1, maxLength: 30 },
    );
    fc.assert(
      fc.property(claims, fc.nat(1e6), (all, more) => {
        const capacity = all.length * 8 + more;
        const rates = fitClaims(capacity, all);
        assert.ok(sum(rates) <= capacity, `${sum(rates)} of ${capacity}`);
        for (const rate of rates) assert.ok(rate >= 8 && rate % 8 === 0);
      }),
    );
  });
});

describe("being short", () => {
  it("is no matter of the bytes that HTB rounds by", () => {
    assert.equal(isShort(1e9, 1e9 - 999), false);
    assert.equal(isShort(1e9, 1e9 - 1001), true);
    assert.equal(isShort(100e9, 100e9 - 50_000), false);
  });
});
