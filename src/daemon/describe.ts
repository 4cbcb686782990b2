/** The status document and explanations, from the last run: the same plan that is enforced. */
import type { Explanation } from "../control/api.ts";
import type { TeamConfig } from "../model/config.ts";
import type { Problem } from "../model/domain.ts";
import type { TeamPlan, VnicPlan } from "../model/plan.ts";
import {
  type Contest,
  type DaemonStatus,
  type DomainStatus,
  type Drift,
  type HostClassStatus,
  JOURNAL,
  type ProbeStatus,
  type Status,
  type TeamStatus,
  type VnicStatus,
} from "../model/status.ts";
import { formatDuration, formatRate } from "../model/units.ts";
import {
  type DomainState,
  MOVE_WINDOW_MS,
  type Move,
  type TeamState,
  type VnicState,
} from "../model/world.ts";
import { type Load, type LoadMemory, loadKey, uplinkLoadKey } from "../observe/demand.ts";
import { type HostLine, hostLines, hostReservation } from "../plan/host.ts";
import type { LossPlan } from "../plan/loss.ts";
import { inboundCounts, inboundReasons } from "./inbound.ts";
import type { JournalContents } from "./journal.ts";
import type { Run } from "./loop.ts";
import { describeSources, sourceReasons } from "./sources.ts";

/** Everything there is to show. */
export function describeStatus(
  daemon: DaemonStatus,
  run: Run,
  loads: LoadMemory,
  drift: readonly Drift[],
  contests: readonly Contest[],
  probeOf: (uplink: string) => ProbeStatus | null,
  own: readonly Problem[],
): Status {
  return {
    daemon,
    teams: run.world.teams.map((team) => {
      const plan = run.plan.teams.find((candidate) => candidate.name === team.config.name);
      return describeTeam(team, plan, run, loads, probeOf);
    }),
    domains: run.world.domains.map((domain) => describeDomain(domain, run, loads)),
    problems: [
      ...own,
      ...run.plan.problems,
      ...run.world.domains.flatMap((domain) => domain.problems),
    ],
    drift,
    contests,
  };
}

/** What an operator is told where the journal couldn't be used. */
export const LOST =
  "whether this host was released isn't known any more: what stands in the kernel is left as it is, and nothing is changed";

/** What is wrong with the daemon itself, for the status document. */
export function ownProblems({ lost }: Pick<JournalContents, "lost">): Problem[] {
  if (lost === null) return [];
  const remedy =
    "`uplinkctl enable` if it is to be enforced, `uplinkctl release` if not; hold and drain again what was";
  return [{ object: JOURNAL, message: `${lost}; ${LOST}`, remedy }];
}

/** Why a domain has what it has, and what each loss would bring; null where it isn't known. */
export function explainDomain(name: string, run: Run, loads: LoadMemory): Explanation | null {
  const domain = run.world.domains.find((candidate) => candidate.name === name);
  if (domain === undefined) return null;
  const plan = run.plan.domains.find((candidate) => candidate.domain === name);
  const teams = new Set(domain.vnics.flatMap((vnic) => (vnic.team === null ? [] : [vnic.team])));
  return {
    domain: describeDomain(domain, run, loads),
    reasons: [...(plan?.reasons ?? []), ...lossReasons(name, run.losses, teams)],
    vnics: domain.vnics.map((vnic) => {
      const planned = planOf(vnic, run);
      return {
        mac: vnic.mac,
        policy: vnic.policy,
        reasons: [
          ...(planned?.reasons ?? [vnic.unshapedReason ?? "not planned"]),
          ...inboundReasons(vnic, run),
          ...balanceReasons(vnic, run),
          ...sourceReasons(
            vnic,
            run.world.teams.find(({ config }) => config.name === vnic.team),
          ),
        ],
        classes: planned?.classes ?? [],
      };
    }),
    teams: run.plan.teams
      .filter((team) => teams.has(team.name))
      .map((team) => {
        const config = run.world.teams.find(
          ({ config: { name: own } }) => own === team.name,
        )?.config;
        const host = config === undefined ? [] : hostReasons(config);
        return { name: team.name, reasons: [...team.reasons, ...host] };
      }),
  };
}

