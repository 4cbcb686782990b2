/**
 * Status as Prometheus' text (exposition format 0.0.4): base units, so bytes and seconds. Pure. Labels come from the
 * configuration and from libvirt; a guest can't add to them.
 */
import { EVENT_IDS } from "../model/event-id.ts";
import type { DaemonStatus, Status, VnicStatus } from "../model/status.ts";
import { bytesFromBits } from "../model/units.ts";
import type { Durations, HistogramCounts, Measurements } from "./api.ts";

type Labels = Readonly<Record<string, string>>;

/** One metric with its samples; a sample of null is left out: not known. */
interface Metric {
  readonly name: string;
  readonly type: "gauge" | "counter";
  readonly help: string;
  readonly samples: readonly { readonly labels: Labels; readonly value: number | null }[];
}

/** More vNICs than this are counted, but have no series of their own: a scrape must stay small. */
const MAX_VNICS = 2000;

const MODES: readonly DaemonStatus["mode"][] = ["enforcing", "observing", "released"];
const CONDITIONS = ["ok", "degraded", "isolated", "refused", "barred"] as const;

export function renderMetrics(status: Status, measurements: Measurements): string {
  const metrics = [
    ...daemonMetrics(status, measurements.events),
    ...teamMetrics(status),
    conditionSeconds(measurements.durations),
    ...uplinkMetrics(status),
    ...hostMetrics(status),
    ...domainMetrics(status),
    ...vnicMetrics(status),
  ];
  const { failover, plan, apply } = measurements.durations;
  return [
    ...metrics.flatMap(writeMetric),
    ...writeHistogram(
      "failover_duration_seconds",
      "From the kernel's event of an uplink's loss to the prepared plan having been sent.",
      failover,
    ),
    ...writeHistogram("plan_duration_seconds", "Planning, all losses' plans included.", plan),
    ...writeHistogram("apply_duration_seconds", "Writing changes to the kernel, if any.", apply),
  ].join("");
}

function conditionSeconds({ conditions }: Durations): Metric {
  return {
    name: "uplinkd_team_condition_seconds_total",
    type: "counter",
    help: "How long the team has been in the condition since the daemon's start.",
    // A counter that begins with its first second shows no increase of the first time.
    samples: [...new Set(conditions.map(({ team }) => team))].flatMap((team) =>
      CONDITIONS.map((condition) => {
        const had = conditions.find((one) => one.team === team && one.condition === condition);
        return { labels: { team, condition }, value: had?.seconds ?? 0 };
      }),
    ),
  };
}

function daemonMetrics(status: Status, eventCounts: ReadonlyMap<string, number>): Metric[] {
  const { daemon } = status;
  const one = (value: number | null) => [{ labels: {}, value }];
  const seconds = (ms: number | null) => one(ms === null ? null : ms / 1000);
  return [
    gauge("info", "Version of the daemon.", [{ labels: { version: daemon.version }, value: 1 }]),
    gauge(
      "mode",
      "1 for the mode that the daemon is in.",
      MODES.map((mode) => ({ labels: { mode }, value: Number(mode === daemon.mode) })),
    ),
    gauge("start_time_seconds", "When the daemon started, Unix time.", seconds(daemon.startedAtMs)),
    gauge(
      "last_resync_timestamp_seconds",
      "When everything was last read anew and compared, Unix time.",
      seconds(daemon.lastResyncMs),
    ),
    gauge("libvirt_up", "1 while libvirt answers.", one(Number(daemon.libvirt === "up"))),
    gauge("drift_objects", "Kernel objects that differ from the plan.", one(status.drift.length)),
    gauge(
      "contests",
      "Kernel objects that somebody else changes again and again.",
      one(status.contests.length),
    ),
    gauge(
      "conflicts",
      "Foreign objects where ours should be.",
      one(status.teams.reduce((sum, team) => sum + team.conflicts.length, 0)),
    ),
    gauge("problems", "Problems that status shows.", one(problemCount(status))),
    {
      name: "uplinkd_events_total",
      type: "counter",
      help: "Events since the start, by the id that the log has: uplink-lost, drift-mended.",
      // Each from the start: Prometheus sees no increase from a series that isn't there yet.
      samples: EVENT_IDS.map((id) => ({ labels: { id }, value: eventCounts.get(id) ?? 0 })),
    },
  ];
}

/** Each once: a domain's are among the host's, too. */
function problemCount(status: Status): number {
  const all = [...status.problems, ...status.domains.flatMap((domain) => domain.problems)];
  return new Set(all.map((problem) => `${problem.object}: ${problem.message}`)).size;
}

