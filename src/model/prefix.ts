/** IPv4 and IPv6 prefixes in one spelling, so that equal ones are equal as text. */

export interface Prefix {
  readonly family: 4 | 6;
  /** 4 or 16 bytes in network order; zero beyond the length. */
  readonly address: Uint8Array;
  /** Bits. */
  readonly length: number;
}

/** Reads `10.1.2.0/24`, `fd00::/8` or a single address. @returns null for anything else; bits beyond the length are dropped */
export function parsePrefix(text: string): Prefix | null {
  const [addressText = "", lengthText, ...more] = text.split("/");
  const family = addressText.includes(":") ? 6 : 4;
  const address = family === 6 ? parseIpv6(addressText) : parseIpv4(addressText);
  const most = family === 6 ? 128 : 32;
  if (address === null || more.length > 0) return null;
  if (lengthText !== undefined && !/^\d{1,3}$/.test(lengthText)) return null;
  const length = lengthText === undefined ? most : Number(lengthText);
  if (length > most) return null;
  const mask = prefixMask({ family, length });
  return { family, length, address: address.map((byte, index) => byte & (mask[index] ?? 0)) };
}

/** The one spelling: `10.1.2.0/24`, `fd00::/8` (RFC 5952, always with a length). */
export function formatPrefix({ family, address, length }: Prefix): string {
  return `${family === 4 ? address.join(".") : formatIpv6(address)}/${length}`;
}

/** The length as a mask of the address' size. */
export function prefixMask({ family, length }: Pick<Prefix, "family" | "length">): Uint8Array {
  return Uint8Array.from({ length: family === 4 ? 4 : 16 }, (_, index) => {
    const bits = Math.min(8, Math.max(0, length - index * 8));
    return (0xff << (8 - bits)) & 0xff;
  });
}

/** The inverse of {@link prefixMask}; null for a mask with a gap. */
export function prefixLength(mask: Uint8Array): number | null {
  let length = 0;
  while (length < mask.length * 8 && ((mask[length >> 3] ?? 0) & (0x80 >> (length & 7))) !== 0)
    length += 1;
  const family = mask.length === 4 ? 4 : 6;
  return prefixMask({ family, length }).every((byte, index) => byte === mask[index])
    ? length
    : null;
}

function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))) return null;
  const bytes = parts.map(Number);
  return bytes.every((byte) => byte <= 255) ? Uint8Array.from(bytes) : null;
}

function parseIpv6(text: string): Uint8Array | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const [left, right] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const head = left ?? [];
  const tail = right ?? [];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const groups = [...head, ...Array.from({ length: missing }, () => "0"), ...tail];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null;
  return Uint8Array.from(groups.map((group) => Number.parseInt(group, 16)).flatMap(bytesOf));
}

function bytesOf(group: number): [number, number] {
  return [group >> 8, group & 0xff];
}

function formatIpv6(address: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((address[index * 2] ?? 0) << 8) | (address[index * 2 + 1] ?? 0)).toString(16),
  );
  // The longest run of zeros, the first of several; one zero alone is written out.
  let from = -1;
  let count = 1;
  for (let start = 0; start < 8; start += 1) {
    let end = start;
    while (groups[end] === "0") end += 1;
    if (end - start > count) [from, count] = [start, end - start];
  }
  if (from < 0) return groups.join(":");
  return `${groups.slice(0, from).join(":")}::${groups.slice(from + count).join(":")}`;
}
