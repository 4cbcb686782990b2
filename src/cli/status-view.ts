/** The status document as text. Pure. */
import type { Problem } from "../model/domain.ts";
import { targetName } from "../model/probe.ts";
import { describeScope } from "../model/scope.ts";
import {
  type DomainStatus,
  GUARANTEES,
  type Status,
  type TeamStatus,
  type UplinkStatus,
  type VnicStatus,
} from "../model/status.ts";
import { formatDuration, formatRate } from "../model/units.ts";
import { loadBar } from "./load-bar.ts";
import { type Cell, type Colour, type Layout, printable, renderTable, wrap } from "./table.ts";

/** @param nowMs Unix time, for ages */
export function renderStatus(status: Status, nowMs: number, layout: Layout): string[] {
  return [
    ...daemonLines(status, nowMs, layout),
    ...status.teams.flatMap((team) => ["", ...teamLines(team, layout)]),
    ...domainLines(status.domains, layout),
    ...problemLines(status, layout),
  ];
}

/** A rate in three digits, for tables; "-" where it isn't known. --json has every digit. */
export function shortRate(bitsPerSecond: number | null): string {
  return bitsPerSecond === null ? "-" : formatRate(Number(bitsPerSecond.toPrecision(3)));
}

/** `eno1`, or `eno1>eno2` for a vNIC at home on eno1 that sends by eno2. */
export function pathOf(vnic: Pick<VnicStatus, "home" | "via">): string {
  if (vnic.home === null || vnic.home === vnic.via) return vnic.via ?? "-";
  return `${vnic.home}>${vnic.via ?? "none"}`;
}

export function writeProblem(problem: Problem, layout: Layout, indent: string): string[] {
  const remedy = problem.remedy === "" ? "" : ` (${problem.remedy})`;
  return wrap(`${problem.object}: ${problem.message}${remedy}`, layout, indent, `${indent}  `);
}

function daemonLines(status: Status, nowMs: number, layout: Layout): string[] {
  const { daemon } = status;
  const { scope } = daemon;
  const canary = scope.kind === "host" ? "" : ` ${describeScope(scope)} only`;
  const mode = {
    enforcing: layout.paint("green", `enforcing${canary}`),
    observing: layout.paint("yellow", "observing, changes nothing"),
    released: layout.paint("yellow", "released, enforces nothing"),
  }[daemon.mode];
  const libvirt = daemon.libvirt === "up" ? "libvirt up" : layout.paint("red", "libvirt down");
  const checked =
    daemon.lastResyncMs === null
      ? "not checked yet"
      : `checked ${formatDuration(Math.max(0, nowMs - daemon.lastResyncMs))} ago`;
  const up = formatDuration(Math.max(0, nowMs - daemon.startedAtMs));
  const lines = [`uplinkd ${daemon.version}, ${mode}, ${libvirt}, up ${up}, ${checked}`];
  if (daemon.confirmByMs !== null) {
    const left = formatDuration(Math.max(0, daemon.confirmByMs - nowMs));
    lines.push(layout.paint("yellow", `rolls back in ${left} unless confirmed: uplinkctl confirm`));
  }
  if (status.contests.length > 0) {
    lines.push("", layout.paint("bold", "changed by somebody else again and again"));
    for (const { object, times, who } of status.contests)
      lines.push(...wrap(`${object}: ${times} times, likely ${who}`, layout, "  ", "    "));
  }
  return lines;
}

const CONDITION_COLOURS: Readonly<Record<TeamStatus["condition"], Colour>> = {
  ok: "green",
  degraded: "yellow",
  isolated: "red",
  refused: "red",
  barred: "yellow",
};

const MOVE_WORDS = { suggested: "would move", waiting: "about to move", made: "moved" } as const;

function balanceLines(balance: TeamStatus["balance"], layout: Layout): string[] {
  if (balance === null) return [];
  return [
    `rebalancing ${balance.mode}: ${balance.reason}`,
    ...balance.moves.map(
      ({ domain, mac, state, reason }) =>
        `${MOVE_WORDS[state]} ${printable(domain)} ${mac} ${reason}`,
    ),
  ].flatMap((line) => wrap(line, layout, "  ", "    "));
}

function sourceLines(sources: TeamStatus["sources"], layout: Layout): string[] {
  if (sources === null) return [];
  const { forged, unregistered, interfaces } = sources;
  return [
    `source addresses: forged ${forged}, unregistered ${unregistered}`,
    ...interfaces.map(({ device, domain, forgedFrames, unregisteredFrames }) => {
      const who = domain === null ? device : `${device} (${domain})`;
      return `${printable(who)} sent ${forgedFrames} frames with another vNIC's address, ${unregisteredFrames} with no vNIC's`;
    }),
  ].flatMap((line) => wrap(line, layout, "  ", "    "));
}

