/** From the news of a lost link to the last byte of the prepared plan handed to the kernel. */
import { diffKernel } from "../../src/diff/diff.ts";
import type { LinkState } from "../../src/model/link.ts";
import type { Step } from "../../src/model/step.ts";
import { applied, planLosses } from "../../src/plan/loss.ts";
import { planWorld } from "../../src/plan/plan.ts";
import { resetToBare } from "../../test/lab/bare.ts";
import { buildHost, setActivePort } from "../../test/lab/host.ts";
import { plug, pull } from "../../test/lab/qmp.ts";
import { until } from "../../test/lab/wait.ts";
import { GBIT } from "../../test/unit/world.ts";
import { type Benchmark, type Result, resultOf } from "../result.ts";
import { clearKernel, type FleetShape, fleetWorld } from "./fleet.ts";
import { refuseNone, withKernel } from "./open-kernel.ts";

export const FLEET_SIZES = [1, 100, 1000] as const;
const LOST = "nic0";
const PULLS = 9;

/** What stands before a loss, and what is laid ready for it. */
export interface LossSteps {
  readonly install: readonly Step[];
  readonly reaction: readonly Step[];
  /** Back to how it was. */
  readonly restore: readonly Step[];
}

/**
 * The real planner's answer to the loss of nic0.
 * @param crowded reservations of three quarters of both uplinks: all of them have to be cut; else none changes
 */
export function lossSteps(links: readonly LinkState[], vnics: number, crowded: boolean): LossSteps {
  const reservationBitsPerSecond = Math.floor((15 * GBIT) / vnics / 8) * 8;
  const shape: FleetShape = crowded
    ? { vnics, wish: () => ({ bandwidth: { reservationBitsPerSecond } }) }
    : { vnics };
  const world = fleetWorld(links, shape);
  const first = planWorld(world);
  const { plan, losses } = planLosses(applied(world, first), first);
  const loss = losses.find(({ uplink }) => uplink === LOST);
  if (loss === undefined) throw new Error(`no plan for the loss of ${LOST}`);
  return {
    install: diffKernel(new Map(), plan.kernel),
    reaction: diffKernel(plan.kernel, loss.plan.kernel),
    restore: diffKernel(loss.plan.kernel, plan.kernel),
  };
}

/** In the lab, with the kernel's own work in it. */
export const losses: Benchmark = {
  name: "losses",
  run: async () => {
    await resetToBare();
    await buildHost();
    const results: Result[] = [];
    for (const vnics of FLEET_SIZES) {
      for (const crowded of [false, true]) results.push(await measure(vnics, crowded));
    }
    return results;
  },
};

async function measure(vnics: number, crowded: boolean): Promise<Result> {
  clearKernel();
  const times: number[] = [];
  const onReacted = (_port: string, microseconds: number, refused: number) => {
    if (refused > 0) throw new Error(`${refused} messages of the reaction were refused`);
    times.push(microseconds / 1000);
  };
  const messages = await withKernel(async (kernel) => {
    await setActivePort(LOST);
    const { install, reaction, restore } = lossSteps(kernel.readLinks(), vnics, crowded);
    refuseNone(await kernel.apply(install));
    for (let count = 0; count < PULLS; count += 1) {
      kernel.arm(LOST, reaction);
      await pull(0);
      await until("the reaction", () => times.length > count);
      await plug(0);
      refuseNone(await kernel.apply(restore));
      await setActivePort(LOST);
    }
    return reaction.length;
  }, onReacted);
  const what = `link lost to last byte, ${vnics} vNICs, ${messages} messages, in the lab with the kernel's work`;
  console.log(`      ${what}: ${times.map((time) => time.toFixed(2)).join(" ")} ms`);
  return resultOf(what, "ms", times);
}
