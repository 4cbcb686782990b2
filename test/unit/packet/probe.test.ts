import assert from "node:assert/strict";
import { parseAddress } from "../../../src/model/address.ts";
import type { Mac } from "../../../src/model/mac.ts";
import { blockOf, probeBlock, probeMac } from "../../../src/model/probe.ts";
import {
  betweenProbe,
  linkLocalAddress,
  neighbourAdvertisement,
  readHeard,
  targetProbe,
} from "../../../src/packet/probe.ts";

const OWN = "72:01:02:03:04:01" as Mac;
const PEER = "72:01:02:03:04:02" as Mac;
const GATEWAY = "00:00:5e:00:01:01" as Mac;

const bytes = (text: string) => parseAddress(text) ?? assert.fail(text);
const hex = (frame: Uint8Array) => Buffer.from(frame).toString("hex");

/** One's complement over addresses, length, next header and message: 0xffff where the checksum is right. */
function sumOf(packet: Uint8Array): number {
  let sum = packet.length - 40 + 58;
  for (let at = 8; at < packet.length; at += 2)
    sum += ((packet[at] ?? 0) << 8) + (packet[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

describe("a probe's frame", () => {
  it("asks for an IPv4 address by ARP from 0.0.0.0, by broadcast until it knows whom to ask", () => {
    const frame = targetProbe(OWN, bytes("192.0.2.1"), 0, null, null);
    assert.equal(
      hex(frame).slice(0, 84),
      "ffffffffffff720102030401" +
        "0806" +
        "0001080006040001" +
        "72010203040100000000" +
        "000000000000c0000201",
    );
    assert.equal(frame.length, 60);
    assert.equal(
      hex(targetProbe(OWN, bytes("192.0.2.1"), 0, null, GATEWAY)).slice(0, 12),
      "00005e000101",
    );
  });

  it("has a tag in a VLAN, and an address of its own where it is given one", () => {
    const frame = targetProbe(OWN, bytes("192.0.2.1"), 20, bytes("192.0.2.9"), null);
    assert.equal(hex(frame).slice(24, 36), "810000140806");
    assert.equal(hex(frame).slice(64, 72), "c0000209");
    assert.equal(frame.length, 64);
  });

  it("asks for an IPv6 address from the MAC's link-local one, with a right checksum", () => {
    const frame = targetProbe(OWN, bytes("2001:db8::12:3456"), 0, null, null);
    assert.equal(hex(frame).slice(0, 12), "3333ff123456");
    const packet = frame.subarray(14);
    assert.equal(packet[7], 255);
    assert.deepEqual(packet.slice(8, 24), linkLocalAddress(OWN));
    assert.deepEqual(packet.slice(24, 40), bytes("ff02::1:ff12:3456"));
    assert.equal(sumOf(packet), 0xffff);
    assert.deepEqual(linkLocalAddress(OWN), bytes("fe80::7001:2ff:fe03:401"));
  });

  it("is heard by the uplink that it goes to, and answers to its own address as a neighbour does", () => {
    assert.deepEqual(readHeard(betweenProbe(PEER, OWN, 0), OWN), { kind: "uplink", mac: PEER });
    const asks = targetProbe(GATEWAY, linkLocalAddress(OWN), 0, null, OWN);
    const heard = readHeard(asks, OWN);
    assert.equal(heard.kind, "asked");
    assert.equal(readHeard(asks, PEER).kind, "other", "not for another's address");
    const reply = neighbourAdvertisement(OWN, linkLocalAddress(GATEWAY), GATEWAY, 0);
    assert.equal(sumOf(reply.subarray(14)), 0xffff);
    assert.deepEqual(readHeard(reply, GATEWAY), {
      kind: "answer",
      address: linkLocalAddress(OWN),
      mac: OWN,
    });
  });

  it("is read from whatever comes in without failing", () => {
    for (let length = 0; length < 130; length += 1) {
      for (const etherType of [0x0806, 0x86dd, 0x88b5, 0x0800]) {
        const frame = new Uint8Array(length).fill(0xff);
        if (length >= 14) new DataView(frame.buffer).setUint16(12, etherType);
        assert.ok(["other", "uplink"].includes(readHeard(frame, OWN).kind));
      }
    }
  });
});

describe("the MACs of probes", () => {
  it("are locally administered, individual, of one block, the same each time, and others on another host", () => {
    const block = probeBlock("a".repeat(32));
    const macs = [1, 2, 255].map((number) => probeMac(block, number) ?? assert.fail());
    for (const mac of macs) {
      assert.equal(Number.parseInt(mac.slice(0, 2), 16) & 3, 2);
      assert.equal(blockOf(mac), block);
    }
    assert.equal(new Set(macs).size, 3);
    assert.equal(probeMac(block, 256), null);
    assert.equal(probeBlock("a".repeat(32)), block);
    assert.notEqual(probeBlock(`${"a".repeat(31)}b`), block);
  });
});

describe("addresses", () => {
  it("are read as they are written, and nothing else is", () => {
    assert.deepEqual([...bytes("10.0.0.1")], [10, 0, 0, 1]);
    assert.equal(hex(bytes("fe80::1")), "fe800000000000000000000000000001");
    assert.equal(hex(bytes("2001:DB8:1:2:3:4:5:6")), "20010db8000100020003000400050006");
    for (const wrong of [
      "",
      "10.0.0",
      "10.0.0.256",
      "010.0.0.1",
      "1::2::3",
      ":1",
      "1:2:3:4:5:6:7:8:9",
      "fe80::1%eno1",
      "::1.2.3.4",
      "x",
    ])
      assert.equal(parseAddress(wrong), null, wrong);
  });
});
