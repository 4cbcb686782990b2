import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { diffKernel } from "../../../src/diff/diff.ts";
import type { KernelMap } from "../../../src/model/kernel.ts";
import type { Plan } from "../../../src/model/plan.ts";
import type { World } from "../../../src/model/world.ts";
import { applied, planLosses, withLoss } from "../../../src/plan/loss.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { seededWorld } from "./seeded.ts";

const FILE = new URL("./recorded.json", import.meta.url);
const WORLDS = 150;

/** All that a planner says of a world: its plan, those for each loss, and the steps that a loss would take. */
function digest(world: World): string {
  const first = planWorld(world);
  const { plan, losses } = planLosses(world, first);
  const said = [
    tell(plan),
    [...plan.kernel],
    losses.map((loss) => [
      loss.team,
      loss.uplink,
      tell(loss.plan),
      sorted(loss.plan.kernel),
      diffKernel(plan.kernel, loss.plan.kernel),
    ]),
  ];
  return createHash("sha256").update(JSON.stringify(said)).digest("hex").slice(0, 16);
}

function tell({ teams, vnics, domains, nextWakeAtMs, problems }: Plan) {
  // Loads aren't evened out in any of these worlds.
  const told = teams.map(({ balance: _, ...team }) => team);
  return [told, vnics, domains, nextWakeAtMs, problems];
}

function sorted(kernel: KernelMap) {
  return [...kernel].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** The world, the same with its plan applied, and that one some time after a loss. */
function digestsOf(seed: number): string[] {
  const world = seededWorld(seed);
  const settled = applied(world, planWorld(world));
  const team = world.teams[0];
  const lost = team?.uplinks[seed % team.uplinks.length]?.name ?? "";
  const degraded = withLoss(settled, team?.config.name ?? "", [lost]);
  return [world, settled, { ...degraded, nowMs: degraded.nowMs + 6000 }].map(digest);
}

describe("the planner's answers", () => {
  // Recorded before the planner was made fast. Where a change of behaviour is meant: UPLINKD_RECORD=1.
  it(`to ${WORLDS} worlds are those on record`, () => {
    const now = Array.from({ length: WORLDS }, (_, seed) => digestsOf(seed).join(" "));
    if (process.env["UPLINKD_RECORD"] === "1")
      writeFileSync(FILE, `${JSON.stringify(now, null, 1)}\n`);
    const record = JSON.parse(readFileSync(FILE, "utf8")) as string[];
    const changed = now.flatMap((line, seed) => (line === record[seed] ? [] : [seed]));
    assert.deepEqual(changed, []);
  }).timeout(20_000);
});
