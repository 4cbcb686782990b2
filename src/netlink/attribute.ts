/** Reading of netlink attributes (struct nlattr): length, type, value, padded to four bytes. */
import { NetlinkError } from "../model/errors.ts";

/** NLA_F_NESTED and NLA_F_NET_BYTEORDER are flags within the type (include/uapi/linux/netlink.h). */
const TYPE_MASK = 0x3fff;
const HEADER_BYTES = 4;

/**
 * One level of attributes by type. Getters give null for what is absent and throw NetlinkError for what is
 * shorter than its type, so that a decoder never reads beyond its message, whatever lengths claim.
 */
export class Attributes {
  readonly #values: ReadonlyMap<number, Uint8Array>;
  readonly #object: string;

  private constructor(object: string, values: ReadonlyMap<number, Uint8Array>) {
    this.#object = object;
    this.#values = values;
  }

  /**
   * @param object what the message is about, for errors
   * @throws NetlinkError where a length exceeds what is there or is below an attribute's own header
   */
  static parse(object: string, bytes: Uint8Array): Attributes {
    const values = new Map<number, Uint8Array>();
    const view = viewOf(bytes);
    let offset = 0;
    // Fewer bytes than a header at the end are padding (nla_ok in include/net/netlink.h).
    while (bytes.length - offset >= HEADER_BYTES) {
      const length = view.getUint16(offset, true);
      const type = view.getUint16(offset + 2, true) & TYPE_MASK;
      if (length < HEADER_BYTES || offset + length > bytes.length) {
        throw malformed(
          object,
          `attribute ${type} claims ${length} of ${bytes.length - offset} bytes`,
        );
      }
      values.set(type, bytes.subarray(offset + HEADER_BYTES, offset + length));
      offset += (length + 3) & ~3;
    }
    return new Attributes(object, values);
  }

  has(type: number): boolean {
    return this.#values.has(type);
  }

  types(): readonly number[] {
    return [...this.#values.keys()];
  }

  bytes(type: number): Uint8Array | null {
    return this.#values.get(type) ?? null;
  }

  u8(type: number): number | null {
    return this.#fixed(type, 1)?.getUint8(0) ?? null;
  }

  u16(type: number): number | null {
    return this.#fixed(type, 2)?.getUint16(0, true) ?? null;
  }

  u32(type: number): number | null {
    return this.#fixed(type, 4)?.getUint32(0, true) ?? null;
  }

  u64(type: number): bigint | null {
    return this.#fixed(type, 8)?.getBigUint64(0, true) ?? null;
  }

  /** A struct of at least `bytes`; the kernel may append fields. */
  struct(type: number, bytes: number): DataView | null {
    return this.#fixed(type, bytes);
  }

  /** Text up to the first NUL. */
  text(type: number): string | null {
    const value = this.#values.get(type);
    if (value === undefined) return null;
    const end = value.indexOf(0);
    return Buffer.from(end < 0 ? value : value.subarray(0, end)).toString("utf8");
  }

  nested(type: number): Attributes | null {
    const value = this.#values.get(type);
    return value === undefined ? null : Attributes.parse(this.#object, value);
  }

  #fixed(type: number, length: number): DataView | null {
    const value = this.#values.get(type);
    if (value === undefined) return null;
    if (value.length < length) {
      throw malformed(
        this.#object,
        `attribute ${type} has ${value.length} bytes instead of ${length}`,
      );
    }
    return viewOf(value);
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
