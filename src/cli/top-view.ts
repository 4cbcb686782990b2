/** One screen of `uplinkctl top`. Pure. */
import { describeScope } from "../model/scope.ts";
import type { DomainStatus, Status, UplinkStatus, VnicStatus } from "../model/status.ts";
import { loadBar } from "./load-bar.ts";
import { pathOf, shortRate } from "./status-view.ts";
import { type Cell, type Column, cut, type Layout, printable, renderTable } from "./table.ts";

/** What the rows may be sorted by; the order of the key that changes it. */
export const TOP_SORTS = ["used", "load", "promised", "drops", "domain", "uplink"] as const;
export type TopSort = (typeof TOP_SORTS)[number];

export interface TopView {
  readonly sort: TopSort;
  readonly reverse: boolean;
  /** Rows that are above the screen. */
  readonly offset: number;
  /** Rows of the screen. */
  readonly height: number;
  /** Shown while it stands still, or the daemon doesn't answer. */
  readonly note: string;
}

interface Row {
  readonly domain: DomainStatus;
  readonly vnic: VnicStatus;
}

/** @returns lines that fit the height and the layout's width */
export function renderTop(status: Status, view: TopView, nowMs: number, layout: Layout): string[] {
  const rows = sortRows(status, view);
  const head = [headLine(status, nowMs, layout), "", ...uplinkLines(status, layout), ""];
  const available = Math.max(1, view.height - head.length - 2);
  const offset = lastOffset(rows.length, available, view.offset);
  const shown = rows.slice(offset, offset + available);
  const columns = COLUMNS.filter((column) => layout.width >= (column.fromWidth ?? 0));
  const table = renderTable(
    columns,
    shown.map((row) => columns.map((column) => column.cell(row))),
    layout,
  );
  const hidden = rows.length - shown.length;
  const place = hidden === 0 ? "" : ` ${offset + 1}-${offset + shown.length} of ${rows.length}`;
  const direction = view.reverse ? "ascending" : "descending";
  const keys = `q quit  s sort: ${view.sort}, ${direction}  r reverse  space pause  arrows scroll`;
  const foot = cut(`${view.note === "" ? keys : view.note}${place}`, layout.width);
  const body = rows.length === 0 ? ["no vNICs"] : table;
  return [...head, ...body, layout.paint(view.note === "" ? "dim" : "yellow", foot)]
    .slice(0, view.height)
    .map((line) => cut(line, layout.width));
}

/** How many rows a screen of this height has room for, to scroll by; at least one. */
export function topPage(status: Status, height: number): number {
  const uplinks = status.teams.reduce((sum, team) => sum + team.uplinks.length, 0);
  return Math.max(1, height - uplinks - 6);
}

function lastOffset(count: number, available: number, wanted: number): number {
  return Math.max(0, Math.min(wanted, count - available));
}

function headLine(status: Status, nowMs: number, layout: Layout): string {
  const { daemon, teams } = status;
  const scope = daemon.scope.kind === "host" ? "" : ` ${describeScope(daemon.scope)} only`;
  const conditions = teams.map(({ condition, name }) => `${printable(name)} ${condition}`);
  const problems = status.problems.length + status.drift.length;
  const told = problems === 0 ? "" : `, ${problems} problems: uplinkctl status`;
  const time = new Date(nowMs).toTimeString().slice(0, 8);
  const libvirt = daemon.libvirt === "up" ? "" : ", libvirt down";
  const line = `uplinkd ${daemon.mode}${scope}, ${conditions.join(", ")}${libvirt}${told}`;
  const room = layout.width === Number.POSITIVE_INFINITY ? line.length : layout.width - 10;
  const worst = teams.some(({ condition }) => condition !== "ok") || problems > 0;
  return `${layout.paint(worst ? "yellow" : "bold", cut(line, room).padEnd(room))}  ${time}`;
}

function uplinkLines({ teams }: Status, layout: Layout): string[] {
  const wide = Math.max(10, Math.min(40, (Number.isFinite(layout.width) ? layout.width : 80) - 66));
  const rows = teams.flatMap((team) =>
    team.uplinks.map((uplink): (Cell | string)[] => [
      uplink.name,
      loadBar(uplink.usable ? uplink.sentBitsPerSecond : null, uplink.capacityBitsPerSecond, wide),
      shortRate(uplink.sentBitsPerSecond),
      uplink.usable ? shortRate(uplink.committedBitsPerSecond) : "-",
      uplink.usable ? shortRate(uplink.capacityBitsPerSecond) : "-",
      stateOf(uplink, team.activePort),
    ]),
  );
  const columns = [
    { title: "UPLINK", leastWidth: 6 },
    { title: "LOAD" },
    { title: "USED", align: "right" },
    { title: "RESERVED", align: "right" },
    { title: "CAPACITY", align: "right" },
    { title: "STATE", leastWidth: 6 },
  ] as const;
  return renderTable(columns, rows, layout);
}