function teamMetrics({ teams }: Status): Metric[] {
  return [
    gauge(
      "team_condition",
      "1 for the condition that the team is in.",
      teams.flatMap((team) =>
        CONDITIONS.map((condition) => ({
          labels: { team: team.name, condition },
          value: Number(condition === team.condition),
        })),
      ),
    ),
    gauge(
      "team_unevenness_ratio",
      "How far the uplink furthest from the team's utilisation is from it; absent unless rebalanced.",
      teams.map(({ name, balance }) => ({ labels: { team: name }, value: unevennessOf(balance) })),
    ),
  ];
}

function unevennessOf(balance: Status["teams"][number]["balance"]): number | null {
  if (balance === null) return null;
  const { uplinks, evenUtilisation } = balance;
  return Math.max(0, ...uplinks.map((each) => Math.abs(each.utilisation - evenUtilisation)));
}

function uplinkMetrics({ teams }: Status): Metric[] {
  const uplinks = teams.flatMap((team) =>
    team.uplinks.map((uplink) => ({ uplink, labels: { team: team.name, uplink: uplink.name } })),
  );
  type Uplink = (typeof uplinks)[number]["uplink"];
  const each = (name: string, help: string, value: (uplink: Uplink) => number | null) =>
    gauge(
      `uplink_${name}`,
      help,
      uplinks.map(({ uplink, labels }) => ({ labels, value: value(uplink) })),
    );
  return [
    each("usable", "1 where vNICs may be placed.", (uplink) => Number(uplink.usable)),
    each("carrier", "1 where there is a link.", (uplink) => Number(uplink.carrier)),
    each("path_healthy", "1 where probes find its path alive, 0 where not.", ({ probe }) =>
      probe === null ? null : Number(probe.path === "healthy"),
    ),
    each(
      "probe_heard_timestamp_seconds",
      "When a probe was last answered by it, or another uplink's came in, Unix time.",
      ({ probe }) => (probe?.heardAtMs == null ? null : probe.heardAtMs / 1000),
    ),
    {
      name: "uplinkd_uplink_probes_sent_total",
      type: "counter",
      help: "Probes sent by it.",
      samples: uplinks.map(({ uplink, labels }) => ({
        labels,
        value: uplink.probe?.sentFrames ?? null,
      })),
    },
    each("speed_bytes_per_second", "Line rate.", (uplink) => rate(uplink.speedBitsPerSecond)),
    each("capacity_bytes_per_second", "Line rate less headroom, 0 where not usable.", (uplink) =>
      rate(uplink.capacityBitsPerSecond),
    ),
    each("reserved_bytes_per_second", "Reservations of what sends there.", (uplink) =>
      rate(uplink.committedBitsPerSecond),
    ),
    each("sent_bytes_per_second", "Sent, averaged over the team's load window.", (uplink) =>
      rate(uplink.sentBitsPerSecond),
    ),
    each("demand_bytes_per_second", "Sent and dropped, averaged alike.", (uplink) =>
      rate(uplink.demandBitsPerSecond),
    ),
    each("backlog_bytes", "Waiting in its queues.", (uplink) => uplink.backlogBytes),
    {
      ...each("dropped_packets_total", "Packets dropped by its queues.", (uplink) => uplink.drops),
      type: "counter",
    },
  ];
}

function hostMetrics({ teams }: Status): Metric[] {
  const lines = teams.flatMap(({ name, host }) =>
    host.map((line) => ({ line, labels: { team: name, class: line.name } })),
  );
  type Line = (typeof lines)[number]["line"];
  const each = (name: string, help: string, value: (line: Line) => number | null) =>
    gauge(
      `host_class_${name}`,
      help,
      lines.map(({ line, labels }) => ({ labels, value: value(line) })),
    );
  return [
    each("reservation_bytes_per_second", "As configured, on each uplink.", (line) =>
      rate(line.reservationBitsPerSecond),
    ),
    each("limit_bytes_per_second", "As configured; absent where there is none.", (line) =>
      rate(line.limitBitsPerSecond),
    ),
    each(
      "granted_bytes_per_second",
      "Rate of its class on the usable uplink where it is least.",
      (line) => rate(line.grantedBitsPerSecond),
    ),
    each(
      "sent_bytes_per_second",
      "Sent by all uplinks, averaged over the team's load window.",
      (line) => rate(line.sentBitsPerSecond),
    ),
    {
      ...each("dropped_packets_total", "Packets that its class dropped.", (line) => line.drops),
      type: "counter",
    },
  ];
}

function domainMetrics({ domains }: Status): Metric[] {
  return [
    gauge("domains", "Domains known.", [{ labels: {}, value: domains.length }]),
    gauge(
      "domain_paused",
      "1 while uplinkd has paused the domain.",
      domains
        .slice(0, MAX_VNICS)
        .map((domain) => ({ labels: { domain: domain.name }, value: Number(domain.pausedByUs) })),
    ),
    gauge(
      "domain_migrating",
      "1 while uplinkd moves the domain to another host.",
      domains.slice(0, MAX_VNICS).map((domain) => ({
        labels: { domain: domain.name },
        value: Number(domain.migration !== null),
      })),
    ),
  ];
}

