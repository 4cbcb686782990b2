/** One follower of events: server-sent events over one response. */
import type { ServerResponse } from "node:http";
import type { UplinkEvent } from "../model/event.ts";
import type { ControlHandlers } from "./api.ts";

/** What a follower may lag behind before it is cut off: it must not grow the daemon, bytes. */
const MAX_LAG_BYTES = 1 << 20;
/** Comments between events, so that a dead follower is noticed, milliseconds. */
const HEARTBEAT_MS = 15_000;

/**
 * Sends what is in memory after a sequence and then each event as it comes. A follower that doesn't read is cut
 * off; it asks again from the last sequence that it saw, and `missed` tells it of a gap.
 */
export class EventStream {
  readonly #response: ServerResponse;
  readonly #stopFollowing: () => void;
  readonly #heartbeat: NodeJS.Timeout;
  #lastSequence: number;

  constructor(
    response: ServerResponse,
    handlers: Pick<ControlHandlers, "events" | "followEvents">,
    sinceSequence: number,
  ) {
    this.#response = response;
    this.#lastSequence = sinceSequence;
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    // Followed first and read then, so that none falls between; #send leaves out what was sent already.
    this.#stopFollowing = handlers.followEvents((event) => this.#send(event));
    let page = handlers.events(sinceSequence);
    // A daemon that was restarted counts from the beginning: then everything it has is new.
    if (page.lastSequence < sinceSequence) {
      this.#lastSequence = 0;
      page = handlers.events(0);
    }
    if (page.missed) this.#write("event: missed\ndata: {}\n\n");
    for (const event of page.events) this.#send(event);
    this.#write(": following\n\n");
    this.#heartbeat = setInterval(() => this.#write(":\n\n"), HEARTBEAT_MS);
    response.once("close", () => this.#stop());
  }

  end(): void {
    this.#stop();
    this.#response.end();
  }

  #send(event: UplinkEvent): void {
    if (event.sequence <= this.#lastSequence) return;
    this.#lastSequence = event.sequence;
    this.#write(`id: ${event.sequence}\ndata: ${JSON.stringify(event)}\n\n`);
  }

  #write(text: string): void {
    if (this.#response.writableLength > MAX_LAG_BYTES) this.#response.destroy();
    else if (!this.#response.writableEnded) this.#response.write(text);
  }

  #stop(): void {
    clearInterval(this.#heartbeat);
    this.#stopFollowing();
  }
}
