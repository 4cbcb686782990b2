import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import * as libc from "../../../src/native/libc.ts";
import { ownEventsFilter } from "../../../src/netlink/event-filter.ts";

const RTM_NEWLINK = 16;
const RTM_NEWQDISC = 36;
const RTM_NEWACTION = 48;
const LAST_TC_TYPE = 51;
const RTM_NEWNSID = 88;
const OURS = [4242, 0x81234567];
const FOREIGN = 4243;

describe("the filter of the event socket", () => {
  it("drops what our own sockets changed of traffic control, and nothing else", () => {
    const folder = mkdtempSync(path.join(tmpdir(), "uplinkd-filter-"));
    const [server, client] = [0, 0].map(() => libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM, 0));
    assert.ok(server !== undefined && client !== undefined);
    try {
      // Local datagrams pass a socket's filter as netlink's do, from their first byte on.
      const address = unixAddress(path.join(folder, "socket"));
      assert.equal(libc.bind(server, address), 0);
      assert.equal(libc.attachFilter(server, ownEventsFilter(OURS)), 0);
      const passes = (type: number, portId: number) => {
        const sent = header(type, portId);
        // A filter's rejection is EPERM to who sends by a local socket.
        libc.send(client, sent, address);
        return libc.receive(server, new Uint8Array(64), libc.MSG_DONTWAIT) === sent.length;
      };
      for (const type of [RTM_NEWQDISC, RTM_NEWACTION, LAST_TC_TYPE]) {
        for (const portId of OURS) assert.equal(passes(type, portId), false, `${type} ${portId}`);
        for (const portId of [FOREIGN, 0]) assert.equal(passes(type, portId), true, `${type}`);
      }
      for (const type of [RTM_NEWLINK, RTM_NEWQDISC - 1, LAST_TC_TYPE + 1, RTM_NEWNSID]) {
        for (const portId of OURS) assert.equal(passes(type, portId), true, `${type} ${portId}`);
      }
    } finally {
      for (const fd of [server, client]) libc.close(fd);
      rmSync(folder, { recursive: true });
    }
  });

  it("is refused by the kernel if it is no program", () => {
    const fd = libc.socket(libc.AF_UNIX, libc.SOCK_DGRAM, 0);
    assert.equal(libc.attachFilter(fd, new Uint8Array(8).fill(0xff)), -22);
    libc.close(fd);
  });
});

function header(type: number, portId: number): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, type, true);
  view.setUint32(12, portId, true);
  return bytes;
}

function unixAddress(name: string): Uint8Array {
  return Buffer.concat([Buffer.from([libc.AF_UNIX, 0]), Buffer.from(`${name}\0`)]);
}
