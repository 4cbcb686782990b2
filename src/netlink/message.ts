/** Netlink messages (struct nlmsghdr and what follows): writing requests, splitting what was received. */
import type { Mac } from "../model/mac.ts";
import { malformed, viewOf } from "./attribute.ts";

/** Message types and flags: include/uapi/linux/netlink.h. */
export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_CREATE = 0x400;

export const HEADER_BYTES = 16;
const NLA_F_NESTED = 0x8000;

/** One received message; `body` lies in the receive buffer and is valid only until the next receive. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** The port id of the socket whose request caused it; 0 for the kernel itself. */
  readonly portId: number;
  readonly body: Uint8Array;
}

/** Room for some hundred messages; each that is finished is a part of one. */
const SLAB_BYTES = 64 << 10;

/** Memory that messages are written into, one behind the other: one allocation for hundreds of them. */
class Slab {
  readonly bytes: Uint8Array;
  /** Everything in netlink is aligned to four bytes, so that whole words can be written. */
  readonly words: Uint32Array;
  /** Where the next message starts. */
  next = 0;

  constructor(size: number) {
    const buffer = new ArrayBuffer(size);
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
  }
}

/** Belongs to the message that is being written; one that is begun meanwhile gets a slab of its own. */
let idleSlab: Slab | null = null;

/**
 * Writes one request. All numbers are little-endian: netlink is in host order, and the platforms that we
 * support (x86-64, arm64) both are. It is the hot path of programming a host's thousands of classes, hence whole
 * words into memory that is shared, and nothing allocated for an attribute.
 */
export class MessageBuilder {
  #slab: Slab;
  #start: number;
  /** Where the next attribute starts, within the slab. */
  #end: number;

  constructor(type: number, flags: number) {
    const slab = idleSlab ?? new Slab(SLAB_BYTES);
    idleSlab = null;
    this.#slab = slab;
    this.#start = slab.next;
    this.#end = slab.next;
    // Length, type and flags, sequence number, port id.
    this.word(0)
      .word(type | ((flags | NLM_F_REQUEST) << 16))
      .word(0)
      .word(0);
  }

  /** Appends 32 bits of the fixed header that follows nlmsghdr. */
  word(value: number): this {
    this.#reserve(4);
    this.#slab.words[this.#end >> 2] = value;
    this.#end += 4;
    return this;
  }

  attribute(type: number, value: Uint8Array): this {
    const at = this.#open(type, value.length);
    this.#slab.bytes.set(value, at);
    return this;
  }

  /** An attribute that is a struct of 32-bit words. */
  words(type: number, values: readonly number[]): this {
    const at = this.#open(type, values.length * 4) >> 2;
    const { words } = this.#slab;
    for (let index = 0; index < values.length; index += 1) words[at + index] = values[index] ?? 0;
    return this;
  }

  u8(type: number, value: number): this {
    const at = this.#open(type, 1);
    this.#slab.bytes[at] = value;
    return this;
  }

  u16(type: number, value: number): this {
    const at = this.#open(type, 2);
    this.#slab.words[at >> 2] = value & 0xffff;
    return this;
  }

  u32(type: number, value: number): this {
    const at = this.#open(type, 4);
    this.#slab.words[at >> 2] = value;
    return this;
  }

  u64(type: number, value: bigint): this {
    return this.words(type, [Number(value & 0xffffffffn), Number(value >> 32n)]);
  }

  mac(type: number, mac: Mac): this {
    const at = this.#open(type, 6);
    const { bytes } = this.#slab;
    for (let index = 0; index < 6; index += 1) {
      const high = hexDigit(mac.charCodeAt(index * 3));
      bytes[at + index] = high * 16 + hexDigit(mac.charCodeAt(index * 3 + 1));
    }
    return this;
  }

  /** NUL-terminated ASCII. */
  text(type: number, value: string): this {
    return this.#ascii(type, value, 1);
  }

  /** Text as iproute2 writes the kinds of links: without the NUL, which the kernel does not need. */
  bareText(type: number, value: string): this {
    return this.#ascii(type, value, 0);
  }

