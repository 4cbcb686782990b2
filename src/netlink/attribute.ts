/** Reading of netlink attributes (struct nlattr): length, type, value, padded to four bytes. */
import { NetlinkError } from "../model/errors.ts";

/** NLA_F_NESTED and NLA_F_NET_BYTEORDER are flags within the type (include/uapi/linux/netlink.h). */
const TYPE_MASK = 0x3fff;
const HEADER_BYTES = 4;

/**
 * One level of attributes by type. Getters give null for what is absent and throw NetlinkError for what is
 * shorter than its type, so that a decoder never reads beyond its message, whatever lengths claim. Nothing is noted, a
 * value is looked for when asked for: a dump of a thousand vNICs holds some hundred thousand attributes, a level of it
 * a dozen at most, and a Map for each cost more than all lookups.
 */
export class Attributes {
  readonly #object: string;
  readonly #view: DataView;
  readonly #start: number;
  readonly #end: number;

  private constructor(object: string, view: DataView, start: number, end: number) {
    this.#object = object;
    this.#view = view;
    this.#start = start;
    this.#end = end;
    for (let offset = start; end - offset >= HEADER_BYTES; ) {
      const length = view.getUint16(offset, true);
      if (length < HEADER_BYTES || offset + length > end) {
        const type = view.getUint16(offset + 2, true) & TYPE_MASK;
        throw malformed(object, `attribute ${type} claims ${length} of ${end - offset} bytes`);
      }
      offset += (length + 3) & ~3;
    }
  }

  /**
   * @param object what the message is about, for errors
   * @throws NetlinkError where a length exceeds what is there or is below an attribute's own header
   */
  static parse(object: string, bytes: Uint8Array): Attributes {
    return new Attributes(object, viewOf(bytes), 0, bytes.length);
  }

  has(type: number): boolean {
    return this.#find(type) >= 0;
  }

  types(): readonly number[] {
    const types = new Set<number>();
    for (let offset = this.#start; this.#end - offset >= HEADER_BYTES; ) {
      types.add(this.#view.getUint16(offset + 2, true) & TYPE_MASK);
      offset += (this.#view.getUint16(offset, true) + 3) & ~3;
    }
    return [...types];
  }

  bytes(type: number): Uint8Array | null {
    const start = this.#find(type);
    if (start < 0) return null;
    const { buffer, byteOffset } = this.#view;
    return new Uint8Array(buffer, byteOffset + start, this.#lengthAt(start));
  }

  u8(type: number): number | null {
    const start = this.#fixed(type, 1);
    return start === null ? null : this.#view.getUint8(start);
  }

  u16(type: number): number | null {
    const start = this.#fixed(type, 2);
    return start === null ? null : this.#view.getUint16(start, true);
  }

  u32(type: number): number | null {
    const start = this.#fixed(type, 4);
    return start === null ? null : this.#view.getUint32(start, true);
  }

  u64(type: number): bigint | null {
    const start = this.#fixed(type, 8);
    return start === null ? null : this.#view.getBigUint64(start, true);
  }

  /** A struct of at least `bytes`; the kernel may append fields. */
  struct(type: number, bytes: number): DataView | null {
    const start = this.#fixed(type, bytes);
    if (start === null) return null;
    const { buffer, byteOffset } = this.#view;
    return new DataView(buffer, byteOffset + start, this.#lengthAt(start));
  }

  /** Text up to the first NUL. */
  text(type: number): string | null {
    const start = this.#find(type);
    if (start < 0) return null;
    const end = start + this.#lengthAt(start);
    let text = "";
    for (let at = start; at < end; at += 1) {
      const code = this.#view.getUint8(at);
      if (code === 0) return text;
      // Names of kinds and devices are short and ASCII: for anything else the decoder is worth its cost.
      if (code >= 0x80) return this.#utf8(start, end);
      text += String.fromCharCode(code);
    }
    return text;
  }

  nested(type: number): Attributes | null {
    const start = this.#find(type);
    if (start < 0) return null;
    return new Attributes(this.#object, this.#view, start, start + this.#lengthAt(start));
  }

  /** Where a type's value starts, its header right before it; the last of several (nla_parse), -1 for none. */
  #find(type: number): number {
    const view = this.#view;
    let found = -1;
    // Fewer bytes than a header at the end are padding (nla_ok in include/net/netlink.h).
    for (let offset = this.#start; this.#end - offset >= HEADER_BYTES; ) {
      if ((view.getUint16(offset + 2, true) & TYPE_MASK) === type) found = offset + HEADER_BYTES;
      offset += (view.getUint16(offset, true) + 3) & ~3;
    }
    return found;
  }

  #lengthAt(start: number): number {
    return this.#view.getUint16(start - HEADER_BYTES, true) - HEADER_BYTES;
  }

  #utf8(start: number, end: number): string {
    const { buffer, byteOffset } = this.#view;
    const bytes = Buffer.from(buffer, byteOffset + start, end - start);
    const nul = bytes.indexOf(0);
    return bytes.toString("utf8", 0, nul < 0 ? bytes.length : nul);
  }

  #fixed(type: number, length: number): number | null {
    const start = this.#find(type);
    if (start < 0) return null;
    const actual = this.#lengthAt(start);
    if (actual < length) {
      throw malformed(this.#object, `attribute ${type} has ${actual} bytes instead of ${length}`);
    }
    return start;
  }
}

/** A view of the bytes where they lie; a Uint8Array may start anywhere in its buffer. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The kernel's bytes don't hold what they must: reading the world anew is all that can help. */
export function malformed(object: string, message: string): NetlinkError {
  return new NetlinkError(object, 0, "", `malformed netlink message about ${object}: ${message}`);
}
