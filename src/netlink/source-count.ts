/** What the filters that judge source addresses have counted, out of the same message as the filter. */
import { FILTER_PRIORITY } from "../model/filter-priority.ts";
import type { SourceCount } from "../model/source-count.ts";
import { TCA_FLOWER_ACT } from "./filter.ts";
import type { Message } from "./message.ts";
import { parseTrafficControl, TCA_OPTIONS } from "./traffic-control.ts";

/** include/uapi/linux/pkt_cls.h */
const TCA_ACT_STATS = 4;
/** include/uapi/linux/gen_stats.h; struct gnet_stats_basic: u64 bytes, u32 packets. */
const TCA_STATS_BASIC = 1;
const TCA_STATS_PKT64 = 8;

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
  const stats = found.options?.nested(TCA_FLOWER_ACT)?.nested(1)?.nested(TCA_ACT_STATS);
  const basic = stats?.struct(TCA_STATS_BASIC, 12);
  return {
    bond,
    fromIfindex: found.handle,
    kind: priority === forged ? "forged" : "unregistered",
    frames: stats?.u64(TCA_STATS_PKT64) ?? BigInt(basic?.getUint32(8, true) ?? 0),
  };
}
