/** Netlink messages (struct nlmsghdr and what follows): writing requests, splitting what was received. */
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

/**
 * Writes one request. All numbers are little-endian: netlink is in host order, and the platforms that we
 * support (x86-64, arm64) both are.
 */
export class MessageBuilder {
  #bytes: Uint8Array;
  #view: DataView;
  #length = HEADER_BYTES;

  constructor(type: number, flags: number) {
    this.#bytes = new Uint8Array(512);
    this.#view = viewOf(this.#bytes);
    this.#view.setUint16(4, type, true);
    this.#view.setUint16(6, flags | NLM_F_REQUEST, true);
  }

  /** Appends raw bytes: the fixed header that follows nlmsghdr. */
  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  attribute(type: number, value: Uint8Array): this {
    const padded = (value.length + 3) & ~3;
    this.#reserve(4 + padded);
    this.#view.setUint16(this.#length, 4 + value.length, true);
    this.#view.setUint16(this.#length + 2, type, true);
    this.#bytes.set(value, this.#length + 4);
    this.#length += 4 + padded;
    return this;
  }

  u8(type: number, value: number): this {
    return this.attribute(type, Uint8Array.of(value));
  }

  u16(type: number, value: number): this {
    const bytes = new Uint8Array(2);
    viewOf(bytes).setUint16(0, value, true);
    return this.attribute(type, bytes);
  }

  u32(type: number, value: number): this {
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, value, true);
    return this.attribute(type, bytes);
  }

  u64(type: number, value: bigint): this {
    const bytes = new Uint8Array(8);
    viewOf(bytes).setBigUint64(0, value, true);
    return this.attribute(type, bytes);
  }

  /** NUL-terminated text. */
  text(type: number, value: string): this {
    return this.attribute(type, Buffer.from(`${value}\0`));
  }

  /** Text as iproute2 writes the kinds of links: without the NUL, which the kernel does not need. */
  bareText(type: number, value: string): this {
    return this.attribute(type, Buffer.from(value));
  }

  /** An attribute that holds what `write` appends. */
  nest(type: number, write: (builder: this) => void): this {
    const start = this.#length;
    this.attribute(type | NLA_F_NESTED, new Uint8Array(0));
    write(this);
    this.#view.setUint16(start, this.#length - start, true);
    return this;
  }

  finish(): Uint8Array {
    this.#view.setUint32(0, this.#length, true);
    return this.#bytes.slice(0, this.#length);
  }

  #reserve(extra: number): void {
    if (this.#length + extra <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + extra));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = viewOf(grown);
  }
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
  const joined = new Uint8Array(messages.reduce((sum, m) => sum + ((m.length + 3) & ~3), 0));
  const view = viewOf(joined);
  let offset = 0;
  for (const [index, message] of messages.entries()) {
    joined.set(message, offset);
    view.setUint32(offset + 8, (firstSequence + index) >>> 0, true);
    if (index === messages.length - 1) {
      view.setUint16(offset + 6, view.getUint16(offset + 6, true) | NLM_F_ACK, true);
    }
    offset += (message.length + 3) & ~3;
  }
  return joined;
}
