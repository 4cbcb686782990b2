import assert from "node:assert/strict";
import fc from "fast-check";
import {
  evenUtilisation,
  findShifts,
  type Shift,
  type Shiftable,
  type Spread,
  unevenness,
} from "../../../src/plan/spread.ts";

interface Case {
  readonly capacities: readonly number[];
  readonly fixed: readonly number[];
  readonly items: readonly {
    readonly at: number;
    readonly load: number;
    readonly reserved: number;
    readonly targets: number;
  }[];
}

function spreadOf({ capacities, fixed, items }: Case): Spread {
  const spread = {
    capacities: Float64Array.from(capacities),
    loads: Float64Array.from(fixed),
    reserved: new Float64Array(capacities.length),
  };
  for (const { at, load, reserved } of items) {
    spread.loads[at] = (spread.loads[at] as number) + load;
    spread.reserved[at] = (spread.reserved[at] as number) + reserved;
  }
  return spread;
}

function itemsOf({ items }: Case): Shiftable[] {
  return items.map(({ at, load, reserved, targets }, id) => ({
    ...{ id, at, targets, exclusive: false },
    loadBitsPerSecond: load,
    reservedBitsPerSecond: reserved,
  }));
}

function shifted(one: Case, shifts: readonly Shift[]): Case {
  const to = new Map(shifts.map((shift) => [shift.id, shift.to]));
  return {
    ...one,
    items: one.items.map((item, id) => ({ ...item, at: to.get(id) ?? item.at })),
  };
}

const TOLERANCE = 0.1;

/** The fewest shifts after which all is even, by trying everything; null where nothing helps. */
function exhaustive(one: Case): number | null {
  let fewest: number | null = null;
  const attempt = (index: number, shifts: Shift[]): void => {
    if (fewest !== null && shifts.length >= fewest) return;
    if (index === one.items.length) {
      const spread = spreadOf(shifted(one, shifts));
      const fits = spread.reserved.every(
        (sum, place) => sum <= (spread.capacities[place] as number),
      );
      if (fits && unevenness(spread) <= TOLERANCE + 1e-9) fewest = shifts.length;
      return;
    }
    const { at, targets } = one.items[index] as Case["items"][number];
    attempt(index + 1, shifts);
    for (let to = 0; to < one.capacities.length; to += 1) {
      if (to !== at && ((targets >> to) & 1) === 1)
        attempt(index + 1, [...shifts, { id: index, to }]);
    }
  };
  attempt(0, []);
  return fewest;
}

/** Two to three places of unequal capacity, up to seven items. */
function cases(mostItems: number, reservations: boolean): fc.Arbitrary<Case> {
  return fc.integer({ min: 2, max: 3 }).chain((places) =>
    fc.record({
      capacities: fc.array(fc.constantFrom(100, 250, 1000), {
        minLength: places,
        maxLength: places,
      }),
      fixed: fc.array(fc.integer({ min: 0, max: 40 }), { minLength: places, maxLength: places }),
      items: fc.array(
        fc.record({
          at: fc.oneof(
            { weight: 2, arbitrary: fc.constant(0) },
            { weight: 1, arbitrary: fc.nat({ max: places - 1 }) },
          ),
          load: fc.integer({ min: 1, max: 120 }),
          reserved: reservations ? fc.integer({ min: 0, max: 60 }) : fc.constant(0),
          targets: fc.constantFrom(7, 7, 7, 6, 5, 3),
        }),
        { maxLength: mostItems },
      ),
    }),
  );
}

