import assert from "node:assert/strict";
import { parseFilter } from "../../../src/netlink/filter.ts";
import { parseInboundCount } from "../../../src/netlink/inbound-count.ts";
import { parseSourceCount } from "../../../src/netlink/source-count.ts";
import { messageOf } from "./fixture.ts";

/**
 * As Linux 6.1 dumped it in the lab behind `tc filter add dev bond0 ingress protocol all pref 7586 handle 0x11 flower
 * skip_hw dst_mac 52:54:00:00:00:11 action police rate 100000bps burst 128k mtu 2097152 overhead 14 conform-exceed
 * drop/continue`, when `tc -s` said: Sent 366228 bytes 285 pkt (dropped 96, overlimits 96).
 */
const FILTER =
  "3c0100002c0002000100000000000000000000001200000011000000f2ffffff0003a21d0b000100666c6f776572000008000b0000000000040102000a00040052540000001100000a000500ffffffffffff000008001600090000000800560000000000d8000300d40001000b000100706f6c6963650000440004001400010094960500000000001d0100000000000014000700000000000000000000000000000000001800030000000000000000006000000000000000600000000c000700020000000200000008000a00000000006c0002003c000100010000000200000000000000008038010000200000010e0000000000a086010000000000000000000000000001000000010000000000000008000500ffffffff24000600fb05000000000000c9030000000000000000000000000000c405000000000000";

describe("what an inbound limit has counted", () => {
  const message = messageOf(FILTER);
  const filter = parseFilter(message);

  it("is all that came, with the Ethernet headers that ingress doesn't count, and the packets dropped", () => {
    assert.ok(filter !== null);
    assert.deepEqual(parseInboundCount(message, filter, "bond0"), {
      bond: "bond0",
      mac: "52:54:00:00:00:11",
      arrivedBytes: 366_228 + 285 * 14,
      droppedPackets: 96,
    });
  });

  it("is read from no other filter, nor taken for a count of source addresses", () => {
    assert.ok(filter !== null);
    assert.equal(parseInboundCount(message, { ...filter, priority: 7576 }, "bond0"), null);
    assert.equal(parseSourceCount(message, "bond0"), null);
  });
});