function lossReasons(
  domain: string,
  losses: readonly LossPlan[],
  teams: ReadonlySet<string>,
): string[] {
  return losses
    .filter((loss) => teams.has(loss.team))
    .flatMap((loss) =>
      loss.plan.vnics
        .filter((vnic) => vnic.domain === domain && vnic.team === loss.team)
        .map((vnic) => {
          const grant = vnic.classes.find((entry) => entry.uplink === vnic.via);
          const action =
            loss.plan.domains.find((entry) => entry.domain === domain)?.action ?? "none";
          const rate = formatRate(grant?.reservationBitsPerSecond ?? 0);
          const consequence = action === "none" ? "" : `, then ${action}`;
          return `if ${loss.uplink} fails: ${vnic.mac} goes by ${vnic.via ?? "no uplink"} with ${rate}${consequence}`;
        }),
    );
}

/** Where it was moved to even out the load, and where it would be. */
function balanceReasons(vnic: VnicState, run: Run): string[] {
  const { nowMs } = run.world;
  const team = run.plan.teams.find((candidate) => candidate.name === vnic.team);
  const move = team?.balance?.moves.find(({ mac }) => mac === vnic.mac);
  const past = movesOf(vnic, run).flatMap(({ atMs, story }) =>
    story === undefined || atMs === nowMs
      ? []
      : [`moved ${formatDuration(nowMs - atMs)} ago ${story}`],
  );
  if (move === undefined || move.state === "made") return past;
  const what = move.state === "suggested" ? "suggested" : "to be moved once its queue is empty";
  return [...past, `${what}: ${move.reason}`];
}

function movesOf(vnic: VnicState, run: Run): readonly Move[] {
  return run.moves.get(vnic.mac) ?? [];
}

function describeTeam(
  team: TeamState,
  plan: TeamPlan | undefined,
  run: Run,
  loads: LoadMemory,
  probeOf: (uplink: string) => ProbeStatus | null,
): TeamStatus {
  return {
    name: team.config.name,
    bond: team.config.bond,
    mode: team.bond?.mode ?? null,
    condition: plan?.condition ?? "refused",
    activePort: team.bond?.activePort ?? null,
    uplinks: team.uplinks.map((uplink) => {
      const planned = plan?.uplinks.find((candidate) => candidate.name === uplink.name);
      return {
        name: uplink.name,
        usable: planned?.usable ?? false,
        drained: uplink.drainedAtMs !== null,
        carrier: uplink.carrier,
        probe: probeOf(uplink.name),
        speedBitsPerSecond: uplink.speedBitsPerSecond,
        capacityBitsPerSecond: planned?.capacityBitsPerSecond ?? 0,
        committedBitsPerSecond: planned?.committedBitsPerSecond ?? 0,
        ...describeUplinkLoad(loads.loads.get(uplinkLoadKey(uplink.name))),
        reason: planned?.reason ?? "not planned",
      };
    }),
    host: hostLines(team.config).map((line) => describeHostClass(line, team, plan, run, loads)),
    reasons: plan?.reasons ?? [],
    conflicts: team.conflicts,
    loadWindowMs: team.config.loadWindowMs,
    balance: plan?.balance ?? null,
    sources: describeSources(team, run.world, run.sourceCounts),
  };
}

function describeHostClass(
  { name, minor, share }: HostLine,
  team: TeamState,
  plan: TeamPlan | undefined,
  run: Run,
  loads: LoadMemory,
): HostClassStatus {
  const load = loads.loads.get(loadKey(team.config.name, minor));
  const classId = `7570:${minor.toString(16)}`;
  const rates = (plan?.uplinks ?? []).flatMap((uplink) => {
    const found = uplink.usable
      ? run.plan.kernel.get(`class ${uplink.name} ${classId}`)
      : undefined;
    return found?.kind === "class" ? [found.rateBitsPerSecond] : [];
  });
  return {
    name,
    classId,
    priority: share.priority,
    reservationBitsPerSecond: share.reservationBitsPerSecond,
    limitBitsPerSecond: share.limitBitsPerSecond,
    shares: share.shares,
    grantedBitsPerSecond: rates.length === 0 ? 0 : Math.min(...rates),
    sentBitsPerSecond: load === undefined ? null : Math.round(load.sentBitsPerSecond),
    drops: load?.drops ?? 0,
  };
}

