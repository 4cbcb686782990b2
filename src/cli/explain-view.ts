/** Why a domain has what it has, as text. Pure. */
import type { Explanation } from "../control/api.ts";
import type { NetworkPolicy } from "../model/policy.ts";
import type { VnicStatus } from "../model/status.ts";
import { formatDuration, formatRate, formatSize } from "../model/units.ts";
import { pathOf, shortRate, writeProblem } from "./status-view.ts";
import { type Layout, printable, renderTable, wrap } from "./table.ts";

export function renderExplanation(explanation: Explanation, layout: Layout): string[] {
  const { domain } = explanation;
  const state = domain.pausedByUs
    ? "paused by uplinkd"
    : domain.migration !== null
      ? `${domain.phase}, being moved to ${printable(domain.migration.destination)}`
      : domain.phase;
  const reasons = (all: readonly string[], indent: string) =>
    all.flatMap((reason) => wrap(reason, layout, `${indent}- `, `${indent}  `));
  const lines = [
    `${layout.paint("bold", printable(domain.name))}: ${state}, action ${domain.action}`,
    ...reasons(explanation.reasons, "  "),
    ...domain.problems.flatMap((problem) => writeProblem(problem, layout, "  ")),
  ];
  for (const vnic of explanation.vnics) {
    const status = domain.vnics.find((each) => each.mac === vnic.mac);
    lines.push("", `vNIC ${vnic.mac}${status === undefined ? "" : whereabouts(status)}`);
    lines.push(...wrap(writePolicy(vnic.policy), layout, "  ", "    "));
    if (status !== undefined) lines.push(...wrap(writeShare(status), layout, "  ", "    "));
    lines.push(...reasons(vnic.reasons, "  "));
    if (vnic.classes.length > 0) {
      const columns = [
        { title: "UPLINK" },
        { title: "RESERVED", align: "right" },
        { title: "LIMIT", align: "right" },
      ] as const;
      const rows = vnic.classes.map((each) => [
        each.uplink,
        formatRate(each.reservationBitsPerSecond),
        formatRate(each.limitBitsPerSecond),
      ]);
      lines.push(...renderTable(columns, rows, layout, 2));
    }
  }
  for (const team of explanation.teams) {
    if (team.reasons.length === 0) continue;
    lines.push("", `team ${printable(team.name)}`, ...reasons(team.reasons, "  "));
  }
  return lines;
}

function whereabouts(vnic: VnicStatus): string {
  const tap = vnic.tap === null ? "" : ` (${printable(vnic.tap)})`;
  if (vnic.team === null) return `${tap}: not shaped: ${printable(vnic.unshapedReason ?? "")}`;
  const classId = vnic.classId === null ? "" : `, class ${vnic.classId}`;
  return `${tap} in team ${printable(vnic.team)}${classId}`;
}

/** A policy with every gap filled, in one sentence. */
export function writePolicy(policy: NetworkPolicy): string {
  const { bandwidth, inbound, placement, failover } = policy;
  const parts = [
    `priority ${policy.priority}`,
    `reservation ${formatRate(bandwidth.reservationBitsPerSecond)}`,
    `limit ${bandwidth.limitBitsPerSecond === null ? "none" : formatRate(bandwidth.limitBitsPerSecond)}`,
    `shares ${bandwidth.shares}`,
  ];
  if (bandwidth.burstBytes !== null) parts.push(`burst ${formatSize(bandwidth.burstBytes)}`);
  if (inbound !== undefined) {
    const burst = inbound.burstBytes === null ? "" : `, burst ${formatSize(inbound.burstBytes)}`;
    parts.push(`inbound limit ${formatRate(inbound.limitBitsPerSecond)}${burst}`);
  }
  if (placement.prefer.length > 0) parts.push(`prefers ${placement.prefer.join(", ")}`);
  if (placement.apart.length > 0) parts.push(`apart from ${placement.apart.join(", ")}`);
  parts.push(`on failure ${failover.action} after ${formatDuration(failover.graceMs)}`);
  if (failover.maxPauseMs !== null)
    parts.push(`paused at most ${formatDuration(failover.maxPauseMs)}`);
  if (failover.destinations.length > 0) parts.push(`to ${failover.destinations.join(", ")}`);
  return `policy ${policy.policy}: ${parts.join(", ")}`;
}

function writeShare(vnic: VnicStatus): string {
  const parts = [
    `sends by ${pathOf(vnic)}`,
    `gets ${shortRate(vnic.expectedBitsPerSecond)}`,
    `sent ${shortRate(vnic.sentBitsPerSecond)}`,
    `${formatSize(vnic.backlogBytes)} queued`,
    `${vnic.drops} dropped`,
  ];
  return `${parts.join(", ")}${vnic.guarantee === null ? "" : `; its reservation: ${vnic.guarantee}`}`;
}