function stateOf({ carrier, drained, name, usable }: UplinkStatus, active: string | null): Cell {
  if (usable) return { text: name === active ? "active" : "usable", colour: "green" };
  if (drained) return { text: "drained", colour: "yellow" };
  return { text: carrier ? "not usable" : "no carrier", colour: "red" };
}

interface TopColumn extends Column {
  readonly cell: (row: Row) => Cell | string;
  /** Left out on narrower screens. */
  readonly fromWidth?: number;
}

const COLUMNS: readonly TopColumn[] = [
  { title: "DOMAIN", leastWidth: 8, cell: ({ domain }) => domain.name },
  { title: "VNIC", leastWidth: 6, cell: ({ vnic }) => vnic.tap ?? vnic.mac },
  { title: "MAC", cell: ({ vnic }) => vnic.mac, fromWidth: 110 },
  { title: "POLICY", leastWidth: 6, cell: ({ vnic }) => vnic.policy, fromWidth: 110 },
  { title: "PRIO", cell: ({ vnic }) => vnic.priority },
  { title: "UPLINK", leastWidth: 6, cell: pathCell },
  { title: "PROMISED", align: "right", cell: ({ vnic }) => promised(vnic) },
  { title: "GETS", align: "right", cell: ({ vnic }) => shortRate(vnic.expectedBitsPerSecond) },
  { title: "USED", align: "right", cell: ({ vnic }) => shortRate(vnic.sentBitsPerSecond) },
  { title: "LOAD", cell: ({ vnic }) => barOf(vnic, 20), fromWidth: 150 },
  { title: "DROPS", align: "right", cell: ({ vnic }) => String(vnic.drops), fromWidth: 100 },
  { title: "STATE", leastWidth: 5, cell: ({ domain, vnic }) => domainState(domain, vnic) },
];

function pathCell({ vnic }: Row): Cell | string {
  return vnic.home === vnic.via ? pathOf(vnic) : { text: pathOf(vnic), colour: "yellow" };
}

function promised(vnic: VnicStatus): string {
  return vnic.reservationBitsPerSecond === 0 ? "-" : shortRate(vnic.reservationBitsPerSecond);
}

function barOf(vnic: VnicStatus, width: number): Cell {
  return loadBar(vnic.sentBitsPerSecond, vnic.expectedBitsPerSecond, width);
}

function domainState(domain: DomainStatus, vnic: VnicStatus): Cell | string {
  if (domain.pausedByUs) return { text: "paused by uplinkd", colour: "red" };
  if (vnic.unshapedReason !== null) return { text: "not shaped", colour: "yellow" };
  if (domain.action !== "none") return { text: domain.action, colour: "yellow" };
  if (vnic.expectedBitsPerSecond < vnic.reservationBitsPerSecond)
    return { text: "short", colour: "red" };
  return domain.held ? "held" : domain.phase;
}

function sortRows(status: Status, { reverse, sort }: TopView): readonly Row[] {
  const rows = status.domains.flatMap((domain) => domain.vnics.map((vnic) => ({ domain, vnic })));
  const byName = (a: Row, b: Row) =>
    a.domain.name.localeCompare(b.domain.name, "en", { numeric: true });
  const figure: Readonly<Record<TopSort, ((row: Row) => number) | null>> = {
    used: ({ vnic }) => vnic.sentBitsPerSecond ?? -1,
    load: ({ vnic }) => (vnic.sentBitsPerSecond ?? -1) / Math.max(1, vnic.expectedBitsPerSecond),
    promised: ({ vnic }) => vnic.reservationBitsPerSecond,
    drops: ({ vnic }) => vnic.drops,
    domain: null,
    uplink: null,
  };
  const of = figure[sort];
  const compare = (a: Row, b: Row) => {
    if (of !== null) return of(b) - of(a) || byName(a, b);
    if (sort === "uplink") {
      return (a.vnic.via ?? "~").localeCompare(b.vnic.via ?? "~") || byName(a, b);
    }
    return byName(a, b);
  };
  const sorted = rows.toSorted(compare);
  return reverse ? sorted.reverse() : sorted;
}
