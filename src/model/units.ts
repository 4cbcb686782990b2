/**
 * Units. Inside uplinkd every rate is in bits per second (decimal, layer 2 bytes as HTB counts them),
 * every size in bytes, every time in milliseconds. libvirt's KiB/s, HTB's bytes/s and its 64 ns ticks
 * exist at the edges only and are converted here and nowhere else.
 */

/** A problem with a value's text; callers add where it stood. */
export class UnitError extends Error {
  override readonly name = "UnitError";
}

const RATE_FACTORS: Readonly<Record<string, number>> = {
  bit: 1,
  kbit: 1e3,
  mbit: 1e6,
  gbit: 1e9,
  tbit: 1e12,
};

/** The largest rate that is accepted anywhere, bits per second: above it a double loses whole bits. */
export const MAX_RATE_BITS_PER_SECOND = 10e12;

/**
 * Parses a rate such as `500mbit` or `2.5gbit` (decimal prefixes, per second).
 * @returns bits per second, an integer
 * @throws UnitError if the text is no rate or is out of range
 */
export function parseRate(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(text);
  const factor = match === null ? undefined : RATE_FACTORS[(match[2] ?? "").toLowerCase()];
  if (match === null || factor === undefined) {
    throw new UnitError(
      `'${clip(text)}' is not a rate; write a number with bit, kbit, mbit or gbit, such as 500mbit`,
    );
  }
  const bitsPerSecond = Math.round(Number(match[1]) * factor);
  if (!Number.isSafeInteger(bitsPerSecond) || bitsPerSecond > MAX_RATE_BITS_PER_SECOND) {
    throw new UnitError(`'${clip(text)}' is above the largest rate, 10tbit`);
  }
  return bitsPerSecond;
}

/** Writes a rate with the largest decimal prefix that leaves at most three decimals: `2.5gbit`. */
export function formatRate(bitsPerSecond: number): string {
  for (const [unit, factor] of [
    ["gbit", 1e9],
    ["mbit", 1e6],
    ["kbit", 1e3],
  ] as const) {
    if (Math.abs(bitsPerSecond) >= factor) {
      return `${Number((bitsPerSecond / factor).toFixed(3))}${unit}`;
    }
  }
  return `${Math.round(bitsPerSecond)}bit`;
}

const SIZE_FACTORS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  kib: 1024,
  mib: 1 << 20,
};

/** The largest burst, bytes: 2 s of 10 Gbit/s is far beyond any use, and ticks stay within 32 bits. */
const MAX_SIZE_BYTES = 256 * (1 << 20);

/**
 * Parses a size such as `1mb`, `64kib`, `1500b`.
 * @returns bytes
 * @throws UnitError
 */
export function parseSize(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(text);
  const factor = match === null ? undefined : SIZE_FACTORS[(match[2] ?? "").toLowerCase()];
  if (match === null || factor === undefined) {
    throw new UnitError(`'${clip(text)}' is not a size; write a number with b, kb, mb, kib or mib`);
  }
  const bytes = Math.round(Number(match[1]) * factor);
  if (bytes > MAX_SIZE_BYTES)
    throw new UnitError(`'${clip(text)}' is above the largest size, 256mib`);
  return bytes;
}

/** Writes a size with the largest decimal prefix that leaves it whole: `1mb`, `65536b`. */
export function formatSize(bytes: number): string {
  if (bytes >= 1e6 && bytes % 1e6 === 0) return `${bytes / 1e6}mb`;
  if (bytes >= 1e3 && bytes % 1e3 === 0) return `${bytes / 1e3}kb`;
  return `${bytes}b`;
}

const DURATION_FACTORS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3 };

/** The longest duration, milliseconds: 30 days, so that timers and sums stay exact. */
const MAX_DURATION_MS = 30 * 24 * 3600e3;

/**
 * Parses a duration such as `10s`, `500ms`, `5m`, `1h`.
 * @returns milliseconds
 * @throws UnitError
 */
