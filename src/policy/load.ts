/** Reads a configuration directory, all or nothing. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../model/config.ts";
import { PolicyError, PolicyErrors } from "../model/errors.ts";
import type { NetworkWish } from "../model/policy.ts";
import { buildConfig } from "./config.ts";
import { type ConfigFile, parseConfigFile } from "./config-file.ts";
import type { ConfigText } from "./config-source.ts";
import { parsePolicyFile } from "./policy-file.ts";
import { MAX_FILE_BYTES, type YamlResult } from "./yaml.ts";

export interface LoadedConfig {
  readonly config: Config;
  /** Named policies, by name; what matchPolicies takes. */
  readonly policies: ReadonlyMap<string, NetworkWish>;
  /** The files that it came from, in the order of reading. */
  readonly files: readonly string[];
  /** Text of uplinkd.yaml and its drop-ins, in the order of reading: for telling which value is whose. */
  readonly texts: readonly ConfigText[];
  /** The file of each named policy. */
  readonly policyFiles: ReadonlyMap<string, string>;
}

/**
 * Reads `uplinkd.yaml`, `uplinkd.d/*.yaml` in the order of their names, and `policies/*.yaml` of a directory
 * (/etc/uplinkd). What isn't there is left out; nothing at all gives the defaults.
 * @throws PolicyErrors with everything that is wrong in any file; the caller then keeps what it has
 */
export function loadAll(directory: string): LoadedConfig {
  const errors: PolicyError[] = [];
  const files: string[] = [];
  const read: ConfigText[] = [];
  const take = <T>(file: string, parse: (file: string, text: string) => YamlResult<T>): T[] => {
    const text = readConfigText(file, errors, "optional");
    if (text === null) return [];
    files.push(file);
    read.push({ file, text });
    const parsed = parse(file, text);
    if (parsed.ok) return [parsed.value];
    errors.push(...parsed.errors);
    return [];
  };

  const configFiles: ConfigFile[] = [
    ...take(join(directory, "uplinkd.yaml"), parseConfigFile),
    ...yamlFiles(join(directory, "uplinkd.d"), errors).flatMap((file) =>
      take(file, parseConfigFile),
    ),
  ];
  const texts = [...read];
  const policies = new Map<string, NetworkWish>();
  const policyFiles = new Map<string, string>();
  for (const file of yamlFiles(join(directory, "policies"), errors)) {
    for (const { name, wish } of take(file, parsePolicyFile)) {
      if (policies.has(name))
        errors.push(fileError(file, `there is another file for the policy '${name}'`));
      policies.set(name, wish);
      policyFiles.set(name, file);
    }
  }
  if (errors.length > 0) throw new PolicyErrors(directory, errors);
  return { config: buildConfig(configFiles), policies, files, texts, policyFiles };
}

/**
 * Reads a file of limited size as UTF-8; what is wrong is added to `errors`.
 * @returns null where it can't be read, or where it is optional and not there
 */
export function readConfigText(
  file: string,
  errors: PolicyError[],
  presence: "required" | "optional",
): string | null {
  try {
    const stat = statSync(file);
    // A FIFO in the place of a file would hang the daemon, a device could be endless.
    if (!stat.isFile()) errors.push(fileError(file, "is not a regular file"));
    else if (stat.size > MAX_FILE_BYTES) errors.push(fileError(file, "is larger than 1 MiB"));
    else return decode(file, readFileSync(file), errors);
  } catch (error) {
    if (presence === "required" || !isMissing(error))
      errors.push(
        fileError(
          file,
          isMissing(error) ? "there is no such file" : `can't be read: ${reason(error)}`,
        ),
      );
  }
  return null;
}

function decode(file: string, bytes: Buffer, errors: PolicyError[]): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    errors.push(fileError(file, "is not UTF-8 text"));
    return null;
  }
}

/** The directory's .yaml files by name. Hidden ones are left out: editors keep copies there. */
function yamlFiles(directory: string, errors: PolicyError[]): string[] {
  try {
    return readdirSync(directory)
      .filter((entry) => /^[^.].*\.ya?ml$/.test(entry))
      .sort()
      .map((entry) => join(directory, entry));
  } catch (error) {
    if (!isMissing(error)) errors.push(fileError(directory, `can't be read: ${reason(error)}`));
    return [];
  }
}

function fileError(file: string, message: string): PolicyError {
  return new PolicyError({ file, line: 0, column: 0, path: "" }, message);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function reason(error: unknown): string {
  if (error instanceof Error && "code" in error) return String(error.code);
  return error instanceof Error ? error.message : String(error);
}
