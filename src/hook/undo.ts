/**
 * What the hook does on `stopped` and `release` when no daemon answers: a tc batch per domain that takes its filters
 * away. Rewritten whenever they change, gone when they are gone.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StateError } from "../model/errors.ts";

/** ext4's and tmpfs's limit on a name is 255 bytes; the temporary one is the longest. */
const MAX_NAME_BYTES = 240;

/**
 * Where a domain's undo stands.
 * @param runDir /run/uplinkd
 * @returns null for a name that can't be a file's (libvirt itself allows neither `/` nor line feeds in names)
 */
export function undoPath(runDir: string, domain: string): string | null {
  if (domain === "" || /[/\n\0]/.test(domain)) return null;
  if (Buffer.byteLength(domain) > MAX_NAME_BYTES) return null;
  return join(runDir, "undo", `${domain}.tc`);
}

/**
 * Leaves the undo of a domain, whole or not at all; it needs no sync, for it is worth nothing after a boot.
 * @param lines of a tc batch: `filter del dev ...`, `class del dev ...`; the hook takes nothing else
 * @throws StateError
 */
export function writeUndo(runDir: string, domain: string, lines: readonly string[]): void {
  const path = undoPath(runDir, domain);
  if (path === null) return;
  try {
    mkdirSync(join(runDir, "undo"), { recursive: true, mode: 0o700 });
    rmSync(`${path}.new`, { force: true });
    const text = lines.map((line) => `${line}\n`).join("");
    writeFileSync(`${path}.new`, text, { mode: 0o600, flag: "wx" });
    renameSync(`${path}.new`, path);
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    throw new StateError(`undo of domain ${domain}`, `can't be written: ${cause}`, {
      cause: error,
    });
  }
}

/** Takes a domain's undo away; nothing happens where there is none. */
export function removeUndo(runDir: string, domain: string): void {
  const path = undoPath(runDir, domain);
  if (path !== null) rmSync(path, { force: true });
}
