/** Asks the daemon over its sockets. */
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import type {
  ConfirmAnswer,
  DrainAnswer,
  EnableAnswer,
  EnablePart,
  ErrorAnswer,
  EventPage,
  Explanation,
  HoldAnswer,
  ReleaseAnswer,
} from "../control/api.ts";
import { API_HEADER, API_VERSIONS, VERSION_HEADER } from "../control/version.ts";
import type { UplinkEvent } from "../model/event.ts";
import type { SimulationDocument } from "../model/simulation.ts";
import type { Status } from "../model/status.ts";
import { clip } from "../model/units.ts";
import { VERSION } from "../model/version.ts";
import { Failure } from "./failure.ts";

/** For questions: the daemon answers from memory, so more means that it hangs; milliseconds. */
const QUESTION_TIMEOUT_MS = 10_000;
/** For what changes something, which the daemon itself bounds at 60 s; milliseconds. */
const RELEASE_TIMEOUT_MS = 70_000;
/** Largest answer: 10,000 vNICs of half a kilobyte, several times over; bytes. */
const MAX_ANSWER_BYTES = 64 << 20;

/** Errors of connecting that mean that no daemon is there. */
const ABSENT = ["ENOENT", "ECONNREFUSED", "ENOTSOCK"];

/** Runs a question and may tell that it takes long. @param what is waited for, in words */
type Waiting = <T>(what: string, ask: () => Promise<T>) => Promise<T>;

/**
 * A client of the local API. Every method fails with a Failure: exit code 3 where the daemon can't be reached,
 * 2 where what was asked for doesn't exist, else 1.
 */
export class ControlClient {
  readonly #directory: string;
  readonly #wait: Waiting;

  /**
   * @param directory where the sockets are
   * @param wait told of every question, for whoever waits for its answer
   */
  constructor(directory: string, wait: Waiting = (_, ask) => ask()) {
    this.#directory = directory;
    this.#wait = wait;
  }

  status(): Promise<Status> {
    return this.#read("/v1/status");
  }

  explain(domain: string): Promise<Explanation> {
    return this.#read(`/v1/explain/${encodeURIComponent(domain)}`);
  }

  /** @param failed uplinks of this host */
  simulate(failed: readonly string[]): Promise<SimulationDocument> {
    const query = failed.map((name) => `fail=${encodeURIComponent(name)}`).join("&");
    return this.#read(`/v1/simulate?${query}`);
  }

  events(sinceSequence: number): Promise<EventPage> {
    return this.#read(`/v1/events?since=${sinceSequence}`);
  }

  /** Yields events until the daemon ends the stream. "missed": some are no longer in its memory. */
  async *followEvents(sinceSequence: number): AsyncGenerator<UplinkEvent | "missed"> {
    const target = `/v1/events?since=${sinceSequence}&follow=1`;
    const stream = await this.#open("GET", target, this.#readSockets(), 0);
    if (stream.statusCode !== 200) throw await refusal(stream);
    stream.setEncoding("utf8");
    let rest = "";
    try {
      for await (const chunk of stream) {
        const blocks = `${rest}${chunk}`.split("\n\n");
        rest = blocks.pop() ?? "";
        for (const block of blocks) {
          if (block.startsWith("event: missed")) yield "missed";
          const data = /^data: (.*)$/m.exec(block)?.[1];
          if (data !== undefined && /^id: /m.test(block)) yield JSON.parse(data) as UplinkEvent;
        }
      }
    } catch (error) {
      // A daemon that dies in mid-answer ends the stream like one that ends it.
      if (!isSystemError(error)) throw error;
    }
  }

  /** @returns null where no daemon is there to do it */
  async release(): Promise<ReleaseAnswer | null> {
    const sockets = [join(this.#directory, "control.sock")];
    try {
      return await this.#ask("POST", "/v1/release", sockets, RELEASE_TIMEOUT_MS);
    } catch (error) {
      if (error instanceof Failure && error.kind === "absent") return null;
      throw error;
    }
  }

  observe(): Promise<ReleaseAnswer> {
    return this.#act("observe");
  }

  /** @param confirmWithinMs after so long it is rolled back unless confirmed; null: for good */
  enable(confirmWithinMs: number | null, part: EnablePart): Promise<EnableAnswer> {
    const query = new URLSearchParams();
    if (confirmWithinMs !== null) query.set("confirmMs", String(confirmWithinMs));
    if (part.kind === "team") query.set("team", part.team);
    if (part.kind === "domain") query.set("domain", part.domain);
    return this.#act(query.size === 0 ? "enable" : `enable?${query}`);
  }

  confirm(): Promise<ConfirmAnswer> {
    return this.#act("confirm");
  }

  hold(domain: string): Promise<HoldAnswer> {
    return this.#act(`hold/${encodeURIComponent(domain)}`);
  }

  unhold(domain: string): Promise<HoldAnswer> {
    return this.#act(`unhold/${encodeURIComponent(domain)}`);
  }

  /** Fails with exit code 1 and the reasons where reservations would break and it isn't forced. */
  drain(uplink: string, force: boolean): Promise<DrainAnswer> {
    return this.#act(`drain/${encodeURIComponent(uplink)}${force ? "?force=1" : ""}`);
  }

  undrain(uplink: string): Promise<DrainAnswer> {
    return this.#act(`undrain/${encodeURIComponent(uplink)}`);
  }

  #act<T>(what: string): Promise<T> {
    const sockets = [join(this.#directory, "control.sock")];
    return this.#ask("POST", `/v1/${what}`, sockets, RELEASE_TIMEOUT_MS);
  }

  #read<T>(target: string): Promise<T> {
    return this.#ask("GET", target, this.#readSockets(), QUESTION_TIMEOUT_MS);
  }

  /** read.sock first: it does for everyone; control.sock for a daemon that was started without it. */
  #readSockets(): string[] {
    return [join(this.#directory, "read.sock"), join(this.#directory, "control.sock")];
  }

  async #ask<T>(method: string, target: string, sockets: string[], limitMs: number): Promise<T> {
    const text = await this.#wait(`uplinkd works on ${target.split("?")[0]}`, async () => {
      const answer = await this.#open(method, target, sockets, limitMs);
      if (answer.statusCode !== 200) throw await refusal(answer);
      return await readText(answer);
    });
    try {
      return JSON.parse(text) as T;
    } catch {
      throw strangeAnswer(sockets[0] ?? "");
    }
  }

