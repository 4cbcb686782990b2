// Messages whose attributes nest to any depth and lie about their lengths, given to each decoder.
import assert from "node:assert/strict";
import fc from "fast-check";
import { parseActions, parseSharedActions } from "../../../src/netlink/action.ts";
import { Attributes, viewOf } from "../../../src/netlink/attribute.ts";
import { parseClass } from "../../../src/netlink/class.ts";
import { parseAnswer } from "../../../src/netlink/error.ts";
import { parseFilter } from "../../../src/netlink/filter.ts";
import { objectsOf } from "../../../src/netlink/found-filter.ts";
import { parseLink } from "../../../src/netlink/link.ts";
import { parseMessages } from "../../../src/netlink/message.ts";
import { parseQdisc } from "../../../src/netlink/qdisc.ts";
import { survives } from "./fixture.ts";

/** RTM_NEWLINK, RTM_NEWQDISC, RTM_NEWTCLASS, RTM_NEWTFILTER, RTM_NEWACTION, NLMSG_ERROR, NLMSG_DONE, and their opposites. */
const TYPES = [16, 17, 36, 37, 40, 41, 44, 45, 48, 49, 2, 3];
const WORDS = [
  "htb",
  "fq_codel",
  "pfifo",
  "clsact",
  "flower",
  "matchall",
  "u32",
  "skbedit",
  "mirred",
];

const payload = fc.oneof(
  fc.uint8Array({ maxLength: 70 }),
  fc.constantFrom(...WORDS).map((word) => Buffer.from(`${word}\0`)),
);
/** What is claimed beyond the truth. */
const lie = fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, fc.integer({ min: -8, max: 300 }));

const { attributes } = fc.letrec<{ attributes: Uint8Array }>((tie) => ({
  attributes: fc
    .array(
      fc.tuple(
        fc.oneof(fc.nat(60), fc.integer({ min: 0, max: 0xffff })),
        lie,
        fc.oneof({ maxDepth: 5 }, payload, tie("attributes")),
      ),
      { maxLength: 6 },
    )
    .map((list) => Buffer.concat(list.map(([type, more, bytes]) => encode(type, more, bytes)))),
}));

function encode(type: number, more: number, bytes: Uint8Array): Uint8Array {
  const padded = new Uint8Array(4 + ((bytes.length + 3) & ~3));
  viewOf(padded).setUint16(0, Math.max(0, 4 + bytes.length + more) & 0xffff, true);
  viewOf(padded).setUint16(2, type, true);
  padded.set(bytes, 4);
  return padded;
}

describe("attributes that lie", () => {
  it("make decoders throw nothing but NetlinkError, and never read beyond the message", function () {
    this.timeout(20_000);
    fc.assert(
      fc.property(
        fc.constantFrom(...TYPES),
        fc.uint8Array({ minLength: 0, maxLength: 24 }),
        attributes,
        lie,
        (type, header, tree, more) => {
          const body = Buffer.concat([header, tree]);
          const message = { type, flags: 0, sequence: 1, portId: 0, body };
          survives(() => parseLink(message));
          survives(() => parseQdisc(message));
          survives(() => parseClass(message));
          survives(() => parseSharedActions(message));
          survives(() => parseAnswer(message));
          survives(() => {
            const filter = parseFilter(message);
            return filter === null ? [] : objectsOf([filter], "x");
          });
          survives(() => parseActions(Attributes.parse("test", tree)));
          const datagram = Buffer.concat([new Uint8Array(16), body]);
          viewOf(datagram).setUint32(0, Math.max(0, datagram.length + more), true);
          viewOf(datagram).setUint16(4, type, true);
          survives(() => {
            let count = 0;
            for (const found of parseMessages(datagram)) {
              count += 1;
              assert.ok(found.body.byteLength <= datagram.byteLength);
              assert.ok(count <= datagram.byteLength / 16, "a message takes at least its header");
            }
          });
        },
      ),
      { numRuns: 2000 },
    );
  });
});
