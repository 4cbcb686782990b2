/** act_police as we use it: what is above a rate is dropped, the rest is classified on. */
import { TC_ACT_CONTINUE, TC_ACT_DROP } from "./action.ts";
import type { Attributes } from "./attribute.ts";
import type { MessageBuilder } from "./message.ts";

/** include/uapi/linux/pkt_cls.h */
const TCA_POLICE_TBF = 1;
const TCA_POLICE_RATE = 2;
const TCA_POLICE_AVRATE = 4;
const TCA_POLICE_RESULT = 5;
const TCA_POLICE_RATE64 = 8;
/** TCA_POLICE_PKTRATE64, PKTBURST64 and PEAKRATE64: nothing that we set. */
const TCA_POLICE_OTHERS = [TCA_POLICE_AVRATE, 9, 10, 11];
/** struct tc_police: index, action, limit, burst, mtu, two tc_ratespec of 12 bytes, refcnt, bindcnt, capab. */
const TC_POLICE_BYTES = 56;
const TC_LINKLAYER_ETHERNET = 1;
/** The kernel wants a table of 256 words with each rate (qdisc_get_rtab), and with a known link layer looks into none. */
const RATE_TABLE: readonly number[] = new Array<number>(256).fill(0);
/** Any that is allowed with that table: 1 to 31. */
const CELL_LOG = 14;
/** On a device's ingress a frame is counted without its Ethernet header (sch_handle_ingress). */
export const ETHERNET_HEADER_BYTES = 14;
/** No frame is larger, joined ones included (GRO_MAX_SIZE, 512 KiB). */
const MTU_BYTES = 1 << 21;
const MAX_RATE32 = 0xffffffff;

/** Drops what is above the rate, and lets other filters see the rest. */
export interface Police {
  readonly kind: "police";
  readonly rateBytesPerSecond: number;
  /** psched ticks of 64 ns. */
  readonly burstTicks: number;
}

/** Appends the action's options as attribute `type`. */
export function writePolice(
  builder: MessageBuilder,
  type: number,
  { rateBytesPerSecond: rate, burstTicks }: Police,
): void {
  builder.nest(type, (options) => {
    const rateWords = [
      CELL_LOG | (TC_LINKLAYER_ETHERNET << 8) | (ETHERNET_HEADER_BYTES << 16),
      0,
      Math.min(rate, MAX_RATE32),
    ];
    options.words(TCA_POLICE_TBF, [
      ...[0, TC_ACT_DROP, 0, burstTicks, MTU_BYTES],
      ...rateWords,
      ...[0, 0, 0],
      ...[0, 0, 0],
    ]);
    options.words(TCA_POLICE_RATE, RATE_TABLE);
    options.words(TCA_POLICE_RESULT, [TC_ACT_CONTINUE]);
    if (rate > MAX_RATE32) options.u64(TCA_POLICE_RATE64, BigInt(rate));
  });
}

/** Reads it; null for one that isn't as we write it. */
export function parsePolice(options: Attributes): Police | null {
  const parms = options.struct(TCA_POLICE_TBF, TC_POLICE_BYTES);
  if (parms === null || TCA_POLICE_OTHERS.some((type) => options.has(type))) return null;
  const isOurs =
    parms.getInt32(4, true) === TC_ACT_DROP &&
    parms.getUint32(16, true) === MTU_BYTES &&
    parms.getUint16(22, true) === ETHERNET_HEADER_BYTES &&
    // No peak rate.
    parms.getUint32(40, true) === 0 &&
    options.u32(TCA_POLICE_RESULT) === TC_ACT_CONTINUE >>> 0;
  if (!isOurs) return null;
  const rate64 = options.u64(TCA_POLICE_RATE64);
  return {
    kind: "police",
    rateBytesPerSecond: rate64 === null ? parms.getUint32(28, true) : Number(rate64),
    burstTicks: parms.getUint32(12, true),
  };
}
