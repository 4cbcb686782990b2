/**
 * YAML files whose mistakes are named as compilers name them: FILE:LINE:COLUMN, the path of keys, what is wrong
 * and what was probably meant. YAML 1.2 by the `yaml` library, shapes by zod.
 */
import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
} from "yaml";
import * as z from "zod";
import { PolicyError } from "../model/errors.ts";
import { clip, UnitError } from "../model/units.ts";
import { nearestWord } from "../model/word.ts";

/** No hand-written configuration comes near it, and parsing stays below a second. */
export const MAX_FILE_BYTES = 1 << 20;
/** How often aliases may be expanded; yaml's own default, far above what a person writes. */
const MAX_ALIASES = 100;
/** More mistakes than these aren't read by anyone. */
const MAX_ERRORS = 50;

/** Where a value stands, by its path of keys: for checks that look at several values together. */
export type Locate = (path: readonly PropertyKey[]) => {
  file: string;
  line: number;
  column: number;
  path: string;
};

export type YamlResult<T> =
  | { readonly ok: true; readonly value: T; readonly at: Locate }
  | { readonly ok: false; readonly errors: readonly PolicyError[] };

/**
 * Parses one YAML document and checks it against a schema. Pure. An empty document counts as an empty map.
 * @param file the name used in errors
 */
export function parseYaml<T>(file: string, text: string, schema: z.ZodType<T>): YamlResult<T> {
  const fail = (message: string): YamlResult<T> => ({
    ok: false,
    errors: [new PolicyError({ file, line: 0, column: 0, path: "" }, message)],
  });
  if (Buffer.byteLength(text) > MAX_FILE_BYTES) return fail("is larger than 1 MiB");

  const lines = new LineCounter();
  let document: Document.Parsed;
  let value: unknown;
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "error" });
    // The parser goes on after running out of stack and then reports an error at each bracket.
    if (document.errors.some((error) => /call stack/.test(error.message))) {
      return fail("is nested too deeply");
    }
    // Warnings too: a tag that is unknown here means that the file says more than we would read.
    const errors = [...document.errors, ...document.warnings].map((error) => {
      const { line, col } = lines.linePos(error.pos[0]);
      return new PolicyError({ file, line, column: col, path: "" }, syntaxMessage(error));
    });
    if (errors.length > 0) return { ok: false, errors: errors.slice(0, MAX_ERRORS) };
    value = document.toJS({ maxAliasCount: MAX_ALIASES }) ?? {};
  } catch (error) {
    // The library reports aliases it can't or won't expand as ReferenceError, too deep nesting as RangeError.
    if (error instanceof ReferenceError)
      return fail(`has bad aliases: ${clip(error.message, 200)}`);
    if (error instanceof RangeError) return fail("is nested too deeply");
    throw error;
  }

  const at = (path: readonly PropertyKey[], wantKey = false): ReturnType<Locate> => {
    const offset = offsetOf(document, path, wantKey);
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col, path: writePath(path) };
  };
  const checked = schema.safeParse(value, { reportInput: true });
  if (checked.success) return { ok: true, value: checked.data, at };
  const errors = checked.error.issues.flatMap((issue) => explain(issue, [], at));
  errors.sort((a, b) => a.line - b.line || a.column - b.column);
  return { ok: false, errors: errors.slice(0, MAX_ERRORS) };
}

/**
 * A map whose unknown keys are errors, with a suggestion. zod's own strictObject doesn't tell an error's reader
 * which keys there are, so the list travels in the message and {@link explain} takes it out again.
 */
export function strictMap<Shape extends z.ZodRawShape>(shape: Shape) {
  const known = Object.keys(shape).join(" ");
  return z.strictObject(shape, {
    error: (issue) => (issue.code === "unrecognized_keys" ? known : undefined),
  });
}

/** A text with a unit, parsed by one of model/units' functions. */
export function unit(
  parse: (text: string) => number,
  about: { readonly description: string; readonly examples: readonly string[] },
) {
  const [example] = about.examples;
  return z
    .string({
      error: (issue) =>
        typeof issue.input === "number"
          ? `needs a unit, such as ${example}`
          : `must be text such as ${example}`,
    })
    .meta({ description: about.description, examples: [...about.examples] })
    .transform((text, context) => {
      try {
        return parse(text);
      } catch (error) {
        if (!(error instanceof UnitError)) throw error;
        context.addIssue({ code: "custom", message: error.message });
        return z.NEVER;
      }
    });
}

type Issue = z.core.$ZodIssue;
type At = (path: readonly PropertyKey[], wantKey?: boolean) => ReturnType<Locate>;

/** One issue of zod's as errors of ours, each at its own place. */
function explain(issue: Issue, prefix: readonly PropertyKey[], at: At): PolicyError[] {
  const path = [...prefix, ...issue.path];
  switch (issue.code) {
    case "unrecognized_keys": {
      const known = issue.message.split(" ");
      return issue.keys.map((key) => {
        const place = at([...path, key], true);
        const meant = nearestWord(key, known);
        const hint = meant === null ? `known: ${known.join(", ")}` : `did you mean '${meant}'?`;
        return new PolicyError(place, `unknown key; ${hint}`);
      });
    }
    case "invalid_union": {
      const branch = likeliestBranch(issue.errors, issue.input);
      if (branch !== null) return branch.flatMap((inner) => explain(inner, path, at));
      return [new PolicyError(at(path), `must be ${listing(expectedKinds(issue.errors))}`)];
    }
    case "invalid_value":
      return [new PolicyError(at(path), choiceMessage(issue.values.map(String), issue.input))];
    case "invalid_type": {
      const missing = issue.input === undefined;
      if (missing) return [new PolicyError(at(path), "is missing")];
      return [new PolicyError(at(path), typeMessage(issue))];
    }
    default:
      return [new PolicyError(at(path), issue.message)];
  }
}