export function parseDuration(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(text);
  const factor = match === null ? undefined : DURATION_FACTORS[(match[2] ?? "").toLowerCase()];
  if (match === null || factor === undefined) {
    throw new UnitError(`'${clip(text)}' is not a duration; write a number with ms, s, m or h`);
  }
  const ms = Math.round(Number(match[1]) * factor);
  if (ms > MAX_DURATION_MS) throw new UnitError(`'${clip(text)}' is longer than 30 days`);
  return ms;
}

/** Writes a duration for people: `350ms`, `12s`, `3m20s`, `5h10m`, `12d4h`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 120) {
    const hours = Math.floor(minutes / 60);
    if (hours >= 48) return `${Math.floor(hours / 24)}d${hours % 24}h`;
    return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`;
  }
  return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`;
}

/**
 * Parses a percentage such as `5%` or `2.5%`.
 * @returns a fraction, 0.05 for `5%`
 * @throws UnitError if the text is no percentage or above 100 %
 */
export function parsePercent(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(text);
  if (match === null) throw new UnitError(`'${clip(text)}' is not a percentage; write it as 5%`);
  // Rounded, or 7% would become 0.07000000000000001.
  const fraction = Number((Number(match[1]) / 100).toFixed(6));
  if (fraction > 1) throw new UnitError(`'${clip(text)}' is above 100%`);
  return fraction;
}

/** Writes a fraction as a percentage: `5%`. */
export function formatPercent(fraction: number): string {
  return `${Number((fraction * 100).toFixed(4))}%`;
}

/** libvirt's VIR_MIGRATE_PARAM_BANDWIDTH is in whole mebibytes per second. */
export function bitsPerSecondFromMebibytesPerSecond(mebibytesPerSecond: number): number {
  return mebibytesPerSecond * 1024 * 1024 * 8;
}

/** The other way, never more than what is given. */
export function mebibytesPerSecondBelow(bitsPerSecond: number): number {
  return Math.floor(bitsPerSecond / bitsPerSecondFromMebibytesPerSecond(1));
}

/** libvirt's `<bandwidth average>` is in kibibytes per second (libvirt: formatdomain, QoS). */
export function bitsPerSecondFromKibibytesPerSecond(kibibytesPerSecond: number): number {
  return kibibytesPerSecond * 1024 * 8;
}

/** HTB's rates are bytes per second; a class can't have less than one (htb_change_class refuses 0). */
export function bytesPerSecondFromBits(bitsPerSecond: number): number {
  return Math.max(1, Math.floor(bitsPerSecond / 8));
}

/** A rate or an amount as Prometheus has it, in bytes; 0 stays 0, and nothing is rounded. */
export function bytesFromBits(bits: number): number {
  return bits / 8;
}

/** The inverse of {@link bytesPerSecondFromBits}. */
export function bitsPerSecondFromBytes(bytesPerSecond: number): number {
  return bytesPerSecond * 8;
}

/** Rounds down to what HTB can express (whole bytes per second), so that plan and kernel compare equal. */
export function quantizeRate(bitsPerSecond: number): number {
  return bytesPerSecondFromBits(bitsPerSecond) * 8;
}

/**
 * HTB's buffer and cbuffer: the time that `bytes` take at `bitsPerSecond`, in psched ticks of 64 ns
 * (include/net/pkt_sched.h, PSCHED_SHIFT 6). Computed here, since iproute2 6.1 computes 0 at 100 Gbit/s.
 */
export function ticksForBytes(bytes: number, bitsPerSecond: number): number {
  const ns = (bytes * 8e9) / Math.max(8, bitsPerSecond);
  return Math.min(0xffffffff, Math.max(1, Math.ceil(ns / 64)));
}

/** Text from outside is never repeated at length in a message, nor with control characters in it. */
export function clip(text: string, length = 60): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the purpose
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, "?");
  return clean.length > length ? `${clean.slice(0, length)}…` : clean;
}
