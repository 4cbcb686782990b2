/** `uplinkctl set` and `unset`: a domain's annotation, changed in libvirt's live and stored definition at once. */
import { type Command, InvalidArgumentError } from "commander";
import {
  ANNOTATION_FIELDS,
  type AnnotationChange,
  type AnnotationField,
  editAnnotation,
  judgeAnnotation,
  toMetadata,
} from "../libvirt/annotation-edit.ts";
import type { LibvirtCaller } from "../libvirt/connection.ts";
import { parseDomainXml } from "../libvirt/domain-xml.ts";
import {
  type Definition,
  type DomainTexts,
  listDomainNames,
  readDomainTexts,
  writeMetadata,
} from "../libvirt/metadata.ts";
import { isUnicast, type Mac, parseMac } from "../model/mac.ts";
import { nearestWord } from "../model/word.ts";
import { type LoadedConfig, loadAll } from "../policy/load.ts";
import { matchPolicies } from "../policy/match.ts";
import { type CommandContext, command } from "./command.ts";
import { Failure } from "./failure.ts";
import { diffLines } from "./line-diff.ts";
import { withProgress } from "./progress.ts";
import type { Layout } from "./table.ts";

/** What --json prints. */
export interface SetAnswer {
  readonly domain: string;
  /** False where nothing differs, or nothing was to be written. */
  readonly written: boolean;
  readonly definitions: readonly {
    readonly definition: Definition;
    /** The annotation's lines; empty: none. */
    readonly before: readonly string[];
    readonly after: readonly string[];
  }[];
}

interface SetOptions extends Partial<Record<string, string | true>> {
  readonly json?: true;
  readonly dryRun?: true;
  readonly yes?: true;
}

const MEANINGS: Readonly<Record<AnnotationField, string>> = {
  policy: "the named policy that gives the rest",
  priority: "critical, high, normal or low",
  reservation: "kept even when the uplink is full: 500mbit",
  limit: "never above: 2gbit",
  shares: "weight within one priority, 1 to 1000",
  burst: "how much may pass at once: 1mb",
  inbound: "towards the guest, never above; can't be guaranteed: 2gbit",
  "inbound-burst": "how much may reach it at once: 4mb",
  prefer: "uplinks or labels, first choice first, spaces between",
  apart: "domains not to share an uplink with, spaces between",
  action: "when its demand isn't met after a loss: throttle, discard, pause or migrate",
  grace: "how long a loss lasts before the action: 10s",
  "max-pause": "the longest pause: 5m",
  destination: "names of destinations in uplinkd.yaml, spaces between",
};

/** Adds the commands. */
export function registerSet(program: Command, context: CommandContext): void {
  const set = command(program, "set", "change what a domain is promised", SET_HELP).argument(
    "<domain>",
    "the domain's name, running or not",
  );
  for (const { name } of ANNOTATION_FIELDS) set.option(`--${name} <value>`, MEANINGS[name]);
  common(set).action(async (domain: string, options: SetOptions) => {
    const wanted = ANNOTATION_FIELDS.flatMap(({ name }) => {
      const value = options[name.replace(/-([a-z])/, (_, letter: string) => letter.toUpperCase())];
      return typeof value === "string" ? [[name, value] as const] : [];
    });
    if (wanted.length === 0) throw usage("set", "names no value", "see uplinkctl set --help");
    const change = { mac: macOf(options), set: new Map(wanted), unset: new Set<never>() };
    await writeChange(context, domain, change, options);
  });
  common(
    command(program, "unset", "take away what a domain is promised", UNSET_HELP)
      .argument("<domain>", "the domain's name, running or not")
      .argument("[value...]", "the values, as the options of set are named; all without any"),
  ).action(async (domain: string, values: string[], options: SetOptions) => {
    const unset = values.length === 0 ? "all" : new Set(values.map(fieldOf));
    await writeChange(context, domain, { mac: macOf(options), set: new Map(), unset }, options);
  });
}

function common(added: Command): Command {
  return added
    .option("--interface <mac>", "of this vNIC only", parseInterface)
    .option("--dry-run", "show the difference, and write nothing")
    .option("--yes", "don't ask on a terminal");
}

