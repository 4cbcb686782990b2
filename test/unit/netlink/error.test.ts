import assert from "node:assert/strict";
import fc from "fast-check";
import { parseAnswer, refusal } from "../../../src/netlink/error.ts";
import { type Message, NLMSG_ERROR } from "../../../src/netlink/message.ts";
import { survives } from "./fixture.ts";

const ACK_TLVS = 0x200;
const CAPPED = 0x100;

describe("answers of the kernel", () => {
  it("carry errno and the kernel's own words", () => {
    const words = Buffer.from("Cannot find class\0");
    const body = Buffer.concat([
      Buffer.from("feffffff", "hex"),
      Buffer.alloc(16),
      Buffer.from([4 + words.length, 0, 1, 0]),
      words,
    ]);
    const answer = parseAnswer(answerOf(body, ACK_TLVS | CAPPED));
    assert.deepEqual(answer, { sequence: 7, errno: 2, extAck: "Cannot find class" });
  });

  it("acknowledge with errno 0 and no words", () => {
    const answer = parseAnswer(answerOf(Buffer.alloc(20), CAPPED));
    assert.deepEqual(answer, { sequence: 7, errno: 0, extAck: "" });
  });

  it("become errors that name object, cause and remedy", () => {
    const error = refusal("class nic0 7570:11", 1, "");
    assert.equal(error.object, "class nic0 7570:11");
    assert.match(error.message, /class nic0 7570:11: EPERM .*CAP_NET_ADMIN/);
    assert.equal(error.retry, "never");
    assert.equal(refusal("x", 16, "").retry, "backoff");
    assert.equal(refusal("x", 2, "").retry, "resync");
    assert.match(refusal("x", 22, "Exclusivity flag on").message, /Exclusivity flag on/);
  });

  it("may hold any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(0xffff), (body, flags) => {
        survives(() => parseAnswer(answerOf(body, flags)));
      }),
      { numRuns: 2000 },
    );
  });
});

function answerOf(body: Uint8Array, flags: number): Message {
  return { type: NLMSG_ERROR, flags, sequence: 7, portId: 0, body };
}
