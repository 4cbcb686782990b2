/** The answer of `uplinkctl simulate` as text. Pure. */
import type { Plan } from "../model/plan.ts";
import type { SimulationDocument } from "../model/simulation.ts";
import { formatRate } from "../model/units.ts";
import { type Cell, type Layout, renderTable, wrap } from "./table.ts";

/** A table that is read in ten seconds: what is lost, what is left, who gets what, and what happens to whom. */
export function renderSimulation(answer: SimulationDocument, layout: Layout): string[] {
  const { paint } = layout;
  const lost = answer.failed.length === 0 ? "nothing failed" : `${answer.failed.join(", ")} failed`;
  const verdict = answer.condition === "ok" ? "ok" : paint("yellow", answer.condition);
  const uplinks = renderTable(
    [
      { title: "UPLINK" },
      { title: "CAPACITY", align: "right" },
      { title: "COMMITTED", align: "right" },
      { title: "STATE", leastWidth: 10 },
    ],
    answer.uplinks.map((uplink) => [
      uplink.name,
      uplink.usable ? formatRate(uplink.capacityBitsPerSecond) : "-",
      uplink.usable ? formatRate(uplink.committedBitsPerSecond) : "-",
      uplink.usable ? uplink.reason : ({ text: uplink.reason, colour: "red" } satisfies Cell),
    ]),
    layout,
  );
  const actions = new Map(answer.domains.map((domain) => [domain.name, domain.action]));
  const vnics = renderTable(
    [
      { title: "DOMAIN", leastWidth: 8 },
      { title: "MAC" },
      { title: "PRIORITY" },
      { title: "UPLINK" },
      { title: "PROMISED", align: "right" },
      { title: "GETS", align: "right" },
      { title: "SHORT", align: "right" },
      { title: "ACTION" },
    ],
    answer.vnics.map((vnic) => [
      vnic.domain,
      vnic.mac,
      vnic.priority,
      writeMove(vnic.homeBeforeLoss, vnic.home),
      writeRate(vnic.reservationBitsPerSecond),
      formatRate(vnic.expectedBitsPerSecond),
      vnic.unmetReservationBitsPerSecond === 0
        ? "-"
        : { text: formatRate(vnic.unmetReservationBitsPerSecond), colour: "red" },
      writeAction(actions.get(vnic.domain) ?? "none"),
    ]),
    layout,
  );
  // Where the host has but its default class, a table of it would tell nothing.
  const named = answer.host.some(({ name }) => name !== "default");
  const host = renderTable(
    [
      { title: "HOST" },
      { title: "UPLINK" },
      { title: "PROMISED", align: "right" },
      { title: "GETS", align: "right" },
    ],
    answer.host.map((line) => [
      line.name,
      line.uplink,
      // A byte a second is HTB's least rate, and no promise.
      writeRate(line.reservationBitsPerSecond > 8 ? line.reservationBitsPerSecond : 0),
      formatRate(line.expectedBitsPerSecond),
    ]),
    layout,
  );
  const reasons = answer.domains.flatMap(({ name, reasons: why }) =>
    why.flatMap((reason) => wrap(`${name}: ${reason}`, layout, "", "  ")),
  );
  return [
    `${lost}: ${verdict}`,
    "",
    ...uplinks,
    ...(named ? ["", ...host] : []),
    ...(answer.vnics.length === 0 ? [] : ["", ...vnics]),
    ...(reasons.length === 0 ? [] : ["", ...reasons]),
  ];
}

function writeRate(bitsPerSecond: number): string {
  return bitsPerSecond === 0 ? "-" : formatRate(bitsPerSecond);
}

/** As status shows a vNIC that sends by another uplink than its home. */
function writeMove(before: string | null, now: string | null): string {
  return before === now ? (now ?? "none") : `${before ?? "none"}>${now ?? "none"}`;
}

function writeAction(action: Plan["domains"][number]["action"] | string): Cell | string {
  if (action === "none") return "-";
  return { text: action, colour: action === "throttle" ? "yellow" : "red" };
}
