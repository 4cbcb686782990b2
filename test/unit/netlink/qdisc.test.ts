import assert from "node:assert/strict";
import {
  addClsactMessage,
  addHtbRootMessage,
  deleteLeafMessage,
  leafHandle,
  parseQdisc,
  setLeafMessage,
} from "../../../src/netlink/qdisc.ts";
import { assertSameRequest, messageOf, messageOfBytes } from "./fixture.ts";
import { QDISCS, REQUESTS } from "./golden.ts";

const TCMSG_BYTES = 20;
const NIC0 = 2;
const BOND0 = 6;

describe("qdiscs", () => {
  it("are made by the very bytes of tc(8)", () => {
    assertSameRequest(addHtbRootMessage(NIC0, 0xfff0), REQUESTS.htbRoot, TCMSG_BYTES);
    assertSameRequest(addClsactMessage(BOND0), REQUESTS.clsact, TCMSG_BYTES);
    const fqCodel = { type: "fq_codel", flows: 64, limitPackets: 1000 } as const;
    assertSameRequest(setLeafMessage(NIC0, 0xfff0, fqCodel), REQUESTS.fqCodel, TCMSG_BYTES);
    const pfifo = { type: "pfifo", limitPackets: 500 } as const;
    assertSameRequest(setLeafMessage(NIC0, 0x11, pfifo), REQUESTS.pfifo, TCMSG_BYTES);
    const blackhole = { type: "blackhole" } as const;
    assertSameRequest(setLeafMessage(NIC0, 0x12, blackhole), REQUESTS.blackhole, TCMSG_BYTES);
  });

  it("read back root, leaves and clsact as the kernel tells them", () => {
    const qdiscs = QDISCS.map((hex) => parseQdisc(messageOf(hex))).filter((q) => q !== null);
    const of = (ifindex: number) => qdiscs.filter((q) => q.ifindex === ifindex);
    const root = of(NIC0).find((q) => q.parent === 0xffffffff);
    assert.equal(root?.kind, "htb");
    assert.equal(root?.handle, 0x75700000);
    assert.equal(root?.defaultMinor, 0xfff0);
    assert.equal(root?.directPackets, 0);
    const queues = of(NIC0).flatMap((q) => (q.queue === null ? [] : [[q.parent, q.queue]]));
    assert.deepEqual(
      new Map(queues as [number, object][]),
      new Map<number, object>([
        [0x75700011, { type: "pfifo", limitPackets: 500 }],
        [0x75700012, { type: "blackhole" }],
        [0x7570fff0, { type: "fq_codel", flows: 64, limitPackets: 1000 }],
      ]),
    );
    assert.ok(of(NIC0).some((q) => q.kind === "clsact" && q.parent === 0xfffffff1));
    assert.ok(of(BOND0).some((q) => q.kind === "clsact"));
  });

  it("leave the flows of a running fq_codel alone: the kernel would refuse", () => {
    const queue = { type: "fq_codel", flows: 64, limitPackets: 10 } as const;
    const parsed = parseQdisc(messageOfBytes(setLeafMessage(NIC0, 0x11, queue, true)));
    assert.equal(parsed?.queue, null);
  });

  it("below class 7570:7570 get a handle that is not the root's", () => {
    assert.equal(leafHandle(0x7570), 0x10000);
    assert.equal(leafHandle(0xffe0), 0xffe00000);
  });

  it("below a class are deleted by the class, whatever their own handle", () => {
    const message = messageOfBytes(deleteLeafMessage(NIC0, 0x11));
    assert.equal(
      Buffer.from(message.body).toString("hex"),
      "0000000002000000000000001100707500000000",
    );
  });
});
