/**
 * Manual pages: the templates of packaging/man with what programs and schemas know put in, so that neither can say
 * what the other doesn't. mdoc(7).
 */
import { readFileSync } from "node:fs";
import type { Argument, Command, Option } from "commander";
import { afterHelp, visibleOptions } from "./commands.ts";

/** What the templates' marks stand for. */
export interface ManualSources {
  readonly uplinkctl: Command;
  readonly uplinkd: Command;
  /** Text of policies/schema/uplinkd.json and policy.json. */
  readonly configSchema: string;
  readonly policySchema: string;
  readonly configExample: string;
  readonly policyExample: string;
  /** Of the pages, seconds since 1970: the same sources give the same pages. */
  readonly dateSeconds: number;
}

/** Every page, by its file name. */
export const MANUAL_PAGES = [
  "uplinkctl.1",
  "uplinkd.8",
  "uplinkd.yaml.5",
  "uplinkd-policy.5",
] as const;

/** @returns the text of each page, by its file name */
export function renderManual(sources: ManualSources): ReadonlyMap<string, string> {
  const parts: Readonly<Record<string, () => readonly string[]>> = {
    DATE: () => [`.Dd ${writeDate(sources.dateSeconds)}`],
    UPLINKCTL: () => writeCommands(sources.uplinkctl),
    UPLINKD: () => writeOptions(visibleOptions(sources.uplinkd)),
    "UPLINKD-YAML": () => writeSchema(sources.configSchema),
    "UPLINKD-YAML-EXAMPLE": () => literal(sources.configExample),
    POLICY: () => writeSchema(sources.policySchema),
    "POLICY-EXAMPLE": () => literal(sources.policyExample),
  };
  return new Map(
    MANUAL_PAGES.map((page) => {
      const template = readFileSync(new URL(`man/${page}`, import.meta.url), "utf8");
      const lines = template.split("\n").flatMap((line) => {
        const mark = /^\.\\" @([A-Z-]+)@$/.exec(line)?.[1];
        if (mark === undefined) return [line];
        const part = parts[mark];
        if (part === undefined) throw new Error(`${page}: nothing is known as @${mark}@`);
        return part();
      });
      return [page, lines.join("\n")];
    }),
  );
}

function writeDate(seconds: number): string {
  return new Date(seconds * 1000).toLocaleDateString("en-US", {
    year: "numeric",
    month: "long",
    day: "numeric",
    timeZone: "UTC",
  });
}

/** Every command that does something, those of groups by both words. */
function writeCommands(program: Command): string[] {
  const items = (parent: Command, words: readonly string[]): string[] =>
    parent.commands.flatMap((command) => {
      const path = [...words, command.name()];
      if (command.commands.length > 0) return items(command, path);
      const usage = command.registeredArguments.map(writeArgument);
      return [
        `.It ${["Cm", ...path.map(roff), ...usage].join(" ")}`,
        ...sentence(command.description()),
        ...writeOptions(visibleOptions(command)),
        ...writeHelp(afterHelp(command)),
      ];
    });
  return [".Bl -tag -width Ds", ...items(program, []), ".El", ...writeHelp(afterHelp(program))];
}

function writeArgument(argument: Argument): string {
  const shown = `Ar ${roff(argument.name())}${argument.variadic ? " ..." : ""}`;
  return argument.required ? shown : `Op ${shown}`;
}

function writeOptions(all: readonly Option[]): string[] {
  // Every command has --help, and says so by itself.
  const options = all.filter((option) => option.long !== "--help");
  if (options.length === 0) return [];
  return [
    ".Bl -tag -width Ds",
    ...options.flatMap((option) => {
      const names = [option.short, option.long].filter((name) => typeof name === "string");
      const value = /[<[]([^>\]]+)[>\]]/.exec(option.flags)?.[1];
      const flags = names.map((name) => `Fl ${roff(name.slice(1))}`).join(" , ");
      const isTold = typeof option.defaultValue === "string" && option.defaultValue !== "";
      return [
        `.It ${flags}${value === undefined ? "" : ` Ar ${roff(value)}`}`,
        ...sentence(option.description),
        ...(isTold ? [`By default ${roff(String(option.defaultValue))}.`] : []),
      ];
    }),
    ".El",
  ];
}

/** A command's own words: paragraphs, and what stands below `Example:` or `Examples:` as it is. */
function writeHelp(help: string): string[] {
  const [text = "", examples] = help.split(/^Examples?:$/m);
  const paragraphs = text
    .split(/\n{2,}/)
    .map((paragraph) => paragraph.trim())
    .filter((paragraph) => paragraph !== "")
    .flatMap((paragraph) => [".Pp", ...sentences(paragraph)]);
  if (examples === undefined) return paragraphs;
  return [...paragraphs, ...literal(examples.replaceAll(/^ {2}/gm, "").trim())];
}

interface Schema {
  readonly description?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

/** Every key of a JSON schema by its full path: `teams[].uplinks[].speed`. */
function writeSchema(text: string): string[] {
  const items = (schema: Schema, path: string): string[] => [
    ...Object.entries(schema.properties ?? {}).flatMap(([key, value]) => {
      const name = path === "" ? key : `${path}.${key}`;
      const values = valuesOf(value);
      const examples = (value.examples ?? []).map(String);
      return [
        `.It Cm ${roff(name)}`,
        ...sentence(value.description ?? ""),
        ...(values.length > 1 ? [`One of ${roff(values.join(", "))}.`] : []),
        ...(examples.length > 0 ? [`For example ${roff(examples.join(", "))}.`] : []),
        ...items(value, name),
      ];
    }),
    ...(schema.items === undefined ? [] : items(schema.items, `${path}[]`)),
    ...(schema.anyOf ?? []).flatMap((choice) => items(choice, path)),
  ];
  return [".Bl -tag -width Ds", ...items(JSON.parse(text) as Schema, ""), ".El"];
}

/** The words that a key may have; none where it takes text of a form. */
function valuesOf(schema: Schema): string[] {
  if (schema.const !== undefined) return [String(schema.const)];
  return [...(schema.enum ?? []).map(String), ...(schema.anyOf ?? []).flatMap(valuesOf)];
}

function literal(text: string): string[] {
  const lines = text.trimEnd().split("\n").map(roff);
  return [".Bd -literal -offset indent", ...lines, ".Ed"];
}

/** With a capital and a full stop, as paragraphs have. */
function sentence(text: string): string[] {
  if (text === "") return [];
  const told = `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  return sentences(/[.!?]$/.test(told) ? told : `${told}.`);
}

/** A line each, as roff wants them for the space between them. */
function sentences(text: string): string[] {
  return text
    .replaceAll(/\s*\n\s*/g, " ")
    .split(/(?<=[.!?]) (?=[A-Z])/)
    .map(roff);
}

/** As text: no backslash, no control character at the start of a line, no dash that a copy would garble. */
function roff(text: string): string {
  const safe = text.replaceAll("\\", "\\e").replaceAll("-", "\\-");
  return /^[.']/.test(safe) ? `\\&${safe}` : safe;
}
