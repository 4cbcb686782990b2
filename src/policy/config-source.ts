/**
 * Where each value of the configuration comes from: the configuration in the words of uplinkd.yaml, each value with
 * the file and line that gives it, or that it is a default. Pure.
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
} from "yaml";

export interface ConfigText {
  readonly file: string;
  readonly text: string;
}

/** One value by its path of keys, `teams[bond0].headroom`, and who gives it; null: a default. */
export interface SourcedValue {
  readonly path: string;
  readonly value: unknown;
  readonly source: { readonly file: string; readonly line: number } | null;
}

/** By which key the entries of a list are the same in all files. */
const IDENTITIES = ["bond", "name", "domain"];
/** What may be written in two ways (config.ts): the effective configuration has the first. */
const OTHER_WAYS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  admission: [["admission", "mode"], ["admission"]],
  survive: [["survive"], ["admission", "survive"]],
};

interface Parsed {
  readonly file: string;
  readonly root: Node | null;
  readonly document: Document;
  readonly lines: LineCounter;
}

/**
 * @param effective the configuration that holds, as YAML
 * @param files in the order of reading; they have been read without an error before
 * @returns the same YAML with the source behind each value, and the values by their paths
 */
export function annotateSources(
  effective: string,
  files: readonly ConfigText[],
): { readonly text: string; readonly values: readonly SourcedValue[] } {
  const parsed = files.map(({ file, text }): Parsed => {
    const lines = new LineCounter();
    const document = parseDocument(text, { lineCounter: lines });
    return { file, root: document.contents as Node | null, document, lines };
  });
  const document = parseDocument(effective);
  const values: SourcedValue[] = [];
  walk(document.contents, [], "", (keys, path, node) => {
    const source = findSource(keys, parsed);
    values.push({ path, value: node.toJS(document), source });
    node.comment = ` ${source === null ? "default" : `${source.file}:${source.line}`}`;
  });
  return { text: document.toString({ lineWidth: 0 }), values };
}

/** A key of a map, or an entry of a list by its identity or else its place. */
type Step =
  | string
  | { readonly identity: string; readonly value: string }
  | { readonly index: number };

type Visit = (keys: readonly Step[], path: string, node: Node) => void;

/** Every value; a list of plain words counts as one, and is written on one line. */
function walk(node: unknown, keys: readonly Step[], path: string, visit: Visit): void {
  if (isMap(node)) {
    for (const pair of node.items as Pair[]) {
      const key = String(isScalar(pair.key) ? pair.key.value : pair.key);
      walk(pair.value, [...keys, key], path === "" ? key : `${path}.${key}`, visit);
    }
  } else if (isSeq(node) && node.items.some((item) => isMap(item))) {
    for (const [index, item] of node.items.entries()) {
      const identity = identityOf(item);
      const step = identity ?? { index };
      const shown = identity === null ? String(index) : identity.value;
      walk(item, [...keys, step], `${path}[${shown}]`, visit);
    }
  } else if (isSeq(node)) {
    node.flow = true;
    visit(keys, path, node);
  } else if (isScalar(node)) visit(keys, path, node);
}

function identityOf(item: unknown): { readonly identity: string; readonly value: string } | null {
  if (!isMap(item)) return null;
  for (const identity of IDENTITIES) {
    const value = item.get(identity);
    if (typeof value === "string") return { identity, value };
  }
  return null;
}

/** The last file that states it. A team's entry in a later file replaces that of an earlier one, whole. */
function findSource(keys: readonly Step[], files: readonly Parsed[]): SourcedValue["source"] {
  const ways = keys.length === 1 && typeof keys[0] === "string" ? OTHER_WAYS[keys[0]] : undefined;
  for (const file of files.toReversed()) {
    for (const way of ways ?? [keys]) {
      const { found, reached } = resolve(file, way);
      if (found !== null) return placeOf(file, found);
      // The entry is this file's, and doesn't state the value.
      if (reached && keys[0] === "teams") return null;
    }
  }
  return null;
}

function placeOf({ file, lines }: Parsed, node: Node): SourcedValue["source"] {
  return { file, line: lines.linePos(node.range?.[0] ?? 0).line };
}

/** @returns the node, or null; and whether a list's entry on the way was there */
function resolve(
  { document, root }: Parsed,
  keys: readonly Step[],
): { readonly found: Node | null; readonly reached: boolean } {
  let node: unknown = root;
  let reached = false;
  for (const key of keys) {
    if (isAlias(node)) node = node.resolve(document);
    if (typeof key === "string") {
      node = isMap(node) ? node.get(key, true) : undefined;
    } else if (isSeq(node)) {
      node = node.items.find((item, index) => isSameEntry(item, key, index));
      reached ||= node !== undefined;
    } else return { found: null, reached };
  }
  return { found: isNode(node) ? node : null, reached };
}

function isSameEntry(item: unknown, key: Exclude<Step, string>, index: number): boolean {
  if ("index" in key) return index === key.index;
  // An uplink may be its name alone.
  if (isScalar(item)) return key.identity === "name" && item.value === key.value;
  return isMap(item) && item.get(key.identity) === key.value;
}

function isNode(node: unknown): node is Node {
  return (isScalar(node) || isMap(node) || isSeq(node)) && Array.isArray((node as Node).range);
}
