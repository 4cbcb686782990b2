/** What the kernel has counted for a filter, in the statistics of its first action. */
import type { Attributes } from "./attribute.ts";

/** include/uapi/linux/pkt_cls.h */
const TCA_ACT_STATS = 4;
/** include/uapi/linux/gen_stats.h; struct gnet_stats_basic: u64 bytes, u32 packets. */
const TCA_STATS_BASIC = 1;
/** struct gnet_stats_queue: qlen, backlog, drops, requeues, overlimits, u32 each. */
const TCA_STATS_QUEUE = 3;
const TCA_STATS_PKT64 = 8;

export interface ActionStats {
  /** As the action was given them: on a device's ingress without their Ethernet headers. */
  readonly bytes: bigint;
  readonly packets: bigint;
  readonly drops: number;
}

/** Reads them from a filter's list of actions; zeros where there are none. @throws NetlinkError */
export function readActionStats(actions: Attributes | null | undefined): ActionStats {
  const stats = actions?.nested(1)?.nested(TCA_ACT_STATS);
  const basic = stats?.struct(TCA_STATS_BASIC, 12);
  return {
    bytes: basic?.getBigUint64(0, true) ?? 0n,
    packets: stats?.u64(TCA_STATS_PKT64) ?? BigInt(basic?.getUint32(8, true) ?? 0),
    drops: stats?.struct(TCA_STATS_QUEUE, 20)?.getUint32(8, true) ?? 0,
  };
}
