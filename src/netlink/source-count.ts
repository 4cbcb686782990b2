/** What the filters that judge source addresses have counted, out of the same message as the filter. */
import { FILTER_PRIORITY } from "../model/filter-priority.ts";
import type { SourceCount } from "../model/source-count.ts";
import { readActionStats } from "./action-stats.ts";
import { TCA_FLOWER_ACT } from "./filter.ts";
import type { Message } from "./message.ts";
import { parseTrafficControl, TCA_OPTIONS } from "./traffic-control.ts";

/**
 * Reads the frames of one filter.
 * @returns null for a filter that judges no source address
 * @throws NetlinkError
 */
export function parseSourceCount(message: Message, bond: string): SourceCount | null {
  const found = parseTrafficControl(message);
  const priority = found.info >>> 16;
  const { forged, passedOn } = FILTER_PRIORITY;
  if ((priority !== forged && priority !== passedOn) || found.handle === 0) return null;
  if (!found.attributes.has(TCA_OPTIONS)) return null;
  return {
    bond,
    fromIfindex: found.handle,
    kind: priority === forged ? "forged" : "unregistered",
    frames: readActionStats(found.options?.nested(TCA_FLOWER_ACT)).packets,
  };
}
