/** The process that bench/memory.ts measures: one domain after the other wants something else, or none, and all is planned. */
import { diffKernel } from "../src/diff/diff.ts";
import type { Plan } from "../src/model/plan.ts";
import type { World } from "../src/model/world.ts";
import { planLosses } from "../src/plan/loss.ts";
import { planWorld } from "../src/plan/plan.ts";
import type { MemoryReport } from "./memory.ts";
import { benchWorld, CROWDS, changeDomain } from "./world.ts";

const EARLY_EVENTS = 500;

const [vnics = 0, uplinks = 0, events = 0] = process.argv.slice(2).map(Number);
let world: World = benchWorld(vnics, uplinks, CROWDS.roomy);
let plan: Plan | undefined;
let earlyBytes = 0;
for (let event = 0; event < EARLY_EVENTS + events; event += 1) {
  if (event === EARLY_EVENTS) earlyBytes = usedBytes();
  // A host on which nothing happens is looked at all the same.
  world = event % 2 === 0 ? changeDomain(world, event) : { ...world, nowMs: world.nowMs + 1 };
  const planned = planLosses(world, planWorld(world, plan));
  plan = planned.plan;
  // As the loop does at each run.
  diffKernel(world.kernel, plan.kernel);
  for (const loss of planned.losses) diffKernel(plan.kernel, loss.plan.kernel);
  world = { ...world, kernel: plan.kernel };
}
const residentBytes = process.memoryUsage.rss();
const report: MemoryReport = {
  residentBytes,
  earlyBytes,
  lateBytes: usedBytes(),
};
process.send?.(report);

function usedBytes(): number {
  // What the first finds of buffers is given back by the second.
  for (let round = 0; round < 2; round += 1) globalThis.gc?.();
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
}
