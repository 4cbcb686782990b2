/**
 * The planner: pure and total. The same world gives the same plan; it reads no clock, no file and no kernel.
 * docs/architecture.md shows how its parts follow each other.
 */
import type { Problem } from "../model/domain.ts";
import type { KernelMap } from "../model/kernel.ts";
import type { DomainPlan, Plan, TeamPlan, VnicPlan } from "../model/plan.ts";
import { formatRate } from "../model/units.ts";
import type { TeamState, World } from "../model/world.ts";
import { planDomains } from "./domains.ts";
import type { Earlier } from "./earlier.ts";
import { changeKernel, makeKernel, type TeamChange } from "./kernel.ts";
import { migrationEndsAtMs } from "./migration.ts";
import { pauseEndsAtMs } from "./pause.ts";
import type { Member, Roster } from "./roster.ts";
import { changeRoster } from "./roster-change.ts";
import { breaksMore, judge } from "./settled.ts";
import { readStanding } from "./standing.ts";
import { listHandled, listTroubled, surveyDomains } from "./survey.ts";
import { least, planTeam, type TeamCase, type TeamResult } from "./team.ts";

/** A team's result; of one that can't be managed what is said of it. */
export type TeamAnswer = TeamResult | TeamPlan;

/** What a plan was made of, for planning its losses and the plan after it. */
export interface Making {
  readonly world: World;
  readonly answers: readonly TeamAnswer[];
  /** Its kernel objects, if anybody has asked for them. */
  readonly madeKernel: () => KernelMap | null;
}

/** The plans that planWorld has made; what each was made of is forgotten with it. */
const MADE = new WeakMap<Plan, Making>();

/** What a plan was made of; null for one that planWorld hasn't made. */
export function makingOf(plan: Plan): Making | null {
  return MADE.get(plan) ?? null;
}

/**
 * Plans for the world as it is.
 * @param before an earlier plan, of whatever world: what is the same in both is taken from it, and shared
 */
export function planWorld(world: World, before: Plan | null = null): Plan {
  const making = before === null ? null : makingOf(before);
  surveyDomains(world.domains, making?.world.domains);
  const pairs = world.teams.map((team) => {
    const found = making?.answers.find(
      (answer) => (isManaged(answer) ? answer.team : answer).name === team.config.name,
    );
    return planAgain(world, team, found !== undefined && isManaged(found) ? found : null);
  });
  const answers = pairs.map(({ answer }) => answer);
  return assemblePlan(world, answers, NOTHING_BROKEN, changeOf(making, pairs));
}

/** A team's answer, and what of an earlier plan it was made from. */
interface Again {
  readonly answer: TeamAnswer;
  readonly earlier: Earlier | null;
}

/** How the kernel's objects are made: from those of the earlier plan, if they were made, and were of the same teams. */
function changeOf(making: Making | null, pairs: readonly Again[]): () => KernelMap {
  const results = pairs.map(({ answer }) => answer).filter(isManaged);
  const base = making?.madeKernel() ?? null;
  const changes = pairs.flatMap(({ answer, earlier }): TeamChange[] =>
    isManaged(answer) && earlier !== null
      ? [{ old: earlier.result, now: answer, origins: earlier.origins }]
      : [],
  );
  const known = making?.answers.filter(isManaged).length;
  if (base === null || changes.length !== results.length || changes.length !== known)
    return () => makeKernel(results);
  return () => changeKernel(base, changes);
}

function planAgain(world: World, team: TeamState, earlier: TeamResult | null): Again {
  const { roster, origins } = changeRoster(world, team, earlier?.asked ?? null);
  if (earlier === null)
    return { answer: planEvenly(caseOf(world, team, roster, null), null), earlier: null };
  const { asked } = earlier;
  const sameFilters =
    asked.world.kernel === world.kernel && sameMacs(roster.members, asked.roster.members, origins);
  const others = sameFilters ? asked.numbering.others : null;
  // Said now, so that it needn't keep the plans that were before it.
  void earlier.vnics;
  const from = { result: earlier, origins };
  return { answer: planEvenly(caseOf(world, team, roster, others), from), earlier: from };
}

/** Evens out the load as far as no reservation is broken by it, now or by the loss of an uplink. */
function planEvenly(asked: TeamCase, earlier: Earlier | null): TeamAnswer {
  const answer = planTeam(asked, earlier);
  if (!isManaged(answer) || (answer.team.balance?.moves.length ?? 0) === 0) return answer;
  const still = planTeam({ ...asked, movers: "none" });
  if (!isManaged(still)) return answer;
  for (const movers of ["all", "unreserved"] as const) {
    const moved = planTeam({ ...asked, movers, carriesOut: true });
    if (!isManaged(moved) || breaksMore(moved, still)) continue;
    return movers === "all" ? answer : planTeam({ ...asked, movers }, earlier);
  }
  return planTeam({ ...asked, movers: "none" }, earlier);
}

/** @param known minors of others, if they are known already */
function caseOf(
  world: World,
  team: TeamState,
  roster: Roster,
  known: readonly number[] | null,
): TeamCase {
  const { members, presence } = roster;
  const standing = () => readStanding(world.kernel);
  let columns: readonly (Int8Array | undefined)[] | null = null;
  let others = known;
  return {
    world,
    team,
    roster,
    presence,
    judged: judge(world, roster, roster.latched),
    movers: "all",
    carriesOut: false,
    numbering: {
      prioOf: (index, minor) => {
        columns ??= team.uplinks.map((uplink) => standing().prios.get(uplink.name));
        const place = presence.senders[index] as number;
        if (place >= 0) return columns[place]?.[minor] ?? -1;
        const kernel = members[index]?.vnic.kernel;
        // Where bonding's hash chooses, the filter names no port; the class is the same on each.
        if (kernel?.via === null && kernel.home === null)
          return columns.find((column) => column?.[minor] !== undefined)?.[minor] ?? -1;
        return standing().prios.get(kernel?.via ?? kernel?.home ?? "")?.[minor] ?? -1;
      },
      get others() {
        others ??= minorsOfOthers(world, team, roster);
        return others;
      },
    },
  };
}

