import assert from "node:assert/strict";
import type { Mac } from "../../../src/model/mac.ts";
import { announcementFrame } from "../../../src/packet/announcement.ts";

const MAC = "52:54:00:aa:bb:cc" as Mac;

const hex = (frame: Uint8Array) => Buffer.from(frame).toString("hex");
const words = (...parts: string[]) => parts.join("").replaceAll(" ", "");

describe("an announcement", () => {
  it("is the reverse ARP request by broadcast that QEMU sends after a migration", () => {
    const frame = announcementFrame(MAC, 0);
    assert.equal(
      hex(frame),
      words(
        "ffff ffff ffff 5254 00aa bbcc 8035",
        "0001 0800 06 04 0003",
        "5254 00aa bbcc 0000 0000",
        "5254 00aa bbcc 0000 0000",
        "0000".repeat(9),
      ),
    );
    assert.equal(frame.length, 60);
  });

  it("has a tag after the addresses where the vNIC is in a VLAN, and is whole without it, too", () => {
    const plain = hex(announcementFrame(MAC, 0));
    const tagged = announcementFrame(MAC, 4094);
    assert.equal(tagged.length, 64);
    assert.equal(hex(tagged), `${plain.slice(0, 24)}81000ffe${plain.slice(24)}`);
  });
});
