/** Counters of qdiscs and classes: TCA_STATS2 (include/uapi/linux/gen_stats.h). */
import type { Attributes } from "./attribute.ts";
import { TCA_STATS2 } from "./traffic-control.ts";

const TCA_STATS_BASIC = 1;
const TCA_STATS_QUEUE = 3;
const TCA_STATS_PKT64 = 8;

export interface Stats {
  readonly bytes: bigint;
  readonly packets: bigint;
  readonly queuedPackets: number;
  readonly backlogBytes: number;
  readonly drops: number;
  readonly overlimits: number;
}

/** @returns null where the message has no statistics @throws NetlinkError */
export function parseStats(attributes: Attributes): Stats | null {
  const stats = attributes.nested(TCA_STATS2);
  if (stats === null) return null;
  // struct gnet_stats_basic is padded to 16, but only 12 are ever used.
  const basic = stats.struct(TCA_STATS_BASIC, 12);
  const queue = stats.struct(TCA_STATS_QUEUE, 20);
  return {
    bytes: basic?.getBigUint64(0, true) ?? 0n,
    packets: stats.u64(TCA_STATS_PKT64) ?? BigInt(basic?.getUint32(8, true) ?? 0),
    queuedPackets: queue?.getUint32(0, true) ?? 0,
    backlogBytes: queue?.getUint32(4, true) ?? 0,
    drops: queue?.getUint32(8, true) ?? 0,
    overlimits: queue?.getUint32(16, true) ?? 0,
  };
}
