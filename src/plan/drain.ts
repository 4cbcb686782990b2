/** Whether an uplink can be taken out of service without breaking a reservation. Pure. */
import { formatRate } from "../model/units.ts";
import type { TeamState, World } from "../model/world.ts";
import { membersOf, reckon, settled } from "./reckoning.ts";
import { isShort } from "./share.ts";
import { wiringOf } from "./steering.ts";
import { judgeUplinks } from "./usable.ts";

/**
 * Asks what the drain of a team's uplink would break that holds now.
 * @returns a reason each for a person; empty where nothing breaks
 */
export function judgeDrain(world: World, team: TeamState, uplink: string): readonly string[] {
  if (wiringOf(team).steering === "hash")
    return [
      `bonding's hash sends by every port that is up: 'ip link set ${uplink} down' takes it out`,
    ];
  const drained = {
    ...team,
    uplinks: team.uplinks.map((entry) =>
      entry.name === uplink ? { ...entry, drainedAtMs: world.nowMs } : entry,
    ),
  };
  const others = judgeUplinks(drained, world.nowMs).filter(
    (entry) => entry.usable && entry.uplink.drainedAtMs === null,
  );
  if (others.length === 0) return ["no other uplink is usable"];
  const before = reckon(world, team, membersOf(world, team));
  const after = reckon(world, drained, settled(before.placed));
  return after.placed.flatMap(({ domain, vnic }) => {
    const { reservationBitsPerSecond } = vnic.policy.bandwidth;
    const gets = after.rates.get(vnic.mac) ?? 0;
    if (!isShort(reservationBitsPerSecond, gets)) return [];
    if (!isShort(before.rates.get(vnic.mac) ?? 0, gets)) return [];
    const [reserved, kept] = [reservationBitsPerSecond, gets].map(formatRate);
    return [
      `domain ${domain.name} ${vnic.mac} would keep ${kept} of its reservation of ${reserved}`,
    ];
  });
}
