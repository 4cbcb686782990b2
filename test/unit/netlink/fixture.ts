import assert from "node:assert/strict";
import { NetlinkError } from "../../../src/model/errors.ts";
import { viewOf } from "../../../src/netlink/attribute.ts";
import { type Message, parseMessages } from "../../../src/netlink/message.ts";

/** The one message that a line of hexadecimal digits holds. */
export function messageOf(hex: string): Message {
  const [message] = parseMessages(Buffer.from(hex, "hex"));
  assert.ok(message !== undefined);
  return message;
}

/** The message that a request is. */
export function messageOfBytes(bytes: Uint8Array): Message {
  return messageOf(Buffer.from(bytes).toString("hex"));
}

/**
 * Asserts that a request is what iproute2 wrote, apart from what doesn't matter: the header's flags, number and
 * sender, and the mark of nested attributes, which iproute2 sets on some of them only.
 * @param headerBytes those of the fixed header behind nlmsghdr
 */
export function assertSameRequest(ours: Uint8Array, theirs: string, headerBytes: number): void {
  const [a, b] = [Uint8Array.from(ours), Uint8Array.from(Buffer.from(theirs, "hex"))];
  for (const bytes of [a, b]) bytes.fill(0, 6, 16);
  for (const offset of nestedOffsets(a, 16 + headerBytes, a.length)) {
    for (const bytes of [a, b]) bytes[offset + 3] = (bytes[offset + 3] ?? 0) & 0x7f;
  }
  assert.equal(Buffer.from(a).toString("hex"), Buffer.from(b).toString("hex"));
}

/** Runs a decoder on bytes from nowhere: it may give anything, but throw nothing but NetlinkError. */
export function survives(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
  }
}

function nestedOffsets(bytes: Uint8Array, start: number, end: number): number[] {
  const view = viewOf(bytes);
  const found: number[] = [];
  for (let offset = start; offset + 4 <= end; ) {
    const length = view.getUint16(offset, true);
    if ((view.getUint16(offset + 2, true) & 0x8000) !== 0) {
      found.push(offset, ...nestedOffsets(bytes, offset + 4, offset + length));
    }
    offset += (length + 3) & ~3;
  }
  return found;
}
