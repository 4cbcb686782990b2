import path from "node:path";

/** The repository's root folder, the same outside and inside the lab. */
export const repository = path.resolve(import.meta.dirname, "../..");

/** Path of one of the lab's parts, as test/lab/parts.sh built it. */
export function cached(...names: readonly string[]): string {
  const folder = process.env["UPLINKD_LAB_CACHE"] ?? path.join(repository, ".cache/lab");
  return path.resolve(folder, ...names);
}
