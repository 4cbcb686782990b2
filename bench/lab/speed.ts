/** How fast a processor runs our kind of program: a lab without KVM is many times slower than what it runs on. */
import { planWorld } from "../../src/plan/plan.ts";
import { type Result, resultOf } from "../result.ts";
import { fleetWorld } from "./fleet.ts";

const ROUNDS = 25;
const WARM = 15;

/** Plans the same 200 vNICs again and again. @param where for the result's name */
export function speed(where: string): Result {
  const world = fleetWorld([], { vnics: 200 });
  const times: number[] = [];
  for (let round = 0; round < WARM + ROUNDS; round += 1) {
    const before = process.cpuUsage();
    planWorld(world);
    const used = process.cpuUsage(before);
    if (round >= WARM) times.push((used.user + used.system) / 1000);
  }
  return resultOf(`planning 200 vNICs, ${where}`, "ms", times);
}
