/**
 * What is to be done to domains while their team is degraded: for the settled state after a loss, which domains
 * can't get what they wanted before it, lowest priority first, sharing anew after each.
 */
import { FAILOVER_ACTIONS, type Failover, type FailoverAction } from "../model/policy.ts";
import { formatRate } from "../model/units.ts";
import type { DomainState, TeamState, World } from "../model/world.ts";
import { findEnough } from "./expect.ts";
import type { Load } from "./load.ts";
import { whyNowhere } from "./migration.ts";
import type { Member, Roster } from "./roster.ts";
import { isShort } from "./share.ts";
import { Sharing, shareOut } from "./sharing.ts";

/** A domain that is to be throttled, discarded, paused or migrated. */
export interface Casualty {
  readonly domain: DomainState;
  /** Its vNICs in the roster: from `first` up to but not including `end`. */
  readonly first: number;
  readonly end: number;
  readonly action: FailoverAction;
  /** World time: once its grace is over; of one whose own home is lost and that is discarded then, now. */
  readonly dueAtMs: number;
  readonly reason: string;
}

/** By what of its demand each vNIC is judged, NaN where nothing was measured. */
export type Judged = Float64Array;

/**
 * Judges the domains of a degraded team that has a usable uplink. The answer doesn't depend on what has been done
 * to them already: a domain that we paused is judged by what it wanted before, so it stays paused exactly as long
 * as it would be paused anew.
 * @param sinceMs when the team became degraded, world time
 * @returns the casualties in the order in which they fall
 */
export function settleDegradation(
  world: World,
  team: TeamState,
  load: Load,
  judged: Judged,
  sinceMs: number,
): readonly Casualty[] {
  const { roster } = load;
  const { vias } = load.placement;
  const silence = new Uint8Array(roster.members.length);
  const casualties: Casualty[] = [];
  for (const first of listDiscarding(roster)) {
    const end = roster.ends[first] as number;
    const index = discardedAt(load, first, end);
    if (index < 0) continue;
    silence.fill(1, first, end);
    const entry = { domain: roster.members[first]?.domain as DomainState, first, end };
    const home = load.uplinks[load.placement.homes[index] as number]?.entry.uplink.name;
    const reason = `its home ${home} is lost, and its policy discards then`;
    casualties.push({ ...entry, action: "discard", dueAtMs: world.nowMs, reason });
  }
  const enough = findEnough(team, load, silence);
  const lacking = load.uplinks.filter(({ entry, place }) => entry.usable && enough[place] !== true);
  if (lacking.length === 0) return casualties;
  const shared = shareOut(team, load, silence);
  const sharings = load.uplinks.map((uplink) =>
    lacking.includes(uplink) ? new Sharing(shared, uplink) : null,
  );
  const lack = (index: number): number | null => {
    const via = vias[index] as number;
    const demand = judged[index] as number;
    const sharing = sharings[via];
    if (Number.isNaN(demand) || sharing === null) return null;
    const gets = sharing?.expect(index) ?? 0;
    return isShort(Math.min(demand, roster.wants[index] as number), gets) ? gets : null;
  };
  // Whoever goes leaves more to the others, so those already judged to have enough needn't be asked again.
  for (const first of roster.falling) {
    const end = roster.ends[first] as number;
    if (silence[first] === 1) continue;
    let short: number[] | null = null;
    let leastGets = 0;
    for (let index = first; index < end; index += 1) {
      const gets = lack(index);
      if (gets === null) continue;
      if (short === null) [short, leastGets] = [[index], gets];
      else short.push(index);
    }
    if (short === null) continue;
    const [one = first] = short;
    const failover = strongest(short.map((index) => roster.members[index] as Member));
    const { graceMs } = failover;
    const domain = roster.members[first]?.domain as DomainState;
    const { action, why } = soften(world, domain, failover);
    casualties.push({
      ...{ domain, first, end, action, dueAtMs: sinceMs + graceMs },
      // Of losses that have not happened hardly any is read.
      get reason() {
        const lacks = lackReason(roster.members[one], judged[one], leastGets);
        return why === null ? lacks : `${lacks}; ${why}`;
      },
    });
    if (action === "throttle") continue;
    silence.fill(1, first, end);
    for (let index = first; index < end; index += 1)
      sharings[vias[index] as number]?.silence(index);
  }
  return casualties;
}

/** By the column of who discards, of rosters that fall alike: columns are never changed. */
const DISCARDING = new WeakMap<
  Uint8Array,
  { readonly falling: Roster["falling"]; readonly found: readonly number[] }
>();

/** Domains that discard at a loss, by their first vNIC, in the order in which they fall. */
function listDiscarding(roster: Roster): readonly number[] {
  const { discards, ends, falling } = roster;
  const known = DISCARDING.get(discards);
  if (known?.falling === falling) return known.found;
  const found: number[] = [];
  for (const first of discards.includes(1) ? falling : []) {
    for (let index = first; index < (ends[first] as number); index += 1) {
      if (discards[index] === 0) continue;
      found.push(first);
      break;
    }
  }
  DISCARDING.set(discards, { falling, found });
  return found;
}

/** The first of a domain's vNICs whose home is lost and that is discarded then, or -1. */
function discardedAt({ roster, placement, uplinks }: Load, first: number, end: number): number {
  for (let index = first; index < end; index += 1) {
    if (roster.discards[index] === 0) continue;
    const home = placement.homes[index] as number;
    if (home !== placement.vias[index] && uplinks[home]?.entry.lost === true) return index;
  }
  return -1;
}

/** Of several vNICs that lack something, the strongest action holds, with its own grace time. */
function strongest(members: readonly Member[]): Failover {
  const policies = members.map((member) => member.vnic.policy.failover);
  const [only, ...others] = policies;
  if (only !== undefined && others.length === 0) return only;
  return policies.reduce((best, next) =>
    FAILOVER_ACTIONS.indexOf(next.action) > FAILOVER_ACTIONS.indexOf(best.action) ? next : best,
  );
}

function lackReason(
  member: Member | undefined,
  judgedBitsPerSecond: number | undefined,
  getsBitsPerSecond: number,
): string {
  const demand = formatRate(judgedBitsPerSecond ?? 0);
  return `${member?.vnic.mac} wanted ${demand} before the loss and gets ${formatRate(getsBitsPerSecond)}`;
}

/** The action that can be taken: the wanted one, or a milder one and why. */
function soften(
  world: World,
  domain: DomainState,
  { action, neverPause }: Failover,
): { readonly action: FailoverAction; readonly why: string | null } {
  const mild = whyMild(domain, action);
  if (mild !== null) return { action: "throttle", why: `only throttled: ${mild}` };
  const nowhere = action === "migrate" ? whyNowhere(world, domain) : null;
  if (nowhere === null) return { action, why: null };
  return neverPause === true
    ? { action: "throttle", why: `only throttled, not moved: ${nowhere}` }
    : { action: "pause", why: `paused, not moved: ${nowhere}` };
}

/** Why nothing stronger than throttling may be done to a domain, or null. */
function whyMild(domain: DomainState, action: FailoverAction): string | null {
  if (action === "throttle") return null;
  if (domain.held) return "held by an operator";
  if (domain.exempt !== null) return domain.exempt;
  if (action === "discard") return null;
  if (domain.owner !== null) return `${domain.owner} manages it`;
  // A person's pause is left alone, and what hasn't started can't be stopped.
  if (domain.pausedByUs === null && domain.phase !== "running") return `it is ${domain.phase}`;
  return null;
}
