/** Where each vNIC belongs (home) and where its frames go now (via). */
import type { DomainState, VnicState } from "../model/world.ts";
import { heldUntilMs } from "./moves.ts";
import { priorityRank } from "./priority.ts";
import type { Usability } from "./usable.ts";

/** A vNIC of the team being planned, with its domain. */
export interface Member {
  readonly domain: DomainState;
  readonly vnic: VnicState;
}

export interface Placed extends Member {
  readonly home: string | null;
  readonly via: string | null;
  /** It stays where it is, having moved often enough, and may move again at this world time; null: it is free. */
  readonly heldUntilMs: number | null;
  readonly reasons: readonly string[];
}

/** State of an uplink while placing. */
interface Slot {
  readonly entry: Usability;
  /** Of what has been put there so far, the host included. */
  reservedBitsPerSecond: number;
  /** Of what has been put there so far and of those that are there and still wait for their turn. */
  loadBitsPerSecond: number;
  /** Domains put there so far. */
  readonly domains: Set<string>;
  /** Names that domains placed here want to be apart from. */
  readonly avoided: Set<string>;
}

export interface PlacementContext {
  readonly uplinks: readonly Usability[];
  /** The active port of an active-backup bond, else null. */
  readonly activePort: string | null;
  /** What the host's own class reserves on each uplink. */
  readonly hostBitsPerSecond: number;
  readonly nowMs: number;
}

/**
 * Places all members: in order of priority, then of arrival (the order given). While the team is whole a home
 * follows policy; while it is degraded a home stays, and only what lost its uplink is carried by another, after
 * all that stays. What was decided earlier in this order never depends on what comes later, except for the load;
 * so once its result is applied, placing again changes nothing.
 * @returns one entry a member, same order
 */
export function placeMembers(members: readonly Member[], context: PlacementContext): Placed[] {
  const slots = new Map<string, Slot>();
  for (const entry of context.uplinks) {
    slots.set(entry.uplink.name, {
      entry,
      reservedBitsPerSecond: context.hostBitsPerSecond,
      loadBitsPerSecond: 0,
      domains: new Set(),
      avoided: new Set(),
    });
  }
  const usable = [...slots.values()].filter((slot) => slot.entry.usable);
  const whole = context.uplinks.every((entry) => entry.usable || !entry.managed);
  for (const { vnic } of members) {
    const slot = presentSlot(slots, vnic);
    if (slot !== undefined) slot.loadBitsPerSecond += loadOf(vnic);
  }
  const order = members
    .map((_member, index) => index)
    .sort((a, b) => rankOf(members[a]) - rankOf(members[b]) || a - b);
  const placed = new Array<Placed>(members.length);
  const displaced: number[] = [];
  for (const index of order) {
    const member = members[index] as Member;
    const present = presentSlot(slots, member.vnic);
    const home = slots.get(member.vnic.kernel?.home ?? "");
    if (present !== undefined) present.loadBitsPerSecond -= loadOf(member.vnic);
    const isLost = home?.entry.managed === true && !home.entry.usable;
    const heldUntil = heldUntilMs(member.vnic, context.nowMs);
    if (present !== undefined && heldUntil !== null && !isLost) {
      placed[index] = stay(member, home?.entry.managed ? home : present, present, heldUntil);
    } else if (whole || home === undefined || !home.entry.managed) {
      placed[index] = settle(member, usable, home, context);
    } else if (home.entry.usable) {
      occupy(home, member);
      placed[index] = at(member, home, "stays at home while the team is degraded");
    } else {
      displaced.push(index);
    }
  }
  for (const index of displaced)
    placed[index] = carry(members[index] as Member, usable, slots, context);
  return placed;
}

/** Leaves a member that has moved often enough where its frames go now. */
function stay(member: Member, home: Slot, present: Slot, untilMs: number): Placed {
  occupy(present, member);
  const [homeName, via] = [home.entry.uplink.name, present.entry.uplink.name];
  const reason = `stays on ${via}: it moved twice within 3 minutes without need`;
  return { ...member, home: homeName, via, heldUntilMs: untilMs, reasons: [reason] };
}

/** Gives a member a home where it is carried as well. */
function settle(
  member: Member,
  usable: readonly Slot[],
  home: Slot | undefined,
  context: PlacementContext,
): Placed {
  const present = home?.entry.uplink.name ?? null;
  const choice = choose(member, usable, present, context.activePort);
  if (choice !== null) {
    occupy(choice.slot, member);
    return at(member, choice.slot, choice.reason);
  }
  const first = context.uplinks.find((entry) => entry.managed)?.uplink.name ?? null;
  return {
    ...member,
    home: present ?? first,
    via: null,
    heldUntilMs: null,
    reasons: ["no uplink is usable"],
  };
}