/**
 * What to complain about of a union: of the branches whose kind of value fits, the words that are known if only
 * words are, else the one that got furthest; null where no kind fits.
 */
function likeliestBranch(
  branches: readonly (readonly Issue[])[],
  input: unknown,
): readonly Issue[] | null {
  const fitting = branches.filter((issues) => !issues.some(isWrongKind));
  const words = fitting.flatMap((issues) => issues.filter(isWrongWord));
  const [word] = words;
  if (word !== undefined) {
    const merged = { ...word, input, values: words.flatMap((issue) => issue.values) };
    // A map may have a key named toString, and is no word in any case.
    const isScalarInput = typeof input !== "object";
    const isNear = isScalarInput && nearestWord(String(input), merged.values.map(String)) !== null;
    if (isNear) return [merged];
    if (words.length === branches.length) return [merged];
  }
  // A kind that has words of its own for what is wrong: `30` where `30s` was meant.
  const told = branches.find((issues) =>
    issues.some((issue) => isWrongKind(issue) && isTold(issue)),
  );
  if (told !== undefined) return told;
  const others = fitting.filter((issues) => !issues.some(isWrongWord));
  others.sort((a, b) => depth(b) - depth(a));
  return others[0] ?? fitting[0] ?? null;
}

function isWrongKind(issue: Issue): boolean {
  return issue.code === "invalid_type" && issue.path.length === 0;
}

/** Whether a schema of ours has worded the message; zod's own begins so. */
function isTold(issue: Issue): boolean {
  return !issue.message.startsWith("Invalid input");
}

function isWrongWord(issue: Issue): issue is Issue & { code: "invalid_value" } {
  return issue.code === "invalid_value" && issue.path.length === 0;
}

function depth(issues: readonly Issue[]): number {
  return Math.max(0, ...issues.map((issue) => issue.path.length));
}

function expectedKinds(branches: readonly (readonly Issue[])[]): string[] {
  const kinds = branches
    .flat()
    .map((issue) => (issue.code === "invalid_type" ? kindName(issue.expected) : null));
  return [...new Set(kinds.filter((kind) => kind !== null))];
}

function choiceMessage(values: readonly string[], input: unknown): string {
  const meant = typeof input === "string" ? nearestWord(input, values) : null;
  return `must be ${listing(values)}${meant === null ? "" : `; did you mean '${meant}'?`}`;
}

function typeMessage(issue: Issue & { code: "invalid_type" }): string {
  if (issue.input === null) return "has no value";
  // zod's own words reach here only where a schema gives none.
  if (isTold(issue)) return issue.message;
  return `must be ${kindName(issue.expected)}`;
}

function kindName(expected: string): string {
  const names: Readonly<Record<string, string>> = {
    array: "a list",
    object: "a map",
    string: "text",
    number: "a number",
    int: "a whole number",
    boolean: "true or false",
  };
  return names[expected] ?? expected;
}

function listing(values: readonly string[]): string {
  const last = values.at(-1) ?? "";
  return values.length < 2 ? last : `${values.slice(0, -1).join(", ")} or ${last}`;
}

function syntaxMessage(error: { readonly code: string; readonly message: string }): string {
  if (error.code === "DUPLICATE_KEY") return "the key is there twice";
  if (error.code === "MULTIPLE_DOCS") return "holds more than one YAML document ('---')";
  return clip(error.message, 200);
}

/** `teams[0].uplinks[1].speed`. */
function writePath(path: readonly PropertyKey[]): string {
  let written = "";
  for (const key of path) {
    if (typeof key === "number") written += `[${key}]`;
    else written += `${written === "" ? "" : "."}${clip(String(key))}`;
  }
  return written;
}

/** Offset of the value at a path (or of its key); of the nearest thing around it where it is missing. */
function offsetOf(
  document: Document.Parsed,
  path: readonly PropertyKey[],
  wantKey: boolean,
): number {
  let node: Node | null = document.contents;
  let offset = node?.range?.[0] ?? 0;
  for (const [index, key] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document) ?? null;
    let next: unknown;
    if (isMap(node)) {
      const pair = node.items.find(
        (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(key),
      );
      if (pair === undefined) break;
      const keyOffset = isScalar(pair.key) ? pair.key.range?.[0] : undefined;
      if (keyOffset !== undefined) offset = keyOffset;
      if (wantKey && index === path.length - 1) return offset;
      next = pair.value;
    } else if (isSeq(node)) {
      next = node.items[Number(key)];
    }
    if (!isNodeWithRange(next)) break;
    node = next;
    offset = next.range[0];
  }
  return offset;
}

function isNodeWithRange(node: unknown): node is Node & { range: [number, number, number] } {
  return typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range);
}