function sameMacs(one: readonly Member[], other: readonly Member[], origins: Int32Array): boolean {
  if (one.length !== other.length) return false;
  for (let index = 0; index < one.length; index += 1) {
    if (origins[index] !== index && one[index]?.vnic.mac !== other[index]?.vnic.mac) return false;
  }
  return true;
}

function minorsOfOthers(world: World, team: TeamState, { members }: Roster): number[] {
  const filters = readStanding(world.kernel).filters.filter(
    (filter) => filter.device === team.bond?.name,
  );
  if (filters.length === 0) return [];
  const own = new Set<string>(members.map(({ vnic }) => vnic.mac));
  return filters.filter((filter) => !own.has(filter.mac)).map((filter) => filter.minor);
}

/** Whether a team is managed. */
export function isManaged(answer: TeamAnswer): answer is TeamResult {
  return "asked" in answer;
}

const NOTHING_BROKEN: ReadonlySet<string> = new Set();

/**
 * Puts the teams' results together.
 * @param broken MACs of the vNICs whose reservation doesn't survive one loss
 */
export function assemblePlan(
  world: World,
  answers: readonly TeamAnswer[],
  broken: ReadonlySet<string>,
  kernel: () => KernelMap,
): Plan {
  const results = answers.filter(isManaged);
  let vnics: readonly VnicPlan[] | null = null;
  let domains: readonly DomainPlan[] | null = null;
  let problems: readonly Problem[] | null = null;
  let objects: KernelMap | null = null;
  let make: (() => KernelMap) | null = kernel;
  const plan: Plan = {
    teams: answers.map((answer) => (isManaged(answer) ? answer.team : answer)),
    get vnics() {
      const [only, ...others] = results;
      const all =
        only !== undefined && others.length === 0
          ? only.vnics
          : results.flatMap((result) => result.vnics);
      vnics ??= markBroken(all, broken);
      return vnics;
    },
    get domains() {
      domains ??= planDomains(world, results);
      return domains;
    },
    // Made when first asked for: of most plans for losses only the grants are ever looked at.
    get kernel() {
      if (objects === null && make !== null) {
        objects = make();
        // Or every plan would keep all those before it.
        make = null;
      }
      return objects as KernelMap;
    },
    get nextWakeAtMs() {
      const handled = listHandled(world.domains);
      return least(
        [
          ...results.map((result) => result.nextWakeAtMs),
          ...handled.map((domain) => pauseEndsAtMs(world, domain)),
          ...handled.map((domain) => migrationEndsAtMs(world, domain)),
        ].filter((at) => at !== null && at > world.nowMs) as number[],
      );
    },
    get problems() {
      problems ??= [...vnicProblems(world), ...results.flatMap(unmetReservations)];
      return problems;
    },
  };
  MADE.set(plan, { world, answers, madeKernel: () => objects });
  return plan;
}

function markBroken(vnics: readonly VnicPlan[], broken: ReadonlySet<string>): readonly VnicPlan[] {
  if (broken.size === 0) return vnics;
  return vnics.map((vnic) => (broken.has(vnic.mac) ? { ...vnic, survivesOneLoss: false } : vnic));
}

function vnicProblems(world: World): Problem[] {
  const problems: Problem[] = [];
  for (const domain of listTroubled(world.domains)) {
    for (const { mac, unshapedReason, tap, detachedFrom } of domain.vnics) {
      const object = `domain ${domain.name} ${mac}`;
      if (unshapedReason !== null)
        problems.push({ object, message: `not shaped: ${unshapedReason}`, remedy: "" });
      if (detachedFrom === undefined) continue;
      const message = `its tap ${tap} is a port of no bridge, and its XML says ${detachedFrom}: the guest reaches nobody`;
      problems.push({ object, message, remedy: `ip link set dev ${tap} master ${detachedFrom}` });
    }
  }
  return problems;
}

/** Rates are whole bytes per second, and a few bits are set aside for each class; less than this is no breach. */
const ROUNDING_PART = 0.001;

/** Reservations that don't fit where their vNIC is carried: the VM runs all the same, and it is said. */
function unmetReservations({ asked, uplinks, placement, grants }: TeamResult): Problem[] {
  const { members, reservations } = asked.roster;
  const byEntry = new Map(grants.map((grant) => [grant.entry, grant.rates]));
  const byPlace = uplinks.map((entry) => byEntry.get(entry));
  const problems: Problem[] = [];
  for (let index = 0; index < members.length; index += 1) {
    const via = placement.vias[index] as number;
    const granted = byPlace[via]?.[index];
    const reservation = reservations[index] as number;
    if (granted === undefined || granted >= reservation * (1 - ROUNDING_PART)) continue;
    const { domain, vnic } = members[index] ?? {};
    problems.push({
      object: `domain ${domain?.name} ${vnic?.mac}`,
      message: `its reservation of ${formatRate(reservation)} does not fit on ${uplinks[via]?.uplink.name}: it has ${formatRate(granted)}`,
      remedy: "lower reservations, spread them by placement, or add an uplink",
    });
  }
  return problems;
}
