/** Which request is which: from method, path and query to one of the handlers' questions. Pure. */
import { clip } from "../model/units.ts";
import type { EnablePart, ErrorAnswer } from "./api.ts";

/** full: control.sock. read: read.sock, GET only. metrics: a port for Prometheus, which gets nothing else. */
export type Access = "read" | "full" | "metrics";

export type Route =
  | { readonly kind: "status" }
  | { readonly kind: "metrics" }
  | { readonly kind: "explain"; readonly domain: string }
  | { readonly kind: "simulate"; readonly failed: readonly string[] }
  | { readonly kind: "events"; readonly sinceSequence: number; readonly follow: boolean }
  | { readonly kind: "hold" | "unhold"; readonly domain: string }
  | { readonly kind: "drain"; readonly uplink: string; readonly force: boolean }
  | { readonly kind: "undrain"; readonly uplink: string }
  | { readonly kind: "release" }
  | { readonly kind: "observe" }
  | { readonly kind: "enable"; readonly confirmMs: number | null; readonly part: EnablePart }
  | { readonly kind: "confirm" }
  | {
      readonly kind: "refused";
      readonly httpStatus: number;
      readonly answer: ErrorAnswer;
      /** For 405: what the path allows. */
      readonly allow?: string;
    };

/** Bounds of the time to confirm: enough to type, and not so much that one forgets; milliseconds. */
const MIN_CONFIRM_MS = 1000;
const MAX_CONFIRM_MS = 24 * 3600e3;

/** Every path, in the order of asking; operations.ts describes them. */
export const PATHS = [
  // Where Prometheus looks, and without a version: its names are the promise.
  { pattern: /^\/metrics$/, method: "GET", kind: "metrics" },
  { pattern: /^\/v1\/status$/, method: "GET", kind: "status" },
  { pattern: /^\/v1\/explain\/([^/]+)$/, method: "GET", kind: "explain" },
  { pattern: /^\/v1\/simulate$/, method: "GET", kind: "simulate" },
  { pattern: /^\/v1\/events$/, method: "GET", kind: "events" },
  { pattern: /^\/v1\/hold\/([^/]+)$/, method: "POST", kind: "hold" },
  { pattern: /^\/v1\/unhold\/([^/]+)$/, method: "POST", kind: "unhold" },
  { pattern: /^\/v1\/drain\/([^/]+)$/, method: "POST", kind: "drain" },
  { pattern: /^\/v1\/undrain\/([^/]+)$/, method: "POST", kind: "undrain" },
  { pattern: /^\/v1\/release$/, method: "POST", kind: "release" },
  { pattern: /^\/v1\/observe$/, method: "POST", kind: "observe" },
  { pattern: /^\/v1\/confirm$/, method: "POST", kind: "confirm" },
  { pattern: /^\/v1\/enable$/, method: "POST", kind: "enable" },
] as const;

/**
 * Finds the route of a request.
 * @param url the request's target, `/v1/events?since=5`
 */
export function parseRoute(method: string, url: string, access: Access): Route {
  const target = parseTarget(url);
  if (target === null) return refuse(400, "request", clip(url), "is no path", "");
  for (const path of PATHS) {
    const match = path.pattern.exec(target.pathname);
    if (match === null || (access === "metrics" && path.kind !== "metrics")) continue;
    if (method !== path.method) {
      const refused = refuse(405, "method", clip(target.pathname), `takes ${path.method}`, "");
      return { ...refused, allow: path.method };
    }
    if (path.method !== "GET" && access === "read") {
      const remedy = "ask over control.sock, as root";
      return refuse(403, "forbidden", target.pathname, "this socket is for reading", remedy);
    }
    const name = decodeName(match[1] ?? "");
    if (name === null)
      return refuse(400, "request", clip(match[1] ?? ""), "is not percent-encoded UTF-8", "");
    switch (path.kind) {
      case "status":
      case "metrics":
      case "release":
      case "observe":
      case "confirm":
        return { kind: path.kind };
      case "enable":
        return parseEnable(target.searchParams);
      case "explain":
      case "hold":
      case "unhold":
        return { kind: path.kind, domain: name };
      case "drain":
        return { kind: path.kind, uplink: name, force: target.searchParams.get("force") === "1" };
      case "undrain":
        return { kind: path.kind, uplink: name };
      case "simulate":
        return { kind: "simulate", failed: target.searchParams.getAll("fail") };
      case "events":
        return parseEvents(target.searchParams);
    }
  }
  const remedy = "uplinkctl and the daemon may be of different versions";
  return refuse(404, "not-found", clip(target.pathname), "there is no such path", remedy);
}

/** An error's answer and its HTTP status. */
export function refuse(
  httpStatus: number,
  kind: string,
  object: string,
  message: string,
  remedy: string,
): Route & { readonly kind: "refused" } {
  return { kind: "refused", httpStatus, answer: { error: { kind, object, message, remedy } } };
}

function parseTarget(url: string): URL | null {
  // The host is of no meaning on a unix socket; a target such as `//x` must not become one.
  return url.startsWith("/") && !url.startsWith("//") ? URL.parse(`http://uplinkd${url}`) : null;
}

function decodeName(encoded: string): string | null {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return null;
  }
}

function parseEnable(query: URLSearchParams): Route {
  const text = query.get("confirmMs");
  const part = parsePart(query);
  if (part === null)
    return refuse(400, "request", "enable", "takes a team or a domain, not both", "");
  if (text === null) return { kind: "enable", confirmMs: null, part };
  const confirmMs = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (confirmMs >= MIN_CONFIRM_MS && confirmMs <= MAX_CONFIRM_MS) {
    return { kind: "enable", confirmMs, part };
  }
  const bounds = `${MIN_CONFIRM_MS / 1000} s to ${MAX_CONFIRM_MS / 3600e3} h`;
  return refuse(400, "request", "confirm", `'${clip(text)}' is no time of ${bounds}`, "");
}

/** @returns null where both are named */
function parsePart(query: URLSearchParams): EnablePart | null {
  const [team, domain] = [query.get("team"), query.get("domain")];
  if (team !== null && domain !== null) return null;
  if (team !== null) return { kind: "team", team };
  return domain === null ? { kind: "host" } : { kind: "domain", domain };
}

function parseEvents(query: URLSearchParams): Route {
  const since = query.get("since") ?? "0";
  const follow = query.get("follow") ?? "0";
  if (!/^\d{1,15}$/.test(since)) {
    return refuse(400, "request", "since", `'${clip(since)}' is no sequence number`, "");
  }
  if (follow !== "0" && follow !== "1") {
    return refuse(400, "request", "follow", `'${clip(follow)}' is neither 0 nor 1`, "");
  }
  return { kind: "events", sinceSequence: Number(since), follow: follow === "1" };
}
