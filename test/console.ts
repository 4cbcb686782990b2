/**
 * What the documents show of a terminal, to be run and compared. A block ```console has commands behind `$ ` with what they
 * print below; in it `…` stands for whatever varies, on a line of its own for any lines. ```console host is for a host with
 * uplinkd, tried in the lab, and ```yaml NAME a file that the page's commands read.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

export interface ShownCommand {
  /** Where it stands, for messages: `docs/tutorial.md:40`. */
  readonly at: string;
  readonly command: string;
  readonly output: string;
  /** Needs a host with uplinkd. */
  readonly onHost: boolean;
}

export interface Page {
  readonly path: string;
  /** Files that the page shows whole, by their names. */
  readonly files: ReadonlyMap<string, string>;
  readonly commands: readonly ShownCommand[];
}

const repository = join(import.meta.dirname, "..");

/** Every page of docs/ and the README. */
export function readPages(): readonly Page[] {
  const names = readdirSync(join(repository, "docs"), { recursive: true, encoding: "utf8" });
  const pages = names.filter((name) => name.endsWith(".md")).map((name) => join("docs", name));
  return ["README.md", ...pages.sort()].map((path) => readPage(path));
}

/** @param path below the repository */
export function readPage(path: string): Page {
  const text = readFileSync(join(repository, path), "utf8");
  const files = new Map<string, string>();
  const commands: ShownCommand[] = [];
  for (const block of text.matchAll(/^```(\w+) ?(.*)\n([\s\S]*?)^```$/gm)) {
    const [, language = "", word = "", body = ""] = block;
    const firstLine = text.slice(0, block.index).split("\n").length + 1;
    if (language === "yaml" && word !== "") files.set(word, body);
    if (language !== "console") continue;
    body.split("\n").forEach((line, index) => {
      const last = commands.at(-1);
      if (line.startsWith("$ ")) {
        const at = `${relative(".", path)}:${firstLine + index}`;
        commands.push({ at, command: line.slice(2), output: "", onHost: word === "host" });
      } else if (last !== undefined && line !== "") {
        commands[commands.length - 1] = { ...last, output: `${last.output}${line}\n` };
      }
    });
  }
  return { path, files, commands };
}

/** Whether a command printed what the page shows; empty lines and the ends of lines aside. */
export function isAsShown(shown: string, printed: string): boolean {
  const lines = shown.trimEnd().split("\n");
  const pattern = lines
    .map((line) => {
      if (line.trim() === "…") return "(?:.*\n)*?";
      const parts = line.trimEnd().split("…").map(escapePattern);
      return `${parts.join(".*")}\n`;
    })
    .join("");
  const compact = printed
    // What a program writes over, as a terminal would show it, too.
    .split(/[\r\n]/)
    .map((line) => line.trimEnd())
    .filter((line) => line !== "")
    .map((line) => `${line}\n`)
    .join("");
  return new RegExp(`^${shown.trim() === "" ? "" : pattern}$`, "u").test(compact);
}

function escapePattern(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
