/** Looks for inputs that a target can't take: changes of those that it is known by, and of those that reached something new. */
import type { Random } from "../simulation/random.ts";
import type { Target } from "./targets.ts";

/** An input that broke something. */
export interface Find {
  readonly input: Uint8Array;
  readonly error: string;
}

export interface Hunt {
  readonly executions: number;
  /** Inputs that reached what none before did. */
  readonly kept: readonly Uint8Array[];
  readonly find: Find | null;
}

export interface HuntOptions {
  readonly random: Random;
  /** Whether to go on; asked after each batch. */
  readonly goesOn: (executions: number) => boolean;
  /** Names what ran since it was last asked. */
  readonly reached: () => Promise<ReadonlySet<string>>;
}

/** Inputs between two looks at what they reached. */
const BATCH = 1000;
/** What is longer is no more likely to find anything. */
const MAX_BYTES = 4096;
/** One input may take so long. */
const MAX_MS = 1000;

export async function hunt(
  target: Target,
  seeds: readonly Uint8Array[],
  { random, goesOn, reached }: HuntOptions,
): Promise<Hunt> {
  const corpus = [...seeds];
  const kept: Uint8Array[] = [];
  let executions = 0;
  for (const seed of seeds) {
    const find = await attempt(target, seed);
    executions += 1;
    if (find !== null) return { executions, kept, find };
  }
  const seen = new Set(await reached());
  while (goesOn(executions)) {
    const batch = Array.from({ length: BATCH }, () => mutate(corpus, random));
    for (const input of batch) {
      const find = await attempt(target, input);
      executions += 1;
      if (find !== null) return { executions, kept, find };
    }
    const fresh = without(await reached(), seen);
    for (const name of fresh) seen.add(name);
    for (const input of await choose(target, batch, fresh, reached)) {
      corpus.push(input);
      kept.push(input);
    }
  }
  return { executions, kept, find: null };
}

/** Of some inputs few enough that together they reach all of these: by halves, since a look costs more than an input. */
async function choose(
  target: Target,
  inputs: readonly Uint8Array[],
  wanted: Set<string>,
  reached: HuntOptions["reached"],
): Promise<readonly Uint8Array[]> {
  if (wanted.size === 0 || inputs.length === 0) return [];
  for (const input of inputs) await attempt(target, input);
  const found = [...(await reached())].filter((name) => wanted.has(name));
  if (found.length === 0) return [];
  if (inputs.length === 1) {
    for (const name of found) wanted.delete(name);
    return inputs;
  }
  const half = inputs.length >> 1;
  const first = await choose(target, inputs.slice(0, half), wanted, reached);
  return [...first, ...(await choose(target, inputs.slice(half), wanted, reached))];
}

function without(all: ReadonlySet<string>, known: ReadonlySet<string>): Set<string> {
  return new Set([...all].filter((name) => !known.has(name)));
}

async function attempt(target: Target, input: Uint8Array): Promise<Find | null> {
  const startedAtMs = performance.now();
  try {
    await target(input);
  } catch (error) {
    return {
      input,
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    };
  }
  const tookMs = performance.now() - startedAtMs;
  return tookMs > MAX_MS ? { input, error: `took ${Math.round(tookMs)} ms` } : null;
}

/** Bytes that mean something somewhere: ends, signs, quotes, all ones. */
const BYTES = [0, 1, 0x7f, 0x80, 0xff, ...new TextEncoder().encode(" \n\t\"'<>&/:;,-{}[]#%*!")];
/** Lengths and counts that lie. */
const WORDS = [0, 1, 3, 4, 5, 16, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];
const TEXTS = [
  ...["18446744073709551616", "-1", "1e999", "NaN", "0x10", "toString", "__proto__", "null"],
  ...["]]>", "<!DOCTYPE a [", "<![CDATA[", "&lt;", "&#0;", 'xmlns="urn:uplinkd:domain:1"'],
  ...["&a [*a]", "<<: *a", "!!binary", "- ", ": ", "\n---\n", "%00", "../", "\u2028", "\ud800"],
].map((text) => new TextEncoder().encode(text));

/** An input changed in one to four places. */
function mutate(corpus: readonly Uint8Array[], random: Random): Uint8Array {
  let input = Uint8Array.from(random.pick(corpus));
  for (let turn = random.between(1, 4); turn > 0; turn -= 1) input = change(input, corpus, random);
  return input.subarray(0, MAX_BYTES);
}

function change(
  input: Uint8Array<ArrayBuffer>,
  corpus: readonly Uint8Array[],
  random: Random,
): Uint8Array<ArrayBuffer> {
  const at = random.between(0, input.length);
  const end = Math.min(input.length, at + random.between(1, random.pick([2, 8, 64])));
  const put = (bytes: Uint8Array, from: number, to: number) =>
    Uint8Array.of(...input.subarray(0, from), ...bytes, ...input.subarray(to));
  switch (random.between(0, 7)) {
    case 0:
      return put(Uint8Array.of(random.pick(BYTES)), at, at + 1);
    case 1:
      return put(Uint8Array.of((input[at] ?? 0) ^ (1 << random.between(0, 7))), at, at + 1);
    case 2:
      return put(new Uint8Array(), at, end);
    case 3:
      return put(input.subarray(at, end), at, at);
    case 4:
      return put(random.pick(TEXTS), at, random.pick([at, end]));
    case 5: {
      // Where netlink has its lengths and types, and everything else by fours.
      const bytes = new Uint8Array(random.pick([2, 4]));
      const word = random.pick(WORDS);
      for (const place of bytes.keys()) bytes[place] = word >>> (8 * place);
      const aligned = at - (at % 4);
      return put(bytes, aligned, aligned + bytes.length);
    }
    case 6: {
      const other = random.pick(corpus);
      const from = random.between(0, other.length);
      return put(other.subarray(from, from + random.between(1, 200)), at, random.pick([at, end]));
    }
    default:
      return input.slice(0, at);
  }
}
