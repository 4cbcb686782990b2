/**
 * What is to be done to domains while their team is degraded: for the settled state after a loss, which domains
 * can't get what they wanted before it, lowest priority first, sharing anew after each.
 */
import { FAILOVER_ACTIONS, type FailoverAction } from "../model/policy.ts";
import { formatRate } from "../model/units.ts";
import type { DomainState, TeamState } from "../model/world.ts";
import { judgedDemand, wantOf } from "./demand.ts";
import { expectRates } from "./expect.ts";
import type { Load } from "./grants.ts";
import type { Member, Placed } from "./placement.ts";
import { priorityRank } from "./priority.ts";
import { isShort } from "./share.ts";

/** A domain that is to be throttled, discarded, paused or migrated. */
export interface Casualty {
  readonly domain: DomainState;
  /** Indexes of its placed vNICs. */
  readonly indexes: readonly number[];
  readonly action: FailoverAction;
  /** Due without grace: its own home is lost (discard). */
  readonly immediate: boolean;
  readonly graceMs: number;
  readonly reason: string;
}

/**
 * Judges the domains of a degraded team that has a usable uplink. The answer doesn't depend on what has been done
 * to them already: a domain that we paused is judged by what it wanted before, so it stays paused exactly as long
 * as it would be paused anew.
 * @returns the casualties in the order in which they fall
 */
export function settleDegradation(
  team: TeamState,
  load: Load,
  hypothetical: boolean,
): readonly Casualty[] {
  const { placed } = load;
  const silent = new Set<number>();
  const expected = new Float64Array(placed.length);
  const usable = load.uplinks.filter((uplink) => uplink.entry.usable);
  const lost = new Set(
    load.uplinks.filter((uplink) => uplink.entry.lost).map((uplink) => uplink.entry.uplink.name),
  );
  const casualties: Casualty[] = [];
  const standing: DomainEntry[] = [];
  for (const entry of collectDomains(placed)) {
    const index = entry.indexes.find((at) => {
      const { home, via } = placed[at] as Placed;
      return home !== via && lost.has(home ?? "") && discardsAtLoss(placed[at] as Placed);
    });
    if (index === undefined) {
      standing.push(entry);
      continue;
    }
    for (const stopped of entry.indexes) silent.add(stopped);
    const reason = `its home ${placed[index]?.home} is lost, and its policy discards then`;
    casualties.push({ ...entry, action: "discard", immediate: true, graceMs: 0, reason });
  }
  const share = (uplinks: typeof usable): void => {
    for (const uplink of uplinks) expectRates(team, load, uplink, silent, expected);
  };
  share(usable);
  // Whoever goes leaves more to the others, so those already judged to have enough needn't be asked again.
  for (const entry of standing) {
    const short = entry.indexes.filter((index) => lacks(placed, index, expected, hypothetical));
    const [first] = short;
    if (first === undefined) continue;
    const { action: wanted, graceMs } = strongest(short.map((index) => placed[index] as Placed));
    const mild = whyMild(entry.domain, wanted);
    const action = mild === null ? wanted : "throttle";
    const reason =
      lackReason(placed[first] as Placed, expected[first] ?? 0, hypothetical) +
      (mild === null ? "" : `; only throttled: ${mild}`);
    casualties.push({ ...entry, action, immediate: false, graceMs, reason });
    if (action === "throttle") continue;
    for (const index of entry.indexes) silent.add(index);
    const carriers = new Set(entry.indexes.map((index) => placed[index]?.via));
    share(usable.filter((uplink) => carriers.has(uplink.entry.uplink.name)));
  }
  return casualties;
}

/** Whether a vNIC's data is discarded once its home is lost. */
export function discardsAtLoss({ domain, vnic }: Member): boolean {
  return vnic.policy.failover.action === "discard" && !domain.held && domain.exempt === null;
}

interface DomainEntry {
  readonly domain: DomainState;
  readonly indexes: number[];
  rank: number;
}

/** Lowest priority first, then in the order of arrival; a domain has the highest priority of its vNICs. */
function collectDomains(placed: readonly Placed[]): DomainEntry[] {
  const byName = new Map<string, DomainEntry>();
  for (const [index, { domain, vnic }] of placed.entries()) {
    const rank = priorityRank(vnic.policy.priority);
    const entry = byName.get(domain.name);
    if (entry === undefined) byName.set(domain.name, { domain, indexes: [index], rank });
    else {
      entry.indexes.push(index);
      entry.rank = Math.min(entry.rank, rank);
    }
  }
  return [...byName.values()].sort((a, b) => b.rank - a.rank);
}

function lacks(
  placed: readonly Placed[],
  index: number,
  expected: Float64Array,
  hypothetical: boolean,
): boolean {
  const member = placed[index] as Placed;
  const demand = judgedDemand(member, hypothetical);
  return demand !== null && isShort(Math.min(demand, wantOf(member)), expected[index] ?? 0);
}

/** Of several vNICs that lack something, the strongest action holds, with its own grace time. */
function strongest(members: readonly Placed[]): { action: FailoverAction; graceMs: number } {
  const policies = members.map((member) => member.vnic.policy.failover);
  return policies.reduce((best, next) =>
    FAILOVER_ACTIONS.indexOf(next.action) > FAILOVER_ACTIONS.indexOf(best.action) ? next : best,
  );
}

function lackReason(member: Placed, getsBitsPerSecond: number, hypothetical: boolean): string {
  const demand = formatRate(judgedDemand(member, hypothetical) ?? 0);
  return `${member.vnic.mac} wanted ${demand} before the loss and gets ${formatRate(getsBitsPerSecond)}`;
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
