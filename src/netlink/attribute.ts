/** Reading of netlink attributes (struct nlattr): length, type, value, padded to four bytes. */
import { NetlinkError } from "../model/errors.ts";

/** NLA_F_NESTED and NLA_F_NET_BYTEORDER are flags within the type (include/uapi/linux/netlink.h). */
const TYPE_MASK = 0x3fff;
const HEADER_BYTES = 4;

/**
 * One level of attributes by type. Getters give null for what is absent and throw NetlinkError for what is
 * shorter than its type, so that a decoder never reads beyond its message, whatever lengths claim. Only places are
 * noted, values are looked at when asked for: a dump of a thousand vNICs holds some hundred thousand attributes.
 */
export class Attributes {
  readonly #object: string;
  readonly #view: DataView;
  /** Where each type's value starts; its header lies right before. */
  readonly #starts = new Map<number, number>();

  private constructor(object: string, view: DataView, start: number, end: number) {
    this.#object = object;
    this.#view = view;
    let offset = start;
    // Fewer bytes than a header at the end are padding (nla_ok in include/net/netlink.h).
    while (end - offset >= HEADER_BYTES) {
      const length = view.getUint16(offset, true);
      const type = view.getUint16(offset + 2, true) & TYPE_MASK;
      if (length < HEADER_BYTES || offset + length > end) {
        throw malformed(object, `attribute ${type} claims ${length} of ${end - offset} bytes`);
      }
      this.#starts.set(type, offset + HEADER_BYTES);
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
    return this.#starts.has(type);
  }

  types(): readonly number[] {
    return [...this.#starts.keys()];
  }

  bytes(type: number): Uint8Array | null {
    const start = this.#starts.get(type);
    if (start === undefined) return null;
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
    const value = this.bytes(type);
    if (value === null) return null;
    const end = value.indexOf(0);
    const { buffer, byteOffset, length } = value;
    return Buffer.from(buffer, byteOffset, end < 0 ? length : end).toString("utf8");
  }

  nested(type: number): Attributes | null {
    const start = this.#starts.get(type);
    if (start === undefined) return null;
    return new Attributes(this.#object, this.#view, start, start + this.#lengthAt(start));
  }

  #lengthAt(start: number): number {
    return this.#view.getUint16(start - HEADER_BYTES, true) - HEADER_BYTES;
  }

  #fixed(type: number, length: number): number | null {
    const start = this.#starts.get(type);
    if (start === undefined) return null;
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
