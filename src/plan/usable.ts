/** Which uplinks of a team may carry vNICs now, and why not. */
import { quantizeRate } from "../model/units.ts";
import type { TeamState, UplinkState } from "../model/world.ts";
import { wiringOf } from "./steering.ts";

export interface Usability {
  readonly uplink: UplinkState;
  /** Whether uplinkd programs it at all: speed known, in the bond, nothing foreign in our place. */
  readonly managed: boolean;
  /** Whether vNICs may be placed there. */
  readonly usable: boolean;
  /** Frames can leave by it although it waits for its hold-down or the bond's updelay. */
  readonly ready: boolean;
  /** Capacity that failed, as against capacity that an operator took away: what policies discard for. */
  readonly lost: boolean;
  readonly reason: string;
  /** When its hold-down ends; null: it waits for none. */
  readonly heldUntilMs: number | null;
  /** Speed less headroom, whole bytes; 0 where not managed. */
  readonly capacityBitsPerSecond: number;
}

/** One entry an uplink, in the team's order. */
export function judgeUplinks(team: TeamState, nowMs: number): readonly Usability[] {
  const judged = team.uplinks.map((uplink) => judgeUplink(team, uplink, nowMs));
  if (judged.some((entry) => entry.usable)) return judged;
  // With nothing better left, one that waits is taken, else one that is drained, else one whose path seems dead:
  // the driver sends by them all the same, and it may be the probe's target that died.
  const lastResorts: ((entry: Usability) => boolean)[] = [
    (entry) => entry.ready,
    (entry) => hasLink(entry) && entry.uplink.healthy,
    hasLink,
  ];
  const resort = lastResorts.find((test) => judged.some(test));
  if (resort === undefined) return judged;
  return judged.map((entry) =>
    resort(entry)
      ? { ...entry, usable: true, reason: `${entry.reason}; taken, there is no other` }
      : entry,
  );
}

function hasLink({ managed, uplink }: Usability): boolean {
  return managed && uplink.adminUp && uplink.carrier && uplink.distributing;
}

function judgeUplink(team: TeamState, uplink: UplinkState, nowMs: number): Usability {
  const speed = uplink.speedBitsPerSecond;
  const unmanaged = unmanagedReason(team, uplink);
  if (unmanaged !== null || speed === null) {
    return {
      uplink,
      managed: false,
      usable: false,
      ready: false,
      // A port that was there and left the bond is missed; one that never was is merely not ours.
      lost: !uplink.inBond && uplink.lostAtMs !== null,
      reason: unmanaged ?? "speed unknown",
      heldUntilMs: null,
      capacityBitsPerSecond: 0,
    };
  }
  return {
    uplink,
    managed: true,
    capacityBitsPerSecond: quantizeRate(Math.round(speed * (1 - team.config.headroom))),
    ...(wiringOf(team).steering === "hash" ? judgeHashed(uplink) : judgeLink(uplink, nowMs)),
  };
}

function unmanagedReason(team: TeamState, uplink: UplinkState): string | null {
  const conflict = team.conflicts.find((found) => found.blocking && found.device === uplink.name);
  if (conflict !== undefined) return `not taken over: ${conflict.message}`;
  if (!uplink.inBond) return "not a port of the bond";
  if (uplink.speedBitsPerSecond === null || uplink.speedBitsPerSecond <= 0) {
    const { uplinks } = team.config;
    if (uplinks.length > 0 && !uplinks.some(({ name }) => name === uplink.name)) {
      return "not one of the team's uplinks in uplinkd.yaml: what leaves by it is not shaped";
    }
    return "speed unknown: state it in uplinkd.yaml (uplinks: [{name, speed}])";
  }
  return null;
}

type Link = Pick<Usability, "usable" | "ready" | "lost" | "reason" | "heldUntilMs">;

function judgeLink(uplink: UplinkState, nowMs: number): Link {
  const drained = uplink.drainedAtMs !== null;
  const dead = (reason: string): Link => ({
    usable: false,
    ready: false,
    // What was drained before its cable was pulled fails nobody.
    lost: !drained,
    reason: drained ? `drained by an operator, ${reason}` : reason,
    heldUntilMs: null,
  });
  if (!uplink.adminUp) return dead("administratively down");
  if (!uplink.carrier) return dead("no carrier");
  if (!uplink.distributing) return dead("LACP has not agreed on it: bonding doesn't send by it");
  if (!uplink.healthy) {
    const { pathReason } = uplink;
    return dead(`link up, but its path is dead${pathReason === "" ? "" : `: ${pathReason}`}`);
  }
  if (drained) return dead("its link is up");
  const heldUntilMs = uplink.returnedAtMs === null ? null : uplink.returnedAtMs + uplink.holdDownMs;
  if (heldUntilMs !== null && nowMs < heldUntilMs) {
    const seconds = Math.ceil((heldUntilMs - nowMs) / 1000);
    return {
      ...dead(`returned, in hold-down for ${seconds}s more`),
      ready: true,
      heldUntilMs,
    };
  }
  if (!uplink.bondUp) return { ...dead("carrier is back, the bond's updelay runs"), ready: true };
  return { usable: true, ready: true, lost: false, reason: "usable", heldUntilMs: null };
}

/** What bonding's hash counts is used whatever we think of it: neither a hold-down nor a drain keeps frames off it. */
function judgeHashed(uplink: UplinkState): Link {
  const { adminUp, carrier, bondUp, distributing, drainedAtMs } = uplink;
  if (adminUp && carrier && bondUp && distributing) {
    const reason =
      drainedAtMs === null ? "usable" : "drained, but bonding's hash sends by it all the same";
    return { usable: true, ready: true, lost: false, reason, heldUntilMs: null };
  }
  return { ...judgeLink({ ...uplink, returnedAtMs: null }, 0), ready: false };
}