function teamLines(team: TeamStatus, layout: Layout): string[] {
  const condition = layout.paint(CONDITION_COLOURS[team.condition], team.condition);
  const bond = team.name === team.bond ? "" : ` on ${team.bond}`;
  // In other modes no port is the active one, nor is that worth a word.
  const none = team.mode === "active-backup" ? ", no active port" : "";
  const active = team.activePort === null ? none : `, active port ${team.activePort}`;
  const rows = team.uplinks.map((uplink): (Cell | string)[] => [
    uplink.name,
    uplink.usable ? { text: "usable", colour: "green" } : writeUnusable(uplink),
    shortRate(uplink.speedBitsPerSecond),
    uplink.usable ? shortRate(uplink.capacityBitsPerSecond) : "-",
    uplink.usable ? shortRate(uplink.committedBitsPerSecond) : "-",
    shortRate(uplink.sentBitsPerSecond),
    // By what would be sent: a full uplink and one that holds back look the same by what is.
    loadBar(uplink.usable ? uplink.demandBitsPerSecond : null, uplink.capacityBitsPerSecond, 10),
  ]);
  const uplinkColumns = [
    { title: "UPLINK" },
    { title: "STATE" },
    { title: "SPEED", align: "right" },
    { title: "CAPACITY", align: "right" },
    { title: "RESERVED", align: "right" },
    { title: "SENT", align: "right" },
    { title: "LOAD" },
  ] as const;
  // An uplink's own reason, unless one of the team's tells of that uplink already.
  const untold = team.uplinks.filter(
    (uplink) =>
      !uplink.usable &&
      uplink.reason !== "" &&
      !team.reasons.some((reason) => reason.includes(uplink.name)),
  );
  const reasons = [
    ...team.reasons,
    ...untold.map((uplink) => `${uplink.name}: ${uplink.reason}`),
    ...silentTargets(team),
  ];
  return [
    `team ${printable(team.name)}${printable(bond)} (${team.mode ?? "no such bond"}): ${condition}${printable(active)}`,
    ...reasons.flatMap((reason) => wrap(reason, layout, "  ", "    ")),
    ...team.conflicts.flatMap((conflict) =>
      writeProblem(
        {
          object: conflict.device,
          message: `${conflict.found}: ${conflict.message}`,
          remedy: conflict.remedy,
        },
        layout,
        "  ",
      ),
    ),
    ...(rows.length === 0 ? [] : renderTable(uplinkColumns, rows, layout, 2)),
    ...hostLines(team, layout),
    ...balanceLines(team.balance, layout),
    ...sourceLines(team.sources, layout),
  ];
}

/** The host's classes, where it has more than the default one. */
function hostLines({ host }: TeamStatus, layout: Layout): string[] {
  if (host.length < 2) return [];
  const columns = [
    { title: "HOST" },
    { title: "PRIORITY" },
    { title: "RESERVED", align: "right" },
    { title: "LIMIT", align: "right" },
    { title: "SENT", align: "right" },
  ] as const;
  const rows = host.map((line): (Cell | string)[] => [
    line.name,
    line.priority,
    line.grantedBitsPerSecond < line.reservationBitsPerSecond
      ? { text: shortRate(line.grantedBitsPerSecond), colour: "red" }
      : shortRate(line.reservationBitsPerSecond),
    shortRate(line.limitBitsPerSecond),
    shortRate(line.sentBitsPerSecond),
  ]);
  return renderTable(columns, rows, layout, 2);
}

/** Targets that answer by no uplink, and nothing else: what an uplink lacks alone is its reason already. */
function silentTargets({ uplinks }: TeamStatus): string[] {
  const probed = uplinks.filter(({ carrier, probe }) => carrier && probe !== null);
  const targets = probed[0]?.probe?.targets ?? [];
  const silent = targets.filter(({ address, vlanId }) =>
    probed.every(({ probe }) =>
      probe?.targets.some(
        (one) => one.address === address && one.vlanId === vlanId && !one.answers,
      ),
    ),
  );
  return silent.map((target) => `${targetName(target)} answers the probes of no uplink`);
}

function writeUnusable({ carrier, drained, probe }: UplinkStatus): Cell {
  if (drained) return { text: carrier ? "drained" : "drained, no carrier", colour: "yellow" };
  if (carrier && probe?.path === "dead") return { text: "dead path", colour: "red" };
  return { text: carrier ? "not usable" : "no carrier", colour: "red" };
}

