import assert from "node:assert/strict";
import { findRegressions } from "../../../bench/regression.ts";
import { atLeast, atMost, resultOf } from "../../../bench/result.ts";

const before = [
  resultOf("programming", "ratio", [0.4, 0.5, 0.6], atMost(0.9)),
  resultOf("frames", "ratio", [0.9, 0.95, 1], atLeast(0.85)),
  resultOf("time", "ms", [1]),
];

describe("the comparison with committed figures", () => {
  it("names a ratio that is worse beyond the spread and by more than noise", () => {
    const now = [
      resultOf("programming", "ratio", [0.7, 0.8, 0.9], atMost(0.9)),
      resultOf("frames", "ratio", [0.6, 0.7, 0.8], atLeast(0.85)),
    ];
    assert.deepEqual(
      findRegressions(now, before).map((line) => line.split(":")[0]),
      ["programming", "frames"],
    );
  });

  it("is silent about what is better, within the spread, new, or no ratio", () => {
    const now = [
      resultOf("programming", "ratio", [0.59], atMost(0.9)),
      resultOf("frames", "ratio", [1.4], atLeast(0.85)),
      resultOf("time", "ms", [100]),
      resultOf("another", "ratio", [100]),
    ];
    assert.deepEqual(findRegressions(now, before), []);
  });
});
