/** Checks files before they are put in force. */
import { basename, dirname } from "node:path";
import { type PolicyError, PolicyErrors } from "../model/errors.ts";
import { parseConfigFile } from "./config-file.ts";
import { loadAll, readConfigText } from "./load.ts";
import { parsePolicyFile } from "./policy-file.ts";

export interface FileCheck {
  readonly file: string;
  /** directory: a whole configuration, as it stands in /etc/uplinkd. */
  readonly kind: "policy" | "config" | "directory";
  readonly errors: readonly PolicyError[];
}

/**
 * Checks a policy file, an uplinkd.yaml or drop-in (told by its name, or by the directory uplinkd.d), or a whole
 * directory.
 */
export function checkFile(file: string, isDirectory: boolean): FileCheck {
  if (isDirectory) return { file, kind: "directory", errors: checkDirectory(file) };
  const isConfig =
    /^uplinkd\.yaml(\..*)?$/.test(basename(file)) || basename(dirname(file)) === "uplinkd.d";
  const kind = isConfig ? "config" : "policy";
  const errors: PolicyError[] = [];
  const text = readConfigText(file, errors, "required");
  if (text === null) return { file, kind, errors };
  const parsed = isConfig ? parseConfigFile(file, text) : parsePolicyFile(file, text);
  return { file, kind, errors: parsed.ok ? [] : parsed.errors };
}

function checkDirectory(directory: string): readonly PolicyError[] {
  try {
    loadAll(directory);
    return [];
  } catch (error) {
    if (error instanceof PolicyErrors) return error.errors;
    throw error;
  }
}
