/**
 * What is to be done to domains while their team is degraded: for the settled state after a loss, which domains
 * can't get what they wanted before it, lowest priority first, sharing anew after each.
 */
import { FAILOVER_ACTIONS, type FailoverAction } from "../model/policy.ts";
import { formatRate } from "../model/units.ts";
import type { DomainState, TeamState, World } from "../model/world.ts";
import { findEnough } from "./expect.ts";
import { TO_BE_JUDGED, whyMild } from "./fate.ts";
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

/** By what of its demand each vNIC is judged, NaN where nothing was measured. */
export type Judged = Float64Array;

/** By what domains are judged. */
interface Settling {
  readonly world: World;
  readonly roster: Roster;
  readonly judged: Judged;
  /** When the team became degraded, world time. */
  readonly sinceMs: number;
}

/** One that can't get what it wanted. Why is put into words when somebody asks: at a loss there may be thousands. */
class Lacking implements Casualty {
  readonly first: number;
  readonly action: FailoverAction;
  readonly dueAtMs: number;
  readonly #settling: Settling;
  readonly #short: number;
  readonly #getsBitsPerSecond: number;
  readonly #others: readonly number[];

  /**
   * @param short the first of its vNICs that lacks something, and what it `gets`, bits per second
   * @param others of its vNICs that lack something
   */
  constructor(
    settling: Settling,
    first: number,
    short: number,
    gets: number,
    others: readonly number[],
  ) {
    const { world, roster, sinceMs } = settling;
    this.first = first;
    const fate = roster.fates[short] as number;
    if (fate < TO_BE_JUDGED && others.length === 0) {
      // Of most that is known without a look at them.
      this.action = FAILOVER_ACTIONS[fate] ?? "throttle";
      this.dueAtMs = sinceMs + (roster.graces[short] as number);
    } else {
      const { action, graceMs } = judgeDomain(world, roster, short, others);
      this.action = action;
      this.dueAtMs = sinceMs + graceMs;
    }
    this.#settling = settling;
    this.#short = short;
    this.#getsBitsPerSecond = gets;
    this.#others = others;
  }

  get end(): number {
    return this.#settling.roster.ends[this.first] as number;
  }

  get domain(): DomainState {
    return (this.#settling.roster.members[this.first] as Member).domain;
  }

  get reason(): string {
    const { world, roster, judged } = this.#settling;
    const { member, why } = judgeDomain(world, roster, this.#short, this.#others);
    const wanted = formatRate(judged[this.#short] as number);
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

/** Judges a domain of whose vNICs the one at `short`, and others, lack something. */
function judgeDomain(
  world: World,
  { members }: Roster,
  short: number,
  others: readonly number[],
): Verdict {
  const member = members[short] as Member;
  // The strongest action holds, with its own grace time.
  let { failover } = member.vnic.policy;
  for (const index of others) {
    const next = (members[index] as Member).vnic.policy.failover;
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
  const settling = { world, roster, judged, sinceMs };
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
    let short = -1;
    let firstGets = 0;
    let others = NO_OTHERS;
    for (let index = first; index < end; index += 1) {
      const sharing = sharings[vias[index] as number];
      const demand = judged[index] as number;
      if (sharing === null || Number.isNaN(demand)) continue;
      // What nothing carries gets nothing.
      const gets = sharing?.expect(index) ?? 0;
      if (!isShort(Math.min(demand, roster.wants[index] as number), gets)) continue;
      if (short < 0) {
        short = index;
        firstGets = gets;
      } else others = [...others, index];
    }
    if (short < 0) continue;
    const casualty = new Lacking(settling, first, short, firstGets, others);
    casualties.push(casualty);
    if (casualty.action === "throttle") continue;
    for (let index = first; index < end; index += 1) {
      silence[index] = 1;
      const via = vias[index] as number;
      sharings[via]?.silence(index);
      closeIfEnough(via);
    }
  }
  return casualties;
}

const NO_OTHERS: readonly number[] = [];

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