/** Finds another uplink for a member whose home is lost, and keeps the home for its return. */
function carry(
  member: Member,
  usable: readonly Slot[],
  slots: ReadonlyMap<string, Slot>,
  context: PlacementContext,
): Placed {
  const home = member.vnic.kernel?.home ?? null;
  const homeSlot = slots.get(home ?? "");
  const present = presentSlot(slots, member.vnic);
  const heldUntil = heldUntilMs(member.vnic, context.nowMs);
  if (homeSlot !== undefined && present !== undefined && heldUntil !== null)
    return stay(member, homeSlot, present, heldUntil);
  const lost = `home ${home}: ${homeSlot?.entry.reason ?? "gone"}`;
  const choice = choose(member, usable, member.vnic.kernel?.via ?? null, context.activePort);
  if (choice === null) {
    return {
      ...member,
      home,
      via: null,
      heldUntilMs: null,
      reasons: [lost, "no uplink is usable"],
    };
  }
  occupy(choice.slot, member);
  const via = choice.slot.entry.uplink.name;
  return {
    ...member,
    home,
    via,
    heldUntilMs: null,
    reasons: [lost, `carried by ${via}: ${choice.reason}`],
  };
}

function rankOf(member: Member | undefined): number {
  return member === undefined ? 0 : priorityRank(member.vnic.policy.priority);
}

/** Where a vNIC sends now, as far as that uplink is usable. */
function presentSlot(slots: ReadonlyMap<string, Slot>, { kernel }: VnicState): Slot | undefined {
  const slot = slots.get(kernel?.via ?? kernel?.home ?? "");
  return slot?.entry.usable === true ? slot : undefined;
}

/** So that vNICs of which nothing is known spread instead of all going to the first uplink. */
const UNKNOWN_LOAD_BITS_PER_SECOND = 1;

/** What placing counts as a vNIC's load until it is measured: its reservation. */
function loadOf(vnic: VnicState): number {
  const { limitBitsPerSecond, reservationBitsPerSecond } = vnic.policy.bandwidth;
  const demand =
    vnic.latchedDemandBitsPerSecond ??
    vnic.demandBitsPerSecond ??
    Math.max(UNKNOWN_LOAD_BITS_PER_SECOND, reservationBitsPerSecond);
  return limitBitsPerSecond === null ? demand : Math.min(demand, limitBitsPerSecond);
}

function occupy(slot: Slot, { domain, vnic }: Member): void {
  slot.reservedBitsPerSecond += vnic.policy.bandwidth.reservationBitsPerSecond;
  slot.loadBitsPerSecond += loadOf(vnic);
  slot.domains.add(domain.name);
  for (const name of vnic.policy.placement.apart) slot.avoided.add(name);
}

function at(member: Member, slot: Slot, reason: string): Placed {
  const name = slot.entry.uplink.name;
  return {
    ...member,
    home: name,
    via: name,
    heldUntilMs: null,
    reasons: [`home ${name}: ${reason}`],
  };
}

/** The criteria in their order; the first that tells two uplinks apart decides, and is the reason given. */
const CRITERIA: readonly {
  readonly reason: string;
  readonly score: (
    slot: Slot,
    member: Member,
    present: string | null,
    activePort: string | null,
  ) => number;
}[] = [
  {
    reason: "its reservation fits there",
    score: (slot, { vnic }) =>
      slot.reservedBitsPerSecond + vnic.policy.bandwidth.reservationBitsPerSecond <=
      slot.entry.capacityBitsPerSecond
        ? 0
        : 1,
  },
  {
    reason: "preferred by its policy",
    score: (slot, { vnic }) => {
      const { name, label } = slot.entry.uplink;
      const rank = vnic.policy.placement.prefer.findIndex(
        (wish) => wish === name || wish === label,
      );
      return rank < 0 ? vnic.policy.placement.prefer.length : rank;
    },
  },
  {
    reason: "kept apart from the domains that its policy names",
    score: (slot, { domain, vnic }) =>
      vnic.policy.placement.apart.filter((name) => slot.domains.has(name)).length +
      (slot.avoided.has(domain.name) ? 1 : 0),
  },
  {
    reason: "it is there already",
    score: (slot, _member, present) => (slot.entry.uplink.name === present ? 0 : 1),
  },
  {
    reason: "off the bond's active port, so that a loss is repaired within the driver",
    score: (slot, { vnic }, _present, activePort) =>
      priorityRank(vnic.policy.priority) <= 1 && slot.entry.uplink.name === activePort ? 1 : 0,
  },
  {
    reason: "least utilised",
    score: (slot) => slot.loadBitsPerSecond / slot.entry.capacityBitsPerSecond,
  },
];

/** @param usable the usable uplinks, in the team's order */
function choose(
  member: Member,
  usable: readonly Slot[],
  present: string | null,
  activePort: string | null,
): { slot: Slot; reason: string } | null {
  const [first] = usable;
  if (first === undefined) return null;
  if (usable.length === 1) return { slot: first, reason: "the only usable uplink" };
  let left = usable;
  let reason = "first in the configured order";
  for (const criterion of CRITERIA) {
    const scores = left.map((slot) => criterion.score(slot, member, present, activePort));
    const best = Math.min(...scores);
    const kept = left.filter((_slot, index) => scores[index] === best);
    if (kept.length < left.length) reason = criterion.reason;
    left = kept;
    if (left.length === 1) break;
  }
  return { slot: left[0] ?? first, reason };
}
