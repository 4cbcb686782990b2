/**
 * The side of libvirt's hook that uplinkd plays: a unix socket, one request a connection. Whatever goes wrong here
 * is answered `accept`: a VM never waits for us, nor fails by us, unless the handler says so. A request whose time was
 * over before it was read is handled all the same, or its domain would be known only once libvirt tells of it.
 */
import { unlinkSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { HookError, UplinkError } from "../model/errors.ts";
import {
  formatHookAnswer,
  type HookAnswer,
  type HookRequest,
  mayRefuse,
  parseHookRequest,
} from "./request.ts";

/** From connection to answer, milliseconds: the hook gives up after 2000. */
const DEADLINE_MS = 1500;
/** The XML's own limit (1 MiB), and its head. */
const MAX_REQUEST_BYTES = (1 << 20) + 4096;
/** libvirtd runs at most 20 workers unless its operator wants more (max_workers), each waits for one hook. */
const MAX_CONNECTIONS = 256;

export interface HookServerOptions {
  /** A path to bind (mode 0600), or a listening socket that systemd has passed on. */
  readonly listen: { readonly path: string } | { readonly fd: number };
  /** What is to be in force before the guest goes on must be so when this settles. */
  readonly handle: (request: HookRequest) => HookAnswer | Promise<HookAnswer>;
  /** Told of everything that was answered `accept` only because something failed. */
  readonly report: (error: UplinkError) => void;
  readonly deadlineMs?: number;
}

export interface HookServer {
  /** Stops listening; open requests are answered first. */
  readonly close: () => Promise<void>;
}

/**
 * Listens for hooks.
 * @throws HookError if the socket can't be had, or another daemon answers on it
 */
export async function startHookServer(options: HookServerOptions): Promise<HookServer> {
  // Half open: the hook ends its side after the XML and still reads the answer.
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    serve(socket, options);
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.on("drop", () => {
    const message = `more than ${MAX_CONNECTIONS} at once: one was turned away, and libvirt's events tell of its domain later (max_workers in libvirtd.conf bounds them)`;
    options.report(new HookError("hook socket", message));
  });
  await listen(server, options.listen);
  server.on("error", (error) => options.report(new HookError("hook socket", error.message)));
  return { close: () => close(server, sockets, options.deadlineMs ?? DEADLINE_MS) };
}

function serve(socket: Socket, options: HookServerOptions): void {
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS;
  const chunks: Buffer[] = [];
  let bytes = 0;
  let answered = false;
  let isTooLong = false;
  let object = "a hook's request";
  const answer = (decision: HookAnswer, failure?: UplinkError) => {
    if (answered) return;
    answered = true;
    clearTimeout(timer);
    if (failure !== undefined) options.report(failure);
    socket.end(formatHookAnswer(decision));
    // A peer that doesn't end its side would keep the socket for ever.
    setTimeout(() => afterReading(() => socket.destroy()), deadlineMs).unref();
  };
  const fail = (failure: UplinkError) => answer({ accept: true }, failure);
  const timer = setTimeout(() => {
    afterReading(() =>
      fail(new HookError(object, `not done within ${deadlineMs} ms; accepted without`)),
    );
  }, deadlineMs);
  socket.on("error", (error) => {
    // A hook that has given up is not there to read; the domain's state is seen by libvirt's events all the same.
    if (!answered) options.report(new HookError(object, `connection lost: ${error.message}`));
    answered = true;
    clearTimeout(timer);
  });
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= MAX_REQUEST_BYTES) chunks.push(chunk);
    else {
      chunks.length = 0;
      isTooLong = true;
      fail(new HookError(object, `more than ${MAX_REQUEST_BYTES} bytes; accepted unread`));
    }
  });
  socket.on("end", () => {
    if (isTooLong) return;
    void decide(Buffer.concat(chunks).toString("utf8"), options, (request) => {
      object = `hook ${request.operation} of domain ${request.domain}`;
    }).then(({ decision, failure }) => {
      if (answered && failure !== undefined) options.report(failure);
      if (answered && !decision.accept)
        options.report(new HookError(object, `refused too late, it goes on: ${decision.reason}`));
      answer(decision, failure);
    });
  });
}

/**
 * Runs something once what has arrived by now has been read: after the loop has stood still, timers come before it.
 */
function afterReading(run: () => void): void {
  setImmediate(run);
}

async function decide(
  text: string,
  options: HookServerOptions,
  announce: (request: HookRequest) => void,
): Promise<{ decision: HookAnswer; failure?: UplinkError }> {
  try {
    const request = parseHookRequest(text);
    announce(request);
    const decision = await options.handle(request);
    if (decision.accept || mayRefuse(request)) return { decision };
    const object = `hook ${request.operation} of domain ${request.domain}`;
    return {
      decision: { accept: true },
      failure: new HookError(object, `it can't be refused (${decision.reason})`),
    };
  } catch (error) {
    return { decision: { accept: true }, failure: toUplinkError(error) };
  }
}

async function close(server: Server, sockets: Set<Socket>, deadlineMs: number): Promise<void> {
  // Every request has its answer by then.
  const timer = setTimeout(() => {
    for (const socket of sockets) socket.destroy();
  }, deadlineMs + 100);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  clearTimeout(timer);
}

function toUplinkError(error: unknown): UplinkError {
  if (error instanceof UplinkError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new HookError("a hook's request", message, { cause: error });
}

async function listen(server: Server, where: HookServerOptions["listen"]): Promise<void> {
  if ("path" in where) await removeStaleSocket(where.path);
  const object = "path" in where ? `hook socket ${where.path}` : `hook socket, fd ${where.fd}`;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      reject(new HookError(object, `can't listen: ${error.message}`, { cause: error }));
    });
    server.once("listening", () => {
      server.removeAllListeners("error");
      resolve();
    });
    // bind() happens within this call: no moment at which others may connect.
    const umask = process.umask(0o177);
    try {
      server.listen(where);
    } finally {
      process.umask(umask);
    }
  });
}

/** A socket that nobody listens on is what a killed daemon leaves. */
async function removeStaleSocket(path: string): Promise<void> {
  const code = await new Promise<string>((resolve) => {
    const probe = createConnection(path);
    probe.on("connect", () => {
      probe.destroy();
      resolve("");
    });
    probe.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
  if (code === "") {
    throw new HookError(`hook socket ${path}`, "another daemon answers there; stop it first");
  }
  if (code === "ECONNREFUSED") unlinkSync(path);
}