async function writeChange(
  context: CommandContext,
  domain: string,
  change: AnnotationChange,
  options: SetOptions,
): Promise<void> {
  const config = loadAll(context.configDirectory);
  const libvirt = await withProgress(context.stderr, "libvirt is asked", context.openLibvirt);
  try {
    const texts = await withProgress(context.stderr, "libvirt is asked", () =>
      find(libvirt, domain),
    );
    const definitions = [...texts.texts].map(([definition, xml]) => {
      const edited = editAnnotation(xml, `domain ${domain}`, change);
      refuseWrong(xml, edited, domain, config);
      return { definition, ...edited };
    });
    const differing = definitions.filter(
      ({ after, before }) => before.join("\n") !== after.join("\n"),
    );
    if (!options.json) context.print(renderChange(domain, definitions, context.layout));
    const isWanted =
      options.dryRun !== true &&
      differing.length > 0 &&
      (options.yes === true || options.json === true || (await context.ask("Write it?")));
    if (isWanted) {
      // The stored one first: what can't be kept shouldn't hold for now either.
      for (const { after, definition } of differing.toReversed()) {
        await withProgress(context.stderr, "libvirt writes it", () =>
          writeMetadata(libvirt, texts.uuid, definition, toMetadata(after)),
        );
      }
    }
    const answer: SetAnswer = { domain, written: isWanted, definitions };
    if (options.json) context.printJson(answer);
    else if (isWanted) context.print(["written"]);
    else if (differing.length > 0) context.print(["nothing is written"]);
  } finally {
    libvirt.close();
  }
}

async function find(libvirt: LibvirtCaller, domain: string): Promise<DomainTexts> {
  const texts = await readDomainTexts(libvirt, domain);
  if (texts !== null) return texts;
  const meant = nearestWord(domain, await listDomainNames(libvirt));
  throw new Failure(2, {
    kind: "not-found",
    object: `domain ${domain}`,
    message: "libvirt has no such domain",
    remedy: meant === null ? "`virsh list --all` lists them" : `did you mean '${meant}'?`,
  });
}

/** @throws Failure with what the daemon would complain about, but for what it complains about already */
function refuseWrong(
  xml: string,
  edited: { readonly before: readonly string[]; readonly after: readonly string[] },
  domain: string,
  { config, policies }: LoadedConfig,
): void {
  const definition = parseDomainXml(xml, `domain ${domain}`);
  const problemsOf = (lines: readonly string[]) =>
    matchPolicies(judgeAnnotation(lines, definition), policies, config).problems;
  const known = problemsOf(edited.before);
  const fresh = problemsOf(edited.after).filter(
    ({ message }) => !known.some((problem) => problem.message === message),
  );
  const [first] = fresh;
  if (first === undefined) return;
  throw new Failure(2, {
    kind: "annotation",
    object: first.object,
    message: fresh.map(({ message }) => message).join("; "),
    remedy: `nothing is written; ${first.remedy}`,
  });
}

/** One difference where live and stored are the same, else one for each. */
function renderChange(
  domain: string,
  definitions: SetAnswer["definitions"],
  layout: Layout,
): string[] {
  const same = new Set(definitions.map((each) => JSON.stringify([each.before, each.after])));
  const shown = same.size === 1 ? definitions.slice(0, 1) : definitions;
  return shown.flatMap(({ after, before, definition }) => {
    const which =
      same.size > 1 ? definition : definitions.map((each) => each.definition).join(" and ");
    if (before.join("\n") === after.join("\n"))
      return [`domain ${domain}, ${which}: no difference`];
    const colours = { "-": "red", "+": "green", " ": "dim" } as const;
    return [
      `domain ${domain}, ${which}:`,
      ...diffLines(before, after).map(({ mark, text }) =>
        layout.paint(colours[mark], `${mark} ${text}`),
      ),
    ];
  });
}

function fieldOf(word: string): AnnotationField {
  const names = ANNOTATION_FIELDS.map(({ name }) => name);
  const found = names.find((name) => name === word);
  if (found !== undefined) return found;
  const meant = nearestWord(word, names);
  const remedy = meant === null ? `known: ${names.join(", ")}` : `did you mean ${meant}?`;
  throw usage(word, "is no value of an annotation", remedy);
}

function usage(object: string, message: string, remedy: string): Failure {
  return new Failure(2, { kind: "usage", object, message, remedy });
}

function macOf(options: SetOptions): Mac | null {
  // Parsed by its option already.
  return (options["interface"] as Mac | undefined) ?? null;
}

function parseInterface(text: string): Mac {
  const mac = parseMac(text);
  if (mac === null || !isUnicast(mac)) {
    throw new InvalidArgumentError("It is a vNIC's MAC address, such as 52:54:00:aa:bb:cc.");
  }
  return mac;
}

const SET_HELP = `
Writes the annotation into the domain's live and stored definition by libvirt, as root:
the daemon hears of it and follows at once. The difference is shown first, and on a
terminal the command asks. Other values stay. What the daemon would complain about is
refused with 2, and nothing is written.

Examples:
  uplinkctl set web1 --policy gold
  uplinkctl set web1 --reservation 500mbit --limit 2gbit --action pause --grace 10s
  uplinkctl set web1 --interface 52:54:00:aa:bb:cc --priority low --dry-run`;

const UNSET_HELP = `
Without a value the whole annotation goes, or that of the vNIC. An empty element stays,
which says nothing: libvirt's D-Bus interface can't remove it, virsh metadata --remove can.

Examples:
  uplinkctl unset web1 limit reservation
  uplinkctl unset web1 --interface 52:54:00:aa:bb:cc
  uplinkctl unset web1`;
