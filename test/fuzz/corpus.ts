/** Inputs that are kept: a file each, in a folder for each target. Those of netlink are hexadecimal. */
import { createHash } from "node:crypto";
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "corpus");

/** All inputs of a target, in the order of their names. */
export function readCorpus(target: string): readonly Uint8Array[] {
  return globSync("*", { cwd: join(FOLDER, target) })
    .sort()
    .map((file) => {
      const bytes = readFileSync(join(FOLDER, target, file));
      return file.endsWith(".hex") ? Buffer.from(bytes.toString().trim(), "hex") : bytes;
    });
}

/** Keeps an input, under a name that is made of it. @returns the file's path */
export function keep(target: string, input: Uint8Array): string {
  const isBinary = target === "netlink";
  const name = createHash("sha256").update(input).digest("hex").slice(0, 12);
  const path = join(FOLDER, target, isBinary ? `${name}.hex` : `${name}.txt`);
  mkdirSync(join(FOLDER, target), { recursive: true });
  writeFileSync(path, isBinary ? `${Buffer.from(input).toString("hex")}\n` : input);
  return path;
}
