/** Ethernet addresses in their one canonical form: six lower-case hex pairs with colons. */
export type Mac = string & { readonly brand: "Mac" };

/** @returns the canonical form, or null if the text is not a MAC address */
export function parseMac(text: string): Mac | null {
  const clean = text.trim().toLowerCase().replaceAll("-", ":");
  return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(clean) ? (clean as Mac) : null;
}

/** A vNIC's source address must be an individual one; group addresses never send. */
export function isUnicast(mac: Mac): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0 && mac !== "00:00:00:00:00:00";
}

/** The six bytes on the wire. */
export function macBytes(mac: Mac): Uint8Array {
  return Uint8Array.from(mac.split(":"), (pair) => Number.parseInt(pair, 16));
}

/** Each byte as two digits: a look at a host of a thousand vNICs reads ten thousand addresses. */
const PAIRS: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

/** @throws RangeError unless there are six bytes */
export function macFromBytes(bytes: Uint8Array): Mac {
  if (bytes.length !== 6) throw new RangeError(`a MAC address has 6 bytes, not ${bytes.length}`);
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = bytes;
  return `${PAIRS[a]}:${PAIRS[b]}:${PAIRS[c]}:${PAIRS[d]}:${PAIRS[e]}:${PAIRS[f]}` as Mac;
}
