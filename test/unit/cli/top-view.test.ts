import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import { painted, plain } from "../../../src/cli/table.ts";
import { renderTop, TOP_SORTS, type TopView } from "../../../src/cli/top-view.ts";
import type { DomainStatus, Status } from "../../../src/model/status.ts";
import { exampleStatus } from "../control/fake-daemon.ts";

const NOW = 1_700_000_200_000;
const view: TopView = { sort: "used", reverse: false, offset: 0, height: 24, note: "" };

/** So many domains, the later ones sending more. */
function crowd(count: number): Status {
  const [pattern] = exampleStatus.domains as readonly [DomainStatus];
  const domains = Array.from({ length: count }, (_, index) => ({
    ...pattern,
    name: `vm${index}`,
    vnics: pattern.vnics.map((vnic) => ({
      ...vnic,
      sentBitsPerSecond: index * 1e6,
      drops: count - index,
    })),
  }));
  return { ...exampleStatus, domains };
}

const namesIn = (lines: readonly string[]) =>
  lines.flatMap((line) => /^(vm\d+) /.exec(line)?.[1] ?? []);

describe("top", () => {
  for (const width of [40, 80, 120, 200]) {
    for (const height of [10, 24, 60]) {
      it(`fits ${width} columns and ${height} rows, in colour too`, () => {
        for (const paint of [plain, painted]) {
          const lines = renderTop(crowd(100), { ...view, height }, NOW, { width, paint });
          assert.ok(lines.length <= height, String(lines.length));
          for (const line of lines) {
            assert.ok(stripVTControlCharacters(line).length <= width, line);
            const opened = line.split("\u001b[").length - 1;
            assert.equal(opened % 2, 0, "what is painted is ended");
          }
        }
      });
    }
  }

  it("shows loads as bars, what is promised and got, and the state of each", () => {
    const lines = renderTop(exampleStatus, view, NOW, { width: 80, paint: plain });
    const text = lines.join("\n");
    assert.match(text, /^eno1 +\[\|+ +\] +42% +400mbit +510mbit +950mbit +active$/m);
    assert.match(text, /^eno2 +\[ +\] +- +- +- +- +no carrier$/m);
    assert.match(text, /^web1 +vnet0 +high +eno2>eno1 +500mbit +850mbit +320mbit +running$/m);
    assert.match(text, /^batch .*paused by/m);
  });

  it("sorts by each key, either way round", () => {
    const layout = { width: 200, paint: plain };
    const status = crowd(12);
    const firstBy = (sort: TopView["sort"], reverse = false) =>
      namesIn(renderTop(status, { ...view, sort, reverse }, NOW, layout))[0];
    assert.deepEqual(
      TOP_SORTS.map((sort) => firstBy(sort)),
      ["vm11", "vm11", "vm0", "vm0", "vm0", "vm0"],
    );
    assert.equal(firstBy("used", true), "vm0");
    assert.equal(firstBy("domain", true), "vm11");
  });

  it("scrolls no further than there is something, and says where it is", () => {
    const layout = { width: 80, paint: plain };
    const lines = renderTop(crowd(100), { ...view, offset: 1 << 20 }, NOW, layout);
    const names = namesIn(lines);
    assert.equal(names.at(-1), "vm0");
    assert.ok(names.length > 10);
    assert.match(lines.at(-1) ?? "", /of 100|…$/);
  });
});
