/** What is told of frames towards a vNIC: its limit, and what that has counted. */
import type { VnicStatus } from "../model/status.ts";
import { formatRate } from "../model/units.ts";
import type { VnicState } from "../model/world.ts";
import type { Run } from "./loop.ts";

type Counted = Pick<Run, "world" | "inboundCounts">;

/** What the limit has counted, for status; nothing where none stands in the kernel. */
export function inboundCounts(
  { mac, team }: VnicState,
  { world, inboundCounts: counts }: Counted,
): Pick<VnicStatus, "inboundBytes" | "inboundDrops"> {
  const bond = world.teams.find(({ config }) => config.name === team)?.bond?.name;
  const own = counts.find((one) => one.mac === mac && one.bond === bond);
  return own === undefined
    ? {}
    : { inboundBytes: own.arrivedBytes, inboundDrops: own.droppedPackets };
}

/** What holds for frames towards a vNIC, for people; none where nothing is done about them. */
export function inboundReasons(vnic: VnicState, run: Counted): string[] {
  const { inbound } = vnic.policy;
  if (inbound === undefined) return [];
  const limit = formatRate(inbound.limitBitsPerSecond);
  if (vnic.team === null) return [`inbound: not limited to ${limit}, as it isn't shaped`];
  const { inboundBytes, inboundDrops } = inboundCounts(vnic, run);
  return [
    `inbound: what reaches it from the wire is limited to ${limit}, by dropping on the bond; it can be limited, never guaranteed, and frames between guests of this host don't count`,
    ...(inboundBytes === undefined
      ? []
      : [
          `inbound: ${inboundBytes} bytes came for it so far, ${inboundDrops} packets of them were dropped`,
        ]),
  ];
}
