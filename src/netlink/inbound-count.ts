/** What a limit towards a guest has counted, out of the same message as its filter. */
import { FILTER_PRIORITY } from "../model/filter-priority.ts";
import type { InboundCount } from "../model/inbound-count.ts";
import { readActionStats } from "./action-stats.ts";
import { type Filter, TCA_FLOWER_ACT } from "./filter.ts";
import type { Message } from "./message.ts";
import { ETHERNET_HEADER_BYTES } from "./police.ts";
import { parseTrafficControl } from "./traffic-control.ts";

/**
 * Reads the count of one filter.
 * @param filter the same message, read as a filter
 * @returns null for a filter that is no inbound limit
 * @throws NetlinkError
 */
export function parseInboundCount(
  message: Message,
  { priority, match }: Filter,
  bond: string,
): InboundCount | null {
  if (priority !== FILTER_PRIORITY.inbound || match.kind !== "flower") return null;
  const mac = match.destination?.mac;
  if (mac === undefined) return null;
  const stats = readActionStats(parseTrafficControl(message).options?.nested(TCA_FLOWER_ACT));
  return {
    ...{ bond, mac, droppedPackets: stats.drops },
    arrivedBytes: Number(stats.bytes + stats.packets * BigInt(ETHERNET_HEADER_BYTES)),
  };
}
