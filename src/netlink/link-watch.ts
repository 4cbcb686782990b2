/** Which links carry traffic, from the header of link messages alone: the little that a reaction has to know. */
import { viewOf } from "./attribute.ts";
import { RTM_DELLINK, RTM_NEWLINK } from "./link.ts";
import type { Message } from "./message.ts";

/** include/uapi/linux/if.h. IFF_LOWER_UP is set while the device is up and has carrier (dev_get_flags). */
const IFF_UP = 0x1;
const IFF_LOWER_UP = 0x10000;
const IFINFOMSG_BYTES = 16;

/** What one message says of its link. */
export interface LinkHealth {
  readonly ifindex: number;
  readonly good: boolean;
}

/** Reads a message's header; null if it tells nothing of a link's state. Never throws. */
export function readHealth(message: Message): LinkHealth | null {
  const { type, body } = message;
  if ((type !== RTM_NEWLINK && type !== RTM_DELLINK) || body.length < IFINFOMSG_BYTES) return null;
  const view = viewOf(body);
  // Other families (AF_BRIDGE) tell of a port in its bridge; its deletion there is no loss of the link.
  if (view.getUint8(0) !== 0) return null;
  const flags = view.getUint32(8, true);
  const good = type === RTM_NEWLINK && (flags & IFF_UP) !== 0 && (flags & IFF_LOWER_UP) !== 0;
  return { ifindex: view.getInt32(4, true), good };
}

/** Remembers which links were good, so that each loss is seen once. */
export class LinkWatch {
  readonly #good = new Set<number>();

  /** Takes note; true if the link was good until now and is no more. */
  note({ ifindex, good }: LinkHealth): boolean {
    const lost = !good && this.#good.delete(ifindex);
    if (good) this.#good.add(ifindex);
    return lost;
  }
}
