/** What journald knows an event's id by. */
import { createHash } from "node:crypto";
import type { EventId } from "../model/event-id.ts";

/** journald's MESSAGE_ID of an id: 128 bits in hex, the same in every version, on every host. */
export function messageIdOf(id: EventId): string {
  return createHash("sha256").update(`uplinkd:event:${id}`).digest("hex").slice(0, 32);
}
