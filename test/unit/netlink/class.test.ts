import assert from "node:assert/strict";
import fc from "fast-check";
import type { HtbClass } from "../../../src/model/kernel.ts";
import { MAX_RATE_BITS_PER_SECOND, quantizeRate } from "../../../src/model/units.ts";
import { deleteClassMessage, parseClass, setClassMessage } from "../../../src/netlink/class.ts";
import { assertSameRequest, messageOf, messageOfBytes } from "./fixture.ts";
import { CLASSES, REQUESTS } from "./golden.ts";

const NIC0 = 2;

describe("HTB classes", () => {
  it("read back as the kernel tells them, rates beyond 32 bits too", () => {
    const classes = CLASSES.map((hex) => parseClass(messageOf(hex))).filter((c) => c !== null);
    assert.deepEqual(
      classes.map((c) => [
        c.minor,
        c.parentMinor,
        c.rateBitsPerSecond,
        c.ceilBitsPerSecond,
        c.prio,
        c.quantumBytes,
      ]),
      [
        [0x11, 1, 5e6, 10e6, 3, 60000],
        [0x1, null, 40e6, 40e6, 0, 60000],
        [0x12, 1, 5e6, 10e6, 3, 60000],
        [0xfff0, 1, 50e9, 100e9, 7, 60000],
      ],
    );
    assert.equal(classes[3]?.stats?.bytes, 140n);
    assert.equal(classes[3]?.stats?.packets, 2n);
  });

  it("come back from their own request field by field, whatever the fields", () => {
    const rate = fc.nat(MAX_RATE_BITS_PER_SECOND).map(quantizeRate);
    const u32 = fc.integer({ min: 1, max: 0xffffffff });
    const object: fc.Arbitrary<HtbClass> = fc.record(
      {
        kind: fc.constant("class"),
        device: fc.constant("nic0"),
        minor: fc.integer({ min: 1, max: 0xffff }),
        parentMinor: fc.option(fc.integer({ min: 1, max: 0xffff })),
        rateBitsPerSecond: rate,
        ceilBitsPerSecond: rate,
        bufferTicks: u32,
        cbufferTicks: u32,
        prio: fc.nat(7),
        quantumBytes: u32,
      },
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(object, (wanted) => {
        const parsed = parseClass(messageOfBytes(setClassMessage(NIC0, wanted)));
        assert.ok(parsed !== null);
        const { ifindex, stats, ...fields } = parsed;
        assert.deepEqual({ kind: "class", device: "nic0", ...fields }, wanted);
        assert.deepEqual([ifindex, stats], [NIC0, null]);
      }),
    );
  });

  it("need 110 bytes or less for a request: no rate tables", () => {
    const bytes = setClassMessage(NIC0, {
      kind: "class",
      device: "nic0",
      minor: 0x11,
      parentMinor: 1,
      rateBitsPerSecond: 5e6,
      ceilBitsPerSecond: 10e6,
      bufferTicks: 1,
      cbufferTicks: 1,
      prio: 3,
      quantumBytes: 60000,
    });
    assert.ok(bytes.length <= 110, `${bytes.length}`);
  });

  it("are deleted by the very bytes of tc(8)", () => {
    assertSameRequest(deleteClassMessage(NIC0, 0x11), REQUESTS.deleteClass, 20);
  });
});
