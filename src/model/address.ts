/** IPv4 and IPv6 addresses as their bytes on the wire. */

/** @returns 4 bytes for IPv4, 16 for IPv6; null if the text is neither. No zones, no prefixes. */
export function parseAddress(text: string): Uint8Array | null {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** Whether one host can have it as its own: neither unspecified, loopback, multicast nor broadcast. */
export function isHostAddress(bytes: Uint8Array): boolean {
  const [first = 0] = bytes;
  if (bytes.length === 4) return first !== 0 && first !== 127 && first < 224;
  return first !== 0xff && bytes.subarray(0, 15).some((byte) => byte !== 0);
}

function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))) return null;
  const numbers = parts.map(Number);
  return numbers.every((number) => number <= 255) ? Uint8Array.from(numbers) : null;
}

function parseIpv6(text: string): Uint8Array | null {
  const halves = text.toLowerCase().split("::");
  if (halves.length > 2) return null;
  const [head, tail] = halves.map((half) => (half === "" ? [] : half.split(":")));
  if (head === undefined) return null;
  const given = [...head, ...(tail ?? [])];
  if (!given.every((group) => /^[0-9a-f]{1,4}$/.test(group))) return null;
  // "::" stands for one group of zeros at least.
  if (tail === undefined ? given.length !== 8 : given.length > 7) return null;
  const zeros = Array.from({ length: 8 - given.length }, () => "0");
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (const [index, group] of [...head, ...zeros, ...(tail ?? [])].entries())
    view.setUint16(index * 2, Number.parseInt(group, 16));
  return bytes;
}
