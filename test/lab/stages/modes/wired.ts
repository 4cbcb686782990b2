import assert from "node:assert/strict";
import { resetToBare } from "../../bare.ts";
import { run } from "../../command.ts";
import { type Guest, labConfig } from "../../guests.ts";
import { buildHost, type HostShape, hostAddress, readNetworkState } from "../../host.ts";
import type { LossReport } from "../../loss.ts";
import { leavesBy } from "../../reached.ts";
import { ping } from "../../standin.ts";
import { bundle, outside } from "../../switch.ts";
import { until } from "../../wait.ts";

/** A way to wire a host: the bond, what the switch makes of its ports, and what uplinkd.yaml says of it. */
export interface Wired {
  readonly title: string;
  readonly host: HostShape;
  readonly bundle: "802.3ad" | "balance-xor" | null;
  /** More lines of the team. */
  readonly team?: string;
}

const HOST_CLASS = "7570:fff0";

/** Short hold-down, so that a test needn't wait long for guests to go home. */
export function modesConfig({ team = "" }: Wired): string {
  const config = labConfig(team === "" ? {} : { team: `    ${team}` });
  return config.replaceAll(/(holdDown|holdDownMax): 2s/g, "$1: 1s");
}

/** A host, its switch and its bond, before any uplinkd. */
export async function wire({ host: shape, bundle: group }: Wired): Promise<void> {
  await resetToBare();
  if (group !== null) bundle(group);
  await buildHost(shape);
}

/** The uplink of the host's own frames. */
export function hostLeavesBy(): string {
  return leavesBy("", HOST_CLASS);
}

/** Every guest and the host answer from outside. */
export function assertReached(guests: readonly Guest[], when: string): void {
  for (const address of [...guests.map(({ ipv4 }) => ipv4), hostAddress]) {
    const answers = ping(outside.namespace, address, { count: 5, intervalMs: 20 });
    assert.ok(answers >= 4, `${when}: ${address} answered ${answers} of 5`);
  }
}

/** Traffic never stood still: a queue that is replaced loses what waits in it, one that stops loses all for a second. */
export function assertFlowed({ there, back }: Pick<LossReport, "there" | "back">): void {
  for (const [way, { sent, lost, gaps }] of Object.entries({ there, back })) {
    const longest = Math.max(0, ...gaps.map(({ frames }) => frames));
    assert.ok(lost <= sent / 50, `${way}: ${lost} of ${sent} lost`);
    assert.ok(longest <= 75, `${way}: ${longest} in a row lost`);
  }
}

/** The host's state once addresses aren't tentative any more, and without what LACP goes on counting. */
export async function readSteadyState(): Promise<readonly string[]> {
  await until("addresses to be checked", () => !run("ip", "addr", "show").includes("tentative"));
  return readNetworkState()
    .replaceAll(/ad_(churn|actor|partner)_\S+ \S+/g, "")
    .split("\n");
}
