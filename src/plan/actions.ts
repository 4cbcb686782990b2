/**
 * What is to be done to domains while their team is degraded: for the settled state after a loss, which domains
 * can't get what they wanted before it, lowest priority first, sharing anew after each.
 */
import { FAILOVER_ACTIONS, type FailoverAction } from "../model/policy.ts";
import { formatRate } from "../model/units.ts";
import type { DomainState, TeamState, World } from "../model/world.ts";
import { findEnough } from "./expect.ts";
import { fillingOf } from "./filling.ts";
import { findFlagged } from "./flagged.ts";
import type { Load } from "./load.ts";
import { whyNowhere } from "./migration.ts";
import type { Member, Roster } from "./roster.ts";
import { isShort } from "./share.ts";
import { Sharing } from "./sharing.ts";

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

/** One that lacks something. Of losses that have not happened hardly any reason is read: it is put into words when it is. */
class Lacking implements Casualty {
  readonly first: number;
  readonly end: number;
  readonly dueAtMs: number;
  readonly #verdict: Verdict;
  readonly #wantedBitsPerSecond: number;
  readonly #getsBitsPerSecond: number;

  /** @param sinceMs when the team became degraded, world time @param wanted bits per second before that, of which it `gets` */
  constructor(
    verdict: Verdict,
    first: number,
    end: number,
    sinceMs: number,
    wanted: number,
    gets: number,
  ) {
    this.first = first;
    this.end = end;
    this.dueAtMs = sinceMs + verdict.graceMs;
    this.#verdict = verdict;
    this.#wantedBitsPerSecond = wanted;
    this.#getsBitsPerSecond = gets;
  }

  get domain(): DomainState {
    return this.#verdict.member.domain;
  }

  get action(): FailoverAction {
    return this.#verdict.action;
  }

  get reason(): string {
    const { member, why } = this.#verdict;
    const wanted = formatRate(this.#wantedBitsPerSecond);
    const lacks = `${member.vnic.mac} wanted ${wanted} before the loss and gets ${formatRate(this.#getsBitsPerSecond)}`;
    return why === null ? lacks : `${lacks}; ${why}`;
  }
}

/** One whose home is lost, and that is discarded then. */
class Discarding implements Casualty {
  readonly action = "discard";
  readonly first: number;
  readonly end: number;
  readonly dueAtMs: number;
  readonly #members: Roster["members"];
  readonly #home: string;

  constructor({ members }: Roster, first: number, end: number, nowMs: number, home: string) {
    this.first = first;
    this.end = end;
    this.dueAtMs = nowMs;
    this.#members = members;
    this.#home = home;
  }

  get domain(): DomainState {
    return (this.#members[this.first] as Member).domain;
  }

  get reason(): string {
    return `its home ${this.#home} is lost, and its policy discards then`;
  }
}

/** What is done to a domain that lacks something. */
interface Verdict {
  /** The first of its vNICs that lacks something. */
  readonly member: Member;
  readonly action: FailoverAction;
  readonly graceMs: number;
  /** Why something milder is done than its policy says, or null. */
  readonly why: string | null;
}

/** Judges a domain whose vNICs with the given indexes lack something. */
function judgeDomain(world: World, { members }: Roster, short: readonly number[]): Verdict {
  const member = members[short[0] as number] as Member;
  // The strongest action holds, with its own grace time.
  let { failover } = member.vnic.policy;
  for (let at = 1; at < short.length; at += 1) {
    const next = (members[short[at] as number] as Member).vnic.policy.failover;
    if (FAILOVER_ACTIONS.indexOf(next.action) > FAILOVER_ACTIONS.indexOf(failover.action))
      failover = next;
  }
  const { action, graceMs, neverPause } = failover;
  const mild = whyMild(member.domain, action);
  if (mild !== null) return { member, action: "throttle", graceMs, why: `only throttled: ${mild}` };
  const nowhere = action === "migrate" ? whyNowhere(world, member.domain) : null;
  if (nowhere === null) return { member, action, graceMs, why: null };
  return neverPause === true
    ? { member, action: "throttle", graceMs, why: `only throttled, not moved: ${nowhere}` }
    : { member, action: "pause", graceMs, why: `paused, not moved: ${nowhere}` };
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
    const home = load.uplinks[load.placement.homes[index] as number]?.entry.uplink.name ?? "";
    casualties.push(new Discarding(roster, first, end, world.nowMs, home));
  }
  const silent = findFlagged(silence);
  const enough = findEnough(team, load, silence, silent);
  const lacking = load.uplinks.filter(({ entry, place }) => entry.usable && enough[place] !== true);
  if (lacking.length === 0) return casualties;
  const shared = { team, load, silence, filling: fillingOf(roster), silent };
  // Null where everybody gets what he wants.
  const sharings = load.uplinks.map((uplink) =>
    lacking.includes(uplink) ? new Sharing(shared, uplink) : null,
  );
  let open = lacking.length;
  const closeIfEnough = (place: number): void => {
    if (sharings[place]?.suffices !== true) return;
    sharings[place] = null;
    open -= 1;
  };
  for (const { place } of lacking) closeIfEnough(place);
  // Whoever goes leaves more to the others, so those already judged to have enough needn't be asked again.
  const { falling } = roster;
  for (let turn = 0; turn < falling.length && open > 0; turn += 1) {
    const first = falling[turn] as number;
    const end = roster.ends[first] as number;
    if (silence[first] === 1) continue;
    let short: number[] | null = null;
    let leastGets = 0;
    for (let index = first; index < end; index += 1) {
      const sharing = sharings[vias[index] as number];
      const demand = judged[index] as number;
      if (sharing === null || Number.isNaN(demand)) continue;
      // What nothing carries gets nothing.
      const gets = sharing?.expect(index) ?? 0;
      if (!isShort(Math.min(demand, roster.wants[index] as number), gets)) continue;
      if (short === null) [short, leastGets] = [[index], gets];
      else short.push(index);
    }
    if (short === null) continue;
    const verdict = judgeDomain(world, roster, short);
    const wanted = judged[short[0] as number] as number;
    casualties.push(new Lacking(verdict, first, end, sinceMs, wanted, leastGets));
    if (verdict.action === "throttle") continue;
    for (let index = first; index < end; index += 1) {
      silence[index] = 1;
      const via = vias[index] as number;
      sharings[via]?.silence(index);
      closeIfEnough(via);
    }
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
