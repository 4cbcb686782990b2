/** The local API's server: node:http on a unix socket, one for each access. */
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { ConflictError, PolicyErrors, UplinkError } from "../model/errors.ts";
import { clip } from "../model/units.ts";
import { VERSION } from "../model/version.ts";
import { nearestWord } from "../model/word.ts";
import type { ControlHandlers, EnablePart } from "./api.ts";
import { EventStream } from "./event-stream.ts";
import { renderMetrics } from "./metrics.ts";
import { type Access, parseRoute, type Route, refuse } from "./routes.ts";
import { API_HEADER, API_VERSIONS, negotiateVersion, versionHeaders } from "./version.ts";

/** No request needs a body yet; what comes with one is read up to this and ignored, bytes. */
const MAX_BODY_BYTES = 64 * 1024;
/** A few operators, their scripts and a monitoring agent; more is a loop gone wild. */
const MAX_CONNECTIONS = 64;
/** Longest time for a request to arrive: these are short and local, milliseconds. */
const REQUEST_TIMEOUT_MS = 5000;
/** Longest time for the daemon's answer: release re-reads and verifies, milliseconds. */
const ANSWER_TIMEOUT_MS = 60_000;

export interface ControlOptions {
  readonly handlers: ControlHandlers;
  readonly access: Access;
  /** A path to make the socket at, with its mode; or a listening socket that was inherited. */
  readonly listen: { readonly path: string; readonly mode: number } | { readonly fd: number };
  /** Told about bugs of ours, which callers only see as `internal`. */
  readonly onError: (error: unknown) => void;
}

export interface ControlServer {
  /** Ends followers and open connections, and removes the socket if it made it. */
  close(): Promise<void>;
}

/**
 * Serves the API until closed.
 * @throws ConflictError if somebody else serves the path or it is no socket
 */
