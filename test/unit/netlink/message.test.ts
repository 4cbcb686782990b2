import assert from "node:assert/strict";
import fc from "fast-check";
import { NetlinkError } from "../../../src/model/errors.ts";
import { Attributes } from "../../../src/netlink/attribute.ts";
import {
  joinMessages,
  MessageBuilder,
  NLM_F_ACK,
  parseMessages,
} from "../../../src/netlink/message.ts";
import { messageOfBytes, survives } from "./fixture.ts";

describe("netlink messages", () => {
  it("read back what was written, nested and padded", () => {
    const bytes = new MessageBuilder(16, 0)
      .word(0)
      .u8(1, 0xab)
      .u16(2, 0xabcd)
      .u32(3, 0xdeadbeef)
      .u64(4, 2n ** 63n)
      .text(5, "bond0")
      .nest(6, (nest) => nest.u8(1, 7).nest(2, (inner) => inner.u16(9, 1)))
      .attribute(7, new Uint8Array(0))
      .finish();
    const message = messageOfBytes(bytes);
    assert.equal(message.type, 16);
    const attributes = Attributes.parse("test", message.body.subarray(4));
    assert.equal(attributes.u8(1), 0xab);
    assert.equal(attributes.u16(2), 0xabcd);
    assert.equal(attributes.u32(3), 0xdeadbeef);
    assert.equal(attributes.u64(4), 2n ** 63n);
    assert.equal(attributes.text(5), "bond0");
    assert.equal(attributes.nested(6)?.u8(1), 7);
    assert.equal(attributes.nested(6)?.nested(2)?.u16(9), 1);
    assert.equal(attributes.bytes(7)?.length, 0);
    assert.equal(attributes.u32(99), null);
  });

  it("read text up to the first NUL, ASCII or not", () => {
    const texts = ["nic0", "", "büro\0rest", "ascii\0rest"].map((text) => Buffer.from(text));
    const builder = new MessageBuilder(16, 0);
    for (const [index, bytes] of texts.entries()) builder.attribute(index + 1, bytes);
    const attributes = Attributes.parse("test", messageOfBytes(builder.finish()).body);
    assert.deepEqual(
      texts.map((_, index) => attributes.text(index + 1)),
      ["nic0", "", "büro", "ascii"],
    );
  });

  it("grow beyond the first buffer", () => {
    const value = new Uint8Array(5000).fill(7);
    const message = messageOfBytes(new MessageBuilder(16, 0).attribute(1, value).u8(2, 3).finish());
    const attributes = Attributes.parse("test", message.body);
    assert.deepEqual(Uint8Array.from(attributes.bytes(1) ?? []), value);
    assert.equal(attributes.u8(2), 3);
  });

  it("joined ask for an acknowledgement of the last only, and count on", () => {
    const one = new MessageBuilder(16, 0).u8(1, 1).finish();
    const joined = joinMessages([one, one, one], 41);
    const messages = [...parseMessages(joined)];
    assert.deepEqual(
      messages.map((m) => [m.sequence, (m.flags & NLM_F_ACK) !== 0]),
      [
        [41, false],
        [42, false],
        [43, true],
      ],
    );
  });

  it("are refused where a length lies", () => {
    const bytes = new MessageBuilder(16, 0).u32(1, 1).finish();
    for (const length of [0, 15, 25, 0xffffffff]) {
      const lying = bytes.slice();
      new DataView(lying.buffer).setUint32(0, length, true);
      assert.throws(() => [...parseMessages(lying)], NetlinkError);
    }
    for (const length of [0, 3, 9, 0xffff]) {
      const lying = bytes.slice();
      new DataView(lying.buffer).setUint16(16, length, true);
      assert.throws(() => Attributes.parse("test", lying.subarray(16)), NetlinkError);
    }
    assert.throws(() => Attributes.parse("test", bytes.subarray(16)).u64(1), NetlinkError);
  });

  it("end on any bytes, and throw nothing but NetlinkError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        survives(() => [...parseMessages(bytes)]);
        survives(() => Attributes.parse("test", bytes));
      }),
      { numRuns: 2000 },
    );
  });
});
