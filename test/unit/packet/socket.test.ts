import assert from "node:assert/strict";
import type { Mac } from "../../../src/model/mac.ts";
import { announcementFrame } from "../../../src/packet/announcement.ts";
import { linkAddress } from "../../../src/packet/socket.ts";

const MAC = "52:54:00:aa:bb:cc" as Mac;
const addressOf = (vlanId: number) =>
  Buffer.from(linkAddress(0x0102, announcementFrame(MAC, vlanId))).toString("hex");

describe("the address that a frame is sent to", () => {
  it("names the uplink, and as protocol what the frame begins with", () => {
    // sockaddr_ll: family 17, protocol in network byte order, ifindex, hatype, pkttype, halen, address in 8 bytes.
    assert.equal(addressOf(0), "11008035020100000000" + "0006" + "ffffffffffff0000");
    assert.equal(addressOf(7), "11008100020100000000" + "0006" + "ffffffffffff0000");
  });
});
