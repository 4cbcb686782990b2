/**
 * Which version of the API is spoken. A caller names those that it knows in the header `uplinkd-api`, the daemon
 * answers in the newest that both know, and names it; without the header it speaks the newest. Within a version keys
 * and paths are only added.
 */
import { VERSION } from "../model/version.ts";

/** Of HTTP's header, in requests and answers. */
export const API_HEADER = "uplinkd-api";
/** Of answers only: the daemon's own version. */
export const VERSION_HEADER = "uplinkd-version";

/** What this daemon speaks, oldest first; as in the paths: /v1/status. */
export const API_VERSIONS: readonly number[] = [1];

/** @returns the newest version that is among those asked for, as in `1, 2`; null where there is none */
export function negotiateVersion(asked: string | undefined): number | null {
  if (asked === undefined) return API_VERSIONS.at(-1) ?? null;
  const known = asked.split(",").map((text) => text.trim());
  return API_VERSIONS.findLast((version) => known.includes(String(version))) ?? null;
}

/** The headers of every answer. */
export function versionHeaders(version: number | null): Readonly<Record<string, string>> {
  const spoken = version === null ? API_VERSIONS.join(", ") : String(version);
  return { [API_HEADER]: spoken, [VERSION_HEADER]: VERSION };
}
