/** What a team's plan says of each vNIC; what says the same as before is the same object. */
import type { VnicPlan } from "../model/plan.ts";
import { wantOf } from "./demand.ts";
import { ceilingOf } from "./grants.ts";
import { explainPlacement } from "./placement.ts";
import type { Earlier, TeamResult } from "./team.ts";
import type { Usability } from "./usable.ts";

/** Says it, one entry a vNIC of the roster. @param earlier whose vNICs' plans are taken where they are the same */
export function describeVnics(result: TeamResult, earlier: Earlier | null): VnicPlan[] {
  const known = findSame(result, earlier);
  const { asked, uplinks, placement, grants, objects, expected } = result;
  const { roster, team } = asked;
  const names = uplinks.map((entry) => entry.uplink.name);
  const explain = explainPlacement(uplinks);
  const columns = grants.map(({ entry, rates }) => ({
    uplink: entry.uplink.name,
    capacity: entry.capacityBitsPerSecond,
    rates,
  }));
  return roster.members.map((member, index): VnicPlan => {
    const same = known(index);
    if (same !== null) return same;
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
  });
}

/** Finds what an earlier plan says of a vNIC, if this one says the same. */
function findSame(
  { uplinks, placement, grants, objects, expected }: TeamResult,
  earlier: Earlier | null,
): (index: number) => VnicPlan | null {
  if (earlier === null || !sameUplinks(uplinks, earlier.result.uplinks)) return () => null;
  const { result: old, origins } = earlier;
  const { vnics, objects: oldObjects, expected: oldExpected, placement: oldPlacement } = old;
  const rates = grants.map((grant) => grant.rates);
  const oldRates = old.grants.map((grant) => grant.rates);
  return (index) => {
    const at = origins[index] as number;
    if (
      at < 0 ||
      placement.stories?.has(index) === true ||
      oldPlacement.stories?.has(at) === true ||
      placement.homes[index] !== oldPlacement.homes[at] ||
      placement.vias[index] !== oldPlacement.vias[at] ||
      placement.reasons[index] !== oldPlacement.reasons[at] ||
      objects.minors[index] !== oldObjects.minors[at] ||
      expected[index] !== oldExpected[at]
    )
      return null;
    for (let place = 0; place < rates.length; place += 1)
      if (rates[place]?.[index] !== oldRates[place]?.[at]) return null;
    return vnics[at] ?? null;
  };
}

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
