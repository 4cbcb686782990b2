import assert from "node:assert/strict";
import fc from "fast-check";
import { formatPrefix, parsePrefix, prefixLength, prefixMask } from "../../../src/model/prefix.ts";

describe("prefixes", () => {
  it("have one spelling, whatever they were written as", () => {
    for (const [written, meant] of [
      ["10.1.2.3", "10.1.2.3/32"],
      ["10.1.2.3/8", "10.0.0.0/8"],
      ["0.0.0.0/0", "0.0.0.0/0"],
      ["FD00:0:0::1/64", "fd00::/64"],
      ["::", "::/128"],
      ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1/128"],
      ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1/128"],
      ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0/128"],
    ] as const) {
      const parsed = parsePrefix(written);
      assert.ok(parsed !== null, written);
      assert.equal(formatPrefix(parsed), meant);
    }
  });

  it("of any other form are none", () => {
    const wrong = [
      "",
      "10",
      "10.1.2",
      "10.1.2.256",
      "01.2.3.4",
      "1.2.3.4/33",
      "1.2.3.4/",
      "::/129",
    ];
    for (const text of [...wrong, "1.2.3.4/8/8", ":::", "1::2::3", "g::", "1:2:3", "1.2.3.4/-1"])
      assert.equal(parsePrefix(text), null, text);
  });

  it("come back from their own text, and lengths from their own masks", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.integer({ min: 0, max: 128 }),
        (address, length) => {
          const text = formatPrefix({ family: 6, address, length });
          const parsed = parsePrefix(text);
          assert.ok(parsed !== null);
          assert.equal(parsed.length, length);
          assert.deepEqual(parsePrefix(formatPrefix(parsed)), parsed);
          assert.equal(prefixLength(prefixMask(parsed)), length);
        },
      ),
    );
    assert.equal(prefixLength(Uint8Array.of(255, 0, 255, 0)), null);
  });
});