  /** An attribute that holds what `write` appends. */
  nest(type: number, write: (builder: this) => void): this {
    const start = this.#end - this.#start;
    this.#open(type | NLA_F_NESTED, 0);
    write(this);
    // Meanwhile all of it may have moved.
    const at = this.#start + start;
    this.#slab.words[at >> 2] = (this.#end - at) | ((type | NLA_F_NESTED) << 16);
    return this;
  }

  /** The message's bytes; nothing can be appended any more. */
  finish(): Uint8Array {
    const slab = this.#slab;
    slab.words[this.#start >> 2] = this.#end - this.#start;
    slab.next = this.#end;
    idleSlab = slab;
    return slab.bytes.subarray(this.#start, this.#end);
  }

  #ascii(type: number, value: string, ending: 0 | 1): this {
    const at = this.#open(type, value.length + ending);
    const { bytes } = this.#slab;
    for (let index = 0; index < value.length; index += 1) {
      bytes[at + index] = value.charCodeAt(index);
    }
    return this;
  }

  /** Begins an attribute whose value has this many bytes; returns where it lies, with its padding zeroed. */
  #open(type: number, bytes: number): number {
    const padded = (bytes + 3) & ~3;
    this.#reserve(4 + padded);
    const { words } = this.#slab;
    const at = this.#end + 4;
    words[this.#end >> 2] = (4 + bytes) | (type << 16);
    if (padded > 0) words[(at + padded - 4) >> 2] = 0;
    this.#end = at + padded;
    return at;
  }

  #reserve(extra: number): void {
    if (this.#end + extra <= this.#slab.bytes.length) return;
    const length = this.#end - this.#start;
    const slab = new Slab(Math.max(SLAB_BYTES, (length + extra) * 2));
    slab.bytes.set(this.#slab.bytes.subarray(this.#start, this.#end));
    this.#slab = slab;
    this.#start = 0;
    this.#end = length;
  }
}

/** Of `0` to `9` and `a` to `f`, all that a Mac has. */
function hexDigit(code: number): number {
  return code < 0x3a ? code - 0x30 : code - 0x57;
}

/**
 * Splits a datagram into its messages.
 * @throws NetlinkError where a length is below the header's or beyond the datagram's end
 */
export function* parseMessages(datagram: Uint8Array): Generator<Message, void, void> {
  const view = viewOf(datagram);
  let offset = 0;
  while (datagram.length - offset >= HEADER_BYTES) {
    const length = view.getUint32(offset, true);
    if (length < HEADER_BYTES || offset + length > datagram.length) {
      throw malformed(
        "netlink",
        `a message claims ${length} of ${datagram.length - offset} bytes at offset ${offset}`,
      );
    }
    yield {
      type: view.getUint16(offset + 4, true),
      flags: view.getUint16(offset + 6, true),
      sequence: view.getUint32(offset + 8, true),
      portId: view.getUint32(offset + 12, true),
      body: datagram.subarray(offset + HEADER_BYTES, offset + length),
    };
    offset += (length + 3) & ~3;
  }
}

/** The bytes of a message's body behind its fixed header. @throws NetlinkError if it is shorter than that */
export function attributesOf(object: string, body: Uint8Array, headerBytes: number): Uint8Array {
  if (body.length < headerBytes) {
    throw malformed(object, `${body.length} bytes where a header of ${headerBytes} is due`);
  }
  return body.subarray(headerBytes);
}

/**
 * Joins requests into one send: numbers them `firstSequence`, +1, ... and asks for an acknowledgement of the last
 * only; the kernel runs them in order, goes on after an error, and reports errors by number all the same.
 */
export function joinMessages(messages: readonly Uint8Array[], firstSequence: number): Uint8Array {
  const size = messages.reduce((sum, message) => sum + ((message.length + 3) & ~3), 0);
  const words = new Uint32Array(size >> 2);
  const joined = new Uint8Array(words.buffer);
  let at = 0;
  let number = firstSequence;
  for (const message of messages) {
    joined.set(message, at);
    words[(at >> 2) + 2] = number;
    number += 1;
    at += (message.length + 3) & ~3;
  }
  const last = (at - (((messages.at(-1)?.length ?? 0) + 3) & ~3)) >> 2;
  words[last + 1] = (words[last + 1] ?? 0) | (NLM_F_ACK << 16);
  return joined;
}
