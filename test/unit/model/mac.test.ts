import assert from "node:assert/strict";
import fc from "fast-check";
import { isUnicast, macBytes, macFromBytes, parseMac } from "../../../src/model/mac.ts";

describe("a MAC address", () => {
  it("has one canonical form", () => {
    assert.equal(parseMac(" 52-54-00-AA-bb-0C "), "52:54:00:aa:bb:0c");
    for (const wrong of ["", "52:54:00:aa:bb", "52:54:00:aa:bb:cc:dd", "52:54:00:aa:bb:gg"])
      assert.equal(parseMac(wrong), null);
  });

  it("survives the way to bytes and back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
        const mac = macFromBytes(bytes);
        assert.deepEqual(macBytes(mac), bytes);
        assert.equal(parseMac(mac), mac);
      }),
    );
    assert.throws(() => macFromBytes(new Uint8Array(5)), RangeError);
  });

  it("of a group or of nobody is no vNIC's", () => {
    const unicast = (text: string) => isUnicast(parseMac(text) ?? macFromBytes(new Uint8Array(6)));
    assert.equal(unicast("52:54:00:00:00:01"), true);
    assert.equal(unicast("01:80:c2:00:00:0e"), false);
    assert.equal(unicast("00:00:00:00:00:00"), false);
  });
});
