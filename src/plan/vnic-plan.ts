/** What a team's plan says of each vNIC; what says the same as before is the same object. */
import type { VnicPlan } from "../model/plan.ts";
import { wantOf } from "./demand.ts";
import type { Earlier } from "./earlier.ts";
import { ceilingOf } from "./grants.ts";
import { explainPlacement } from "./placement.ts";
import type { Member } from "./roster.ts";
import type { TeamResult } from "./team.ts";
import type { Usability } from "./usable.ts";

/** Says it, one entry a vNIC of the roster. @param earlier whose vNICs' plans are taken where they are the same */
export function describeVnics(result: TeamResult, earlier: Earlier | null): VnicPlan[] {
  const same = findSame(result, earlier);
  const old = same === null ? null : (earlier?.result.vnics ?? null);
  const { asked, uplinks, placement, grants, objects, expected } = result;
  const { roster, team } = asked;
  const names = uplinks.map((entry) => entry.uplink.name);
  const explain = explainPlacement(uplinks);
  const columns = grants.map(({ entry, rates }) => ({
    uplink: entry.uplink.name,
    capacity: entry.capacityBitsPerSecond,
    rates,
  }));
  const tell = (index: number): VnicPlan => {
    const member = roster.members[index] as Member;
    const { vnic, domain } = member;
    const { reservationBitsPerSecond, limitBitsPerSecond } = vnic.policy.bandwidth;
    const home = placement.homes[index] as number;
    const via = placement.vias[index] as number;
    const story = placement.stories?.get(index);
    const reasons =
      story === undefined
        ? explain(home, via, placement.reasons[index] as number)
        : [`home ${names[home]}: moved ${story}`];
    const minor = objects.minors[index] as number;
    const gets = expected[index] ?? 0;
    const unmet = Math.min(reservationBitsPerSecond, wantOf(member)) - gets;
    return {
      domain: domain.name,
      mac: vnic.mac,
      team: team.config.name,
      priority: vnic.policy.priority,
      home: names[home] ?? null,
      via: names[via] ?? null,
      minor,
      classes: columns.map(({ uplink, capacity, rates }) => {
        const rate = rates[index] as number;
        return {
          uplink,
          reservationBitsPerSecond: rate,
          limitBitsPerSecond: ceilingOf(limitBitsPerSecond, capacity, rate),
        };
      }),
      expectedBitsPerSecond: gets,
      unmetReservationBitsPerSecond: Math.max(0, unmet),
      survivesOneLoss: true,
      reasons:
        minor === 0 ? [...reasons, "no class number is left: it is in the default class"] : reasons,
    };
  };
  const plans = new Array<VnicPlan>(roster.members.length);
  for (let index = 0; index < plans.length; index += 1) {
    const known = same?.[index] === 1 ? old?.[earlier?.origins[index] as number] : undefined;
    plans[index] = known ?? tell(index);
  }
  return plans;
}

/**
 * Finds of whom an earlier plan says the same, column by column.
 * @returns 1 for each of those; null for nobody
 */
function findSame(result: TeamResult, earlier: Earlier | null): Uint8Array | null {
  if (earlier === null || !sameUplinks(result.uplinks, earlier.result.uplinks)) return null;
  const { origins, result: old } = earlier;
  const same = new Uint8Array(origins.length);
  for (let index = 0; index < same.length; index += 1)
    same[index] = (origins[index] as number) >= 0 ? 1 : 0;
  const isInPlace = origins.every((at, index) => at < 0 || at === index);
  const compare = (column: Column, other: Column): void => {
    // One that both share.
    if (column === other && isInPlace) return;
    for (let index = 0; index < same.length; index += 1)
      if (same[index] === 1 && column[index] !== other[origins[index] as number]) same[index] = 0;
  };
  compare(result.placement.homes, old.placement.homes);
  compare(result.placement.vias, old.placement.vias);
  compare(result.placement.reasons, old.placement.reasons);
  compare(result.objects.minors, old.objects.minors);
  compare(result.expected, old.expected);
  for (const [place, { rates }] of result.grants.entries())
    compare(rates, old.grants[place]?.rates ?? NOTHING);
  // What is said of one that evened out the load is a story of its own.
  for (const index of result.placement.stories?.keys() ?? []) same[index] = 0;
  const told = old.placement.stories;
  if (told !== undefined)
    for (const [index, at] of origins.entries()) if (told.has(at)) same[index] = 0;
  return same;
}

type Column = Float64Array | Int32Array | Int16Array | Uint8Array;

const NOTHING = new Float64Array(0);

/** Whether uplinks mean the same for what is said of a vNIC: names and reasons are in it, and capacities in its limits. */
function sameUplinks(one: readonly Usability[], other: readonly Usability[]): boolean {
  return one.every((entry, place) => {
    const match = other[place];
    return (
      match !== undefined &&
      entry.uplink.name === match.uplink.name &&
      entry.managed === match.managed &&
      entry.reason === match.reason &&
      entry.capacityBitsPerSecond === match.capacityBitsPerSecond
    );
  });
}