/** What the host's own classes have before any guest, where there are any. */
function hostReasons(config: TeamConfig): string[] {
  if (config.hostClasses.length === 0) return [];
  const parts = hostLines(config).map(
    ({ name, share }) => `${name} ${formatRate(share.reservationBitsPerSecond)}`,
  );
  return [
    `the host keeps ${formatRate(hostReservation(config))} of each uplink: ${parts.join(", ")}`,
  ];
}

function describeUplinkLoad(load: Load | undefined) {
  return {
    sentBitsPerSecond: load === undefined ? null : Math.round(load.sentBitsPerSecond),
    demandBitsPerSecond: load === undefined ? null : Math.round(load.demandBitsPerSecond),
    backlogBytes: load?.backlogBytes ?? null,
    drops: load?.drops ?? null,
  };
}

function describeDomain(domain: DomainState, run: Run, loads: LoadMemory): DomainStatus {
  const plan = run.plan.domains.find((candidate) => candidate.domain === domain.name);
  return {
    name: domain.name,
    phase: domain.phase,
    action: plan !== undefined && plan.dueAtMs <= run.world.nowMs ? plan.action : "none",
    pausedByUs: domain.pausedByUs !== null,
    held: domain.held,
    owner: domain.owner,
    migration:
      domain.migration === null
        ? null
        : {
            destination: domain.migration.destination,
            sinceMs: domain.migration.sinceMs,
            bandwidthBitsPerSecond: domain.migration.bandwidthBitsPerSecond,
          },
    vnics: domain.vnics.map((vnic) => describeVnic(vnic, run, loads)),
    problems: domain.problems,
  };
}

function planOf(vnic: VnicState, run: Run): VnicPlan | undefined {
  return run.plan.vnics.find((planned) => planned.mac === vnic.mac && planned.team === vnic.team);
}

function describeVnic(vnic: VnicState, run: Run, loads: LoadMemory): VnicStatus {
  const planned = planOf(vnic, run);
  const { bandwidth, inbound } = vnic.policy;
  const load =
    planned === undefined ? undefined : loads.loads.get(loadKey(planned.team, planned.minor));
  const grant = planned?.classes.find((entry) => entry.uplink === planned.via);
  return {
    mac: vnic.mac,
    tap: vnic.tap,
    team: vnic.team,
    policy: vnic.policy.policy,
    priority: vnic.policy.priority,
    home: planned?.home ?? null,
    via: planned?.via ?? null,
    recentMoves: movesOf(vnic, run).filter(({ atMs }) => atMs > run.world.nowMs - MOVE_WINDOW_MS)
      .length,
    classId: planned === undefined ? null : `7570:${planned.minor.toString(16)}`,
    reservationBitsPerSecond: bandwidth.reservationBitsPerSecond,
    limitBitsPerSecond: bandwidth.limitBitsPerSecond,
    ...(inbound !== undefined && {
      inboundLimitBitsPerSecond: inbound.limitBitsPerSecond,
      ...inboundCounts(vnic, run),
    }),
    shares: bandwidth.shares,
    grantedBitsPerSecond: grant?.reservationBitsPerSecond ?? 0,
    expectedBitsPerSecond: planned?.expectedBitsPerSecond ?? 0,
    sentBitsPerSecond: load === undefined ? null : Math.round(load.sentBitsPerSecond),
    demandBitsPerSecond: load === undefined ? null : Math.round(load.demandBitsPerSecond),
    backlogBytes: load?.backlogBytes ?? 0,
    drops: load?.drops ?? 0,
    survivesOneLoss: planned?.survivesOneLoss ?? false,
    guarantee:
      bandwidth.reservationBitsPerSecond === 0
        ? null
        : planned?.survivesOneLoss === true
          ? "holds with any one uplink lost"
          : "best effort when degraded",
    unshapedReason: vnic.unshapedReason,
  };
}