  async #open(
    method: string,
    target: string,
    sockets: readonly string[],
    limitMs: number,
  ): Promise<IncomingMessage> {
    let first: Failure | null = null;
    for (const socket of sockets) {
      try {
        return await open(method, target, socket, limitMs);
      } catch (error) {
        const failure = unreachable(socket, error);
        first ??= failure;
        if (failure.kind !== "absent") throw failure;
      }
    }
    throw first ?? unreachable(this.#directory, new Error("no socket"));
  }
}

function open(
  method: string,
  target: string,
  socket: string,
  limitMs: number,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const signal = limitMs > 0 ? AbortSignal.timeout(limitMs) : undefined;
    const asked = request({
      socketPath: socket,
      method,
      path: target,
      headers: { [API_HEADER]: API_VERSIONS.join(", ") },
      // One question a command: a connection kept open would only keep the process alive.
      agent: false,
      ...(signal === undefined ? {} : { signal }),
    });
    asked.on("response", resolve);
    asked.on("error", (error) => reject(signal?.aborted === true ? new Silence(limitMs) : error));
    asked.end();
  });
}

/** Connected, and then nothing. */
class Silence extends Error {
  readonly code = "ETIMEDOUT";

  constructor(limitMs: number) {
    super(`did not answer within ${limitMs / 1000} s`);
  }
}

function unreachable(socket: string, error: unknown): Failure {
  const code = isSystemError(error) ? error.code : "";
  if (ABSENT.includes(code)) {
    return new Failure(3, {
      kind: "absent",
      object: socket,
      message: `uplinkd is not running (${code})`,
      remedy: "start it: systemctl start uplinkd",
    });
  }
  if (code === "EACCES" || code === "EPERM") {
    return new Failure(3, {
      kind: "denied",
      object: socket,
      message: "you may not use this socket",
      remedy: "be root, or for reading a member of the group uplinkd",
    });
  }
  return new Failure(3, {
    kind: "silent",
    object: socket,
    message: error instanceof Silence ? `uplinkd ${error.message}` : `uplinkd hung up (${code})`,
    remedy: "see `systemctl status uplinkd` and `journalctl -u uplinkd`",
  });
}

async function refusal(answer: IncomingMessage): Promise<Failure> {
  let told: ErrorAnswer["error"] | undefined;
  try {
    told = (JSON.parse(await readText(answer)) as Partial<ErrorAnswer>).error;
  } catch {
    // Falls through: whatever answered there was not uplinkd.
  }
  if (told === undefined) return strangeAnswer(`HTTP ${answer.statusCode}`);
  const { [VERSION_HEADER]: theirs } = answer.headers;
  // A path that it doesn't know is one that it doesn't know yet.
  if (told.kind === "not-found" && told.object.startsWith("/") && theirs !== VERSION) {
    const daemon = typeof theirs === "string" ? theirs : "of an earlier version";
    told = {
      kind: "version",
      object: "uplinkd",
      message: `is ${daemon} and doesn't know this; uplinkctl is ${VERSION}`,
      remedy: "systemctl restart uplinkd; the kernel enforces on meanwhile",
    };
  }
  return new Failure(answer.statusCode === 404 || answer.statusCode === 400 ? 2 : 1, told);
}

function strangeAnswer(object: string): Failure {
  return new Failure(1, {
    kind: "protocol",
    object: clip(object),
    message: "the answer could not be read",
    remedy: "uplinkctl and uplinkd may be of different versions",
  });
}

async function readText(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of answer) {
      chunks.push(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (bytes > MAX_ANSWER_BYTES) throw strangeAnswer("uplinkd");
    }
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw unreachable("uplinkd", error);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function isSystemError(error: unknown): error is Error & { code: string } {
  return error instanceof Error && "code" in error && typeof error.code === "string";
}