describe("evening out", () => {
  it("needs no more shifts than trying all combinations does, and gets as far", () => {
    fc.assert(
      fc.property(cases(7, false), (one) => {
        const fewest = exhaustive(one);
        const shifts = findShifts(spreadOf(one), itemsOf(one), TOLERANCE);
        // Beyond four shifts at a time no combination is tried, so that the answer may differ.
        fc.pre(fewest === null || fewest <= 4);
        const after = unevenness(spreadOf(shifted(one, shifts)));
        if (fewest === null) return after <= unevenness(spreadOf(one)) + 1e-9;
        return shifts.length === fewest && after <= TOLERANCE + 1e-6;
      }),
      { numRuns: 400 },
    );
  });

  it("then holds still, and never goes on for ever where it can't be even", () => {
    fc.assert(
      fc.property(cases(12, true), (one) => {
        let now = one;
        for (let round = 0; round < 60; round += 1) {
          const shifts = findShifts(spreadOf(now), itemsOf(now), TOLERANCE);
          if (shifts.length === 0) return true;
          now = shifted(now, shifts);
          if (unevenness(spreadOf(now)) <= TOLERANCE)
            return findShifts(spreadOf(now), itemsOf(now), TOLERANCE).length === 0;
        }
        return false;
      }),
      { numRuns: 300 },
    );
  });

  it("never puts more reservations on a place than it has room for, nor goes where it may not", () => {
    fc.assert(
      fc.property(cases(12, true), (one) => {
        const before = spreadOf(one);
        const shifts = findShifts(before, itemsOf(one), TOLERANCE);
        const after = spreadOf(shifted(one, shifts));
        assert.ok(new Set(shifts.map(({ id }) => id)).size === shifts.length);
        for (const { id, to } of shifts)
          assert.ok((((one.items[id]?.targets ?? 0) >> to) & 1) === 1);
        return after.reserved.every(
          (sum, place) =>
            sum <= Math.max(before.reserved[place] as number, after.capacities[place] as number),
        );
      }),
      { numRuns: 300 },
    );
  });

  it("leaves what would only make the worst worse", () => {
    const item = { at: 0, load: 45, reserved: 0, targets: 7 };
    const one = { capacities: [250, 100, 100], fixed: [10, 0, 0], items: [item, item] };
    assert.deepEqual(findShifts(spreadOf(one), itemsOf(one), TOLERANCE), []);
  });

  it("shifts one of the right size rather than many small ones", () => {
    const item = (load: number) => ({ at: 0, load, reserved: 0, targets: 3 });
    const one = {
      capacities: [100, 100],
      fixed: [0, 0],
      items: [item(10), item(30), item(10), item(10), item(10)],
    };
    assert.deepEqual(findShifts(spreadOf(one), itemsOf(one), TOLERANCE), [{ id: 1, to: 1 }]);
  });

  it("exchanges two where no single one fits", () => {
    const one = {
      capacities: [100, 100],
      fixed: [20, 0],
      items: [
        { at: 0, load: 60, reserved: 0, targets: 3 },
        { at: 1, load: 30, reserved: 0, targets: 3 },
      ],
    };
    // 80 to 30: the large one alone would make it 20 to 90.
    assert.ok(unevenness(spreadOf(one)) > 0.24);
    const shifts = findShifts(spreadOf(one), itemsOf(one), TOLERANCE);
    assert.equal(shifts.length, 2);
    assert.ok(unevenness(spreadOf(shifted(one, shifts))) <= TOLERANCE);
  });

  it("weighs by capacity", () => {
    const one = {
      capacities: [1000, 100],
      fixed: [0, 0],
      items: [0, 0, 0, 0, 1, 1].map((at) => ({ at, load: 40, reserved: 0, targets: 3 })),
    };
    const after = shifted(one, findShifts(spreadOf(one), itemsOf(one), TOLERANCE));
    assert.deepEqual(
      after.items.map(({ at }) => at),
      [0, 0, 0, 0, 0, 0].map((_, index) => (index < 5 ? 0 : after.items[5]?.at)),
    );
    assert.ok(evenUtilisation(spreadOf(after)) > 0.2);
  });

  it("is quick where there are ten thousand", () => {
    const one: Case = {
      capacities: [1e5, 1e5, 2.5e5, 1e5],
      fixed: [0, 0, 0, 0],
      items: Array.from({ length: 10_000 }, (_, index) => ({
        at: index % 10 < 7 ? 0 : index % 4,
        load: 1 + ((index * 7919) % 60),
        reserved: 0,
        targets: 15,
      })),
    };
    const startMs = performance.now();
    const shifts = findShifts(spreadOf(one), itemsOf(one), TOLERANCE);
    const tookMs = performance.now() - startMs;
    assert.ok(shifts.length > 0 && shifts.length <= 64);
    assert.ok(tookMs < 2000, `took ${tookMs} ms`);
  });
});