export async function listenControl(options: ControlOptions): Promise<ControlServer> {
  const streams = new Set<EventStream>();
  const server = createServer(
    { maxHeaderSize: 8192, requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
    (request, response) => {
      answer(request, response, options, streams).catch((error: unknown) => {
        options.onError(error);
        response.destroy();
      });
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  if ("path" in options.listen) await removeStaleSocket(options.listen.path);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(
      "path" in options.listen ? { path: options.listen.path } : { fd: options.listen.fd },
      () => {
        server.off("error", reject);
        resolve();
      },
    );
  });
  server.on("error", options.onError);
  // The directory keeps others out until here: /run/uplinkd is the daemon's own.
  if ("path" in options.listen) chmodSync(options.listen.path, options.listen.mode);

  return {
    close: () =>
      new Promise((resolve) => {
        for (const stream of streams) stream.end();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: ControlOptions,
  streams: Set<EventStream>,
): Promise<void> {
  const asked = request.headers[API_HEADER];
  const version = negotiateVersion(Array.isArray(asked) ? asked.join(",") : asked);
  for (const [name, value] of Object.entries(versionHeaders(version))) {
    response.setHeader(name, value);
  }
  const route =
    version === null
      ? noVersion(String(asked))
      : parseRoute(request.method ?? "", request.url ?? "", options.access);
  const tooLarge = await drainBody(request);
  if (tooLarge) {
    response.setHeader("connection", "close");
    const message = `the body is larger than ${MAX_BODY_BYTES} bytes`;
    sendRefusal(response, refuse(413, "request", clip(request.url ?? ""), message, ""));
    return;
  }
  if (route.kind === "events" && route.follow) {
    const stream = new EventStream(response, options.handlers, route.sinceSequence);
    streams.add(stream);
    response.once("close", () => streams.delete(stream));
    return;
  }
  try {
    const result = await within(ANSWER_TIMEOUT_MS, ask(route, options.handlers));
    if (result.kind === "refused") sendRefusal(response, result);
    else if (result.kind === "text") sendText(response, result.text);
    else sendJson(response, 200, result.document);
  } catch (error) {
    sendRefusal(response, toRefusal(error, options.onError));
  }
}

type Refused = Route & { readonly kind: "refused" };
type Answer =
  | { readonly kind: "document"; readonly document: object }
  | { readonly kind: "text"; readonly text: string }
  | Refused;

async function ask(route: Route, handlers: ControlHandlers): Promise<Answer> {
  switch (route.kind) {
    case "refused":
      return route;
    case "status":
      return documentOf(await handlers.status());
    case "metrics":
      return {
        kind: "text",
        text: renderMetrics(await handlers.status(), handlers.measurements()),
      };
    case "events":
      return documentOf(handlers.events(route.sinceSequence));
    case "release":
      return documentOf(await handlers.release());
    case "enable":
      return (
        noPart(route.part, handlers) ??
        documentOf(await handlers.enable(route.confirmMs, route.part))
      );
    case "observe":
      return documentOf(await handlers.observe());
    case "confirm":
      return documentOf(handlers.confirm());
    case "explain":
    case "hold":
    case "unhold": {
      const found = await handlers[route.kind](route.domain);
      return found === null ? noDomain(route.domain, handlers) : documentOf(found);
    }
    case "simulate":
      return noUplink(route.failed, handlers) ?? documentOf(await handlers.simulate(route.failed));
    case "drain":
      return (
        noUplink([route.uplink], handlers) ??
        documentOf(await handlers.drain(route.uplink, route.force))
      );
    case "undrain":
      return noUplink([route.uplink], handlers) ?? documentOf(await handlers.undrain(route.uplink));
  }
}

function documentOf(document: object): Answer {
  return { kind: "document", document };
}

function noVersion(asked: string): Refused {
  const known = API_VERSIONS.join(", ");
  const message = `is not spoken here; uplinkd ${VERSION} speaks ${known}`;
  const remedy = "uplinkctl and the daemon are of different versions: systemctl restart uplinkd";
  return refuse(406, "version", `API version ${clip(asked)}`, message, remedy);
}

function noDomain(name: string, handlers: ControlHandlers): Refused {
  const meant = nearestWord(name, handlers.domainNames());
  const remedy = meant === null ? "`uplinkctl status` lists them" : `did you mean '${meant}'?`;
  const object = `domain ${clip(name)}`;
  return refuse(404, "not-found", object, "there is no such domain that is running", remedy);
}

/** @returns null where there is what is to be enabled */
function noPart(part: EnablePart, handlers: ControlHandlers): Refused | null {
  if (part.kind === "host") return null;
  if (part.kind === "domain") {
    return handlers.domainNames().includes(part.domain) ? null : noDomain(part.domain, handlers);
  }
  const known = handlers.teamNames();
  if (known.includes(part.team)) return null;
  const meant = nearestWord(part.team, known);
  const remedy = meant === null ? `it has ${known.join(", ")}` : `did you mean ${meant}?`;
  return refuse(404, "not-found", `team ${clip(part.team)}`, "this host has no such team", remedy);
}

/** @returns null where all of them are known */
function noUplink(names: readonly string[], handlers: ControlHandlers): Refused | null {
  const known = handlers.uplinkNames();
  const unknown = names.find((name) => !known.includes(name));
  if (unknown === undefined) return null;
  const meant = nearestWord(unknown, known);
  const remedy = meant === null ? `it has ${known.join(", ")}` : `did you mean ${meant}?`;
  return refuse(404, "not-found", `uplink ${clip(unknown)}`, "no team of this host has it", remedy);
}

function toRefusal(error: unknown, onError: (error: unknown) => void): Refused {
  if (error instanceof AnswerTimeout) {
    const message = `the daemon did not answer within ${ANSWER_TIMEOUT_MS / 1000} s`;
    return refuse(504, "timeout", "uplinkd", message, "see `journalctl -u uplinkd`");
  }
  if (error instanceof UplinkError) {
    const httpStatus =
      error instanceof ConflictError ? 409 : error instanceof PolicyErrors ? 400 : 500;
    return refuse(httpStatus, error.kind, error.object, error.message, "");
  }
  // A bug of ours: its text may hold anything, and its stack belongs in the journal.
  onError(error);
  const remedy = "see `journalctl -u uplinkd`, and report it";
  return refuse(500, "internal", "uplinkd", "an error inside the daemon", remedy);
}

function sendRefusal(response: ServerResponse, refused: Refused): void {
  if (refused.allow !== undefined) response.setHeader("allow", refused.allow);
  sendJson(response, refused.httpStatus, refused.answer);
}

/** Prometheus' format by its content type. */
function sendText(response: ServerResponse, text: string): void {
  response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
  response.end(text);
}

function sendJson(response: ServerResponse, httpStatus: number, body: object): void {
  const text = `${JSON.stringify(body)}\n`;
  response.writeHead(httpStatus, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
  });
  response.end(text);
}

/** @returns whether there was more than is allowed */
async function drainBody(request: IncomingMessage): Promise<boolean> {
  let bytes = 0;
  // Not destroyed on the way out, or the caller would see a broken connection and not the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_BODY_BYTES) return true;
  }
  return false;
}

class AnswerTimeout extends Error {}

async function within<T>(limitMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new AnswerTimeout()), limitMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A socket that nobody serves any more is in the way of the next; one that answers is somebody's. */
async function removeStaleSocket(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new ConflictError(path, "is in the way and is no socket");
  const isServed = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.on("error", () => resolve(false));
  });
  if (isServed) throw new ConflictError(path, "another uplinkd serves this socket; stop it first");
  unlinkSync(path);
}