function vnicMetrics({ domains }: Status): Metric[] {
  const all = domains.flatMap((domain) =>
    domain.vnics.map((vnic) => ({ vnic, labels: { domain: domain.name, mac: vnic.mac } })),
  );
  const shown = all.slice(0, MAX_VNICS);
  const each = (name: string, help: string, value: (vnic: VnicStatus) => number | null) =>
    gauge(
      `vnic_${name}`,
      help,
      shown.map(({ vnic, labels }) => ({ labels, value: value(vnic) })),
    );
  return [
    gauge("vnics", "vNICs known; more than 2000 have no series.", [
      { labels: {}, value: all.length },
    ]),
    gauge(
      "vnic_info",
      "Where a vNIC is at home, and what it was promised it by.",
      shown.map(({ vnic, labels }) => {
        const { team, home, via, policy, priority } = vnic;
        const told = { team: team ?? "", home: home ?? "", via: via ?? "", policy, priority };
        return { labels: { ...labels, ...told }, value: 1 };
      }),
    ),
    each("shaped", "1 where it has a class of its own.", (vnic) =>
      Number(vnic.unshapedReason === null),
    ),
    each("away", "1 while it sends by another uplink than its home.", (vnic) =>
      Number(vnic.home !== vnic.via),
    ),
    each("survives_loss", "1 where its reservation holds with any one uplink lost.", (vnic) =>
      Number(vnic.survivesOneLoss),
    ),
    each("reservation_bytes_per_second", "As promised.", (vnic) =>
      rate(vnic.reservationBitsPerSecond),
    ),
    each("limit_bytes_per_second", "As promised; absent where there is none.", (vnic) =>
      rate(vnic.limitBitsPerSecond),
    ),
    each("granted_bytes_per_second", "Rate of its class where it sends now.", (vnic) =>
      rate(vnic.grantedBitsPerSecond),
    ),
    each("expected_bytes_per_second", "What it gets now, all demand considered.", (vnic) =>
      rate(vnic.expectedBitsPerSecond),
    ),
    each("sent_bytes_per_second", "Sent, averaged over the team's load window.", (vnic) =>
      rate(vnic.sentBitsPerSecond),
    ),
    each("demand_bytes_per_second", "Sent and dropped, averaged alike.", (vnic) =>
      rate(vnic.demandBitsPerSecond),
    ),
    each("backlog_bytes", "Waiting in its queue.", (vnic) => vnic.backlogBytes),
    {
      ...each("dropped_packets_total", "Packets that its class dropped.", (vnic) => vnic.drops),
      type: "counter",
    },
    each("inbound_limit_bytes_per_second", "Towards it; absent where there is none.", (vnic) =>
      rate(vnic.inboundLimitBitsPerSecond ?? null),
    ),
    {
      ...each(
        "inbound_bytes_total",
        "Came for it from the wire since its inbound limit was made, dropped or not.",
        (vnic) => vnic.inboundBytes ?? null,
      ),
      type: "counter",
    },
    {
      ...each(
        "inbound_dropped_packets_total",
        "Packets that its inbound limit dropped.",
        (vnic) => vnic.inboundDrops ?? null,
      ),
      type: "counter",
    },
  ];
}

function gauge(name: string, help: string, samples: Metric["samples"]): Metric {
  return { name: `uplinkd_${name}`, type: "gauge", help, samples };
}

function rate(bitsPerSecond: number | null): number | null {
  return bitsPerSecond === null ? null : bytesFromBits(bitsPerSecond);
}

function writeMetric({ name, type, help, samples }: Metric): string[] {
  const known = samples.filter((sample) => sample.value !== null);
  if (known.length === 0) return [];
  return [
    `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`,
    ...known.map(({ labels, value }) => {
      const pairs = Object.entries(labels).map(([key, text]) => `${key}="${quote(text)}"`);
      return `${name}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}\n`;
    }),
  ];
}

function writeHistogram(name: string, help: string, counts: HistogramCounts): string[] {
  const full = `uplinkd_${name}`;
  const bucket = (le: string, count: number) => `${full}_bucket{le="${le}"} ${count}\n`;
  return [
    `# HELP ${full} ${help}\n# TYPE ${full} histogram\n`,
    ...counts.buckets.map(({ boundSeconds, count }) => bucket(String(boundSeconds), count)),
    bucket("+Inf", counts.count),
    `${full}_sum ${counts.sumSeconds}\n${full}_count ${counts.count}\n`,
  ];
}

function quote(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