function domainLines(domains: readonly DomainStatus[], layout: Layout): string[] {
  if (domains.length === 0) return ["", "no domains"];
  const columns = [
    { title: "DOMAIN", leastWidth: 10 },
    { title: "VNIC", leastWidth: 8 },
    { title: "POLICY", leastWidth: 7 },
    { title: "PRIORITY" },
    { title: "UPLINK", leastWidth: 9 },
    { title: "RESERVED", align: "right" },
    { title: "GETS", align: "right" },
    { title: "SENT", align: "right" },
  ] as const;
  const rows = domains.flatMap((domain) =>
    domain.vnics.length === 0
      ? [[domain.name, "none"]]
      : domain.vnics.map((vnic, index) => vnicRow(index === 0 ? domain.name : "", vnic)),
  );
  return ["", ...renderTable(columns, rows, layout), ...noteLines(domains, layout)];
}

function vnicRow(domain: string, vnic: VnicStatus): (Cell | string)[] {
  const name = vnic.tap ?? vnic.mac;
  if (vnic.unshapedReason !== null)
    return [domain, name, vnic.policy, vnic.priority, { text: "not shaped", colour: "yellow" }];
  const isAway = vnic.home !== vnic.via;
  const isShort = vnic.expectedBitsPerSecond < vnic.reservationBitsPerSecond;
  return [
    domain,
    name,
    vnic.policy,
    vnic.priority,
    isAway ? { text: pathOf(vnic), colour: "yellow" } : pathOf(vnic),
    vnic.reservationBitsPerSecond === 0 ? "-" : shortRate(vnic.reservationBitsPerSecond),
    isShort
      ? { text: shortRate(vnic.expectedBitsPerSecond), colour: "red" }
      : shortRate(vnic.expectedBitsPerSecond),
    shortRate(vnic.sentBitsPerSecond),
  ];
}

/** What the table has no room for, and only where there is something to tell. */
function noteLines(domains: readonly DomainStatus[], layout: Layout): string[] {
  const notes = GUARANTEES.flatMap((guarantee) => {
    const names = domains.flatMap(({ name, vnics }) =>
      vnics
        .filter((vnic) => vnic.unshapedReason === null && vnic.guarantee === guarantee)
        .map((vnic) => `${name} ${vnic.tap ?? vnic.mac}`),
    );
    return names.length === 0
      ? []
      : wrap(`reserved, ${guarantee}: ${names.join(", ")}`, layout, "  ", "    ");
  });
  for (const domain of domains) {
    const note = (text: string) =>
      notes.push(...wrap(`${domain.name}: ${text}`, layout, "  ", "    "));
    if (domain.pausedByUs) note("paused by uplinkd; resumes by itself when it fits again");
    else if (domain.phase !== "running") note(domain.phase);
    if (domain.migration !== null) {
      const { destination, bandwidthBitsPerSecond } = domain.migration;
      note(`being moved to ${destination} with at most ${shortRate(bandwidthBitsPerSecond)}`);
    }
    if (domain.held) note("held by an operator: shaped, never paused or moved");
    if (domain.owner !== null) note(`${domain.owner} manages it: shaped, never paused or moved`);
    const isTold = domain.pausedByUs
      ? domain.action === "pause"
      : domain.migration !== null && domain.action === "migrate";
    if (domain.action !== "none" && !isTold) note(`action: ${domain.action}`);
    for (const vnic of domain.vnics) {
      const name = vnic.tap ?? vnic.mac;
      if (vnic.unshapedReason !== null) note(`${name} is not shaped: ${vnic.unshapedReason}`);
      if (vnic.inboundLimitBitsPerSecond !== undefined)
        note(
          `${name} gets at most ${shortRate(vnic.inboundLimitBitsPerSecond)} from outside: limited, never guaranteed${droppedWords(vnic)}`,
        );
      // Two are a failover and the way home; more is an uplink that comes and goes.
      if (vnic.recentMoves > 2)
        note(`${name} changed its uplink ${vnic.recentMoves} times in the last 3 minutes`);
    }
  }
  return notes.length === 0 ? [] : ["", ...notes];
}

function droppedWords({ inboundDrops = 0 }: VnicStatus): string {
  return inboundDrops === 0 ? "" : `; ${inboundDrops} packets dropped`;
}

function problemLines(status: Status, layout: Layout): string[] {
  const problems = [...status.problems, ...status.domains.flatMap((domain) => domain.problems)];
  const lines: string[] = [];
  if (problems.length > 0) {
    lines.push("", layout.paint("bold", "problems"));
    for (const problem of problems) lines.push(...writeProblem(problem, layout, "  "));
  }
  if (status.drift.length > 0) {
    lines.push("", layout.paint("bold", "being mended in the kernel"));
    for (const drift of status.drift)
      lines.push(...wrap(`${drift.op} ${drift.object} ${drift.message}`, layout, "  ", "    "));
  }
  if (status.contests.length > 0) {
    lines.push("", layout.paint("bold", "changed by somebody else again and again"));
    for (const { object, times, who } of status.contests)
      lines.push(...wrap(`${object}: ${times} times, likely ${who}`, layout, "  ", "    "));
  }
  return lines;
}
