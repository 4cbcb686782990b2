import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Layout,
  painted,
  plain,
  printable,
  renderTable,
  wrap,
} from "../../../src/cli/table.ts";

const narrow: Layout = { width: 20, paint: plain };

describe("a table", () => {
  it("aligns names left and figures right", () => {
    assert.deepEqual(
      renderTable(
        [{ title: "A" }, { title: "RATE", align: "right" }],
        [
          ["long", "1"],
          ["x", "12345"],
        ],
        narrow,
        1,
      ),
      [" A      RATE", " long      1", " x     12345"],
    );
  });

  it("cuts the widest column that may be cut, and no figure", () => {
    const lines = renderTable(
      [
        { title: "NAME", leastWidth: 5 },
        { title: "B", leastWidth: 3 },
        { title: "RATE", align: "right" },
      ],
      [["a-very-long-name", "bcd", "1000mbit"]],
      narrow,
    );
    assert.deepEqual(lines, ["NAME   B        RATE", "a-ve…  bcd  1000mbit"]);
  });

  it("grows rather than lose a figure", () => {
    const [, line] = renderTable(
      [
        { title: "A", leastWidth: 1 },
        { title: "B", align: "right" },
      ],
      [["x", "1234567890123456789012"]],
      narrow,
    );
    assert.equal(line, "x  1234567890123456789012");
  });

  it("is as wide with colour as without", () => {
    const cells = [[{ text: "up", colour: "green" as const }, "x"]];
    const columns = [{ title: "STATE" }, { title: "B" }];
    const bare = renderTable(columns, cells, narrow);
    const colourful = renderTable(columns, cells, { ...narrow, paint: painted });
    assert.notDeepEqual(colourful, bare);
    assert.deepEqual(colourful.map(printable), bare);
  });

  it("fits the width whenever what may be cut suffices", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string(), fc.string()), { maxLength: 5 }), (rows) => {
        const columns = [
          { title: "NAME", leastWidth: 5 },
          { title: "OTHER", leastWidth: 5 },
        ];
        for (const line of renderTable(columns, rows, narrow)) assert.ok(line.length <= 20);
      }),
    );
  });
});

describe("text", () => {
  it("is wrapped at spaces with a hanging indent", () => {
    assert.deepEqual(wrap("one two three four five", narrow, "- ", "  "), [
      "- one two three four",
      "  five",
    ]);
  });

  it("from outside can't steer the terminal", () => {
    assert.equal(printable("a\u001b[2Jb\u009b1mc\nd\re\u0007"), "abc?d?e?");
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: their absence is the point
        assert.doesNotMatch(printable(text), /[\u0000-\u001f\u007f-\u009f]/);
      }),
    );
  });
});
