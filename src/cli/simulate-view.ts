/** The answer of `uplinkctl simulate`, for programs and for people. Pure. */
import type { Plan } from "../model/plan.ts";
import { formatRate } from "../model/units.ts";
import type { World } from "../model/world.ts";
import type { Simulation } from "../plan/simulate.ts";
import { type Cell, type Layout, renderTable, wrap } from "./table.ts";

/** The document of --json: its keys are a promise. Arrays are in the order of the file, rates whole bits per second. */
export interface SimulationDocument {
  readonly failed: readonly string[];
  readonly condition: string;
  readonly uplinks: readonly {
    readonly name: string;
    readonly usable: boolean;
    /** Speed less headroom; 0 where not usable. */
    readonly capacityBitsPerSecond: number;
    readonly committedBitsPerSecond: number;
    readonly reason: string;
  }[];
  readonly vnics: readonly {
    readonly domain: string;
    readonly mac: string;
    readonly priority: string;
    /** Where it sends after the loss; null where no uplink is usable. */
    readonly home: string | null;
    readonly homeBeforeLoss: string | null;
    readonly reservationBitsPerSecond: number;
    readonly expectedBitsPerSecond: number;
    readonly unmetReservationBitsPerSecond: number;
    /** What stands in the kernel on each usable uplink. */
    readonly classes: readonly {
      readonly uplink: string;
      readonly reservationBitsPerSecond: number;
      readonly limitBitsPerSecond: number;
    }[];
    readonly reasons: readonly string[];
  }[];
  readonly domains: readonly {
    readonly name: string;
    readonly action: string;
    readonly reasons: readonly string[];
  }[];
}

/** @param failed names of the uplinks that are lost, in the order of the file */
export function describeSimulation(
  world: World,
  failed: readonly string[],
  { before, after }: Simulation,
): SimulationDocument {
  const [team] = after.teams;
  const usable = new Set(team?.uplinks.flatMap(({ name, usable: is }) => (is ? [name] : [])));
  const policies = new Map(
    world.domains.flatMap((domain) => domain.vnics.map((vnic) => [vnic.mac, vnic.policy] as const)),
  );
  const earlier = new Map(before.vnics.map((vnic) => [vnic.mac, vnic]));
  return {
    failed,
    condition: team?.condition ?? "ok",
    uplinks: (team?.uplinks ?? []).map(({ team: _, ...uplink }) => uplink),
    vnics: after.vnics.map((vnic) => {
      const was = earlier.get(vnic.mac);
      return {
        domain: vnic.domain,
        mac: vnic.mac,
        priority: vnic.priority,
        home: vnic.via,
        homeBeforeLoss: was?.via ?? null,
        reservationBitsPerSecond: policies.get(vnic.mac)?.bandwidth.reservationBitsPerSecond ?? 0,
        expectedBitsPerSecond: vnic.expectedBitsPerSecond,
        unmetReservationBitsPerSecond: vnic.unmetReservationBitsPerSecond,
        classes: vnic.classes.filter((grant) => usable.has(grant.uplink)),
        reasons: [...new Set([...(was?.reasons ?? []), ...vnic.reasons])],
      };
    }),
    domains: after.domains.map(({ domain, action, reasons }) => ({
      name: domain,
      action,
      reasons,
    })),
  };
}

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
  const reasons = answer.domains.flatMap(({ name, reasons: why }) =>
    why.flatMap((reason) => wrap(`${name}: ${reason}`, layout, "", "  ")),
  );
  return [
    `${lost}: ${verdict}`,
    "",
    ...uplinks,
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
