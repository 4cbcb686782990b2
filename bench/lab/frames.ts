/** What shaping costs a frame, and whether that grows with the number of vNICs. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { diffKernel } from "../../src/diff/diff.ts";
import type { Mac } from "../../src/model/mac.ts";
import { resetToBare } from "../../test/lab/bare.ts";
import { buildHost, uplinkNames } from "../../test/lab/host.ts";
import type { End } from "../../test/lab/meter.ts";
import { addStandin } from "../../test/lab/standin.ts";
import { outside } from "../../test/lab/switch.ts";
import { Flood, Sink } from "../../test/lab/traffic.ts";
import { macOf } from "../../test/unit/world.ts";
import { atLeast, type Benchmark, ratios, resultOf } from "../result.ts";
import { clearKernel, type FleetShape, fleetPlan } from "./fleet.ts";
import { refuseNone, withKernel } from "./open-kernel.ts";

const SIZES = [1, 100, 1000, 4000] as const;
const ROUNDS = 3;
const FLOODS = 3;
const FLOOD_MS = 1500;
/** The smallest frame: the cost of bytes is none of this. */
const FRAME_BYTES = 60;
/** More than the processor can send, so that it is what limits. */
const FLOOD_BITS_PER_SECOND = 1e9;

/** The flooding vNIC stays within its own rate; the others share what is left. */
const wish: NonNullable<FleetShape["wish"]> = (index) =>
  index === 0 ? { bandwidth: { reservationBitsPerSecond: 1e9 } } : {};

export const frames: Benchmark = {
  name: "frames",
  run: async () => {
    await resetToBare();
    await buildHost();
    const guest = addStandin({ number: 1, mac: macOf(0) as Mac });
    const sink = new Sink(outside);
    const plain: number[] = [];
    const shaped = new Map<number, number[]>(SIZES.map((size) => [size, []]));
    for (let round = 0; round < ROUNDS; round += 1) {
      clearKernel();
      plain.push(...(await measure("plain bonding", guest)));
      for (const vnics of SIZES) {
        clearKernel();
        await install(vnics);
        shaped.get(vnics)?.push(...(await measure(`${vnics} vNICs`, guest)));
      }
    }
    await sink.stop();
    const of = (vnics: number) => shaped.get(vnics) ?? [];
    return [
      resultOf("frames sent, plain bonding", "frames/s", plain),
      ...SIZES.map((vnics) => resultOf(`frames sent, ${vnics} vNICs`, "frames/s", of(vnics))),
      resultOf("frames sent, 4000 vNICs / 1 vNIC", "ratio", ratios(of(4000), of(1)), atLeast(0.95)),
      resultOf("frames sent, 1 vNIC / plain bonding", "ratio", ratios(of(1), plain), atLeast(0.85)),
      resultOf(
        "frames sent, 4000 vNICs / plain bonding",
        "ratio",
        ratios(of(4000), plain),
        atLeast(0.85),
      ),
    ];
  },
};

async function install(vnics: number): Promise<void> {
  await withKernel(async (kernel) => {
    const { kernel: wanted } = fleetPlan(kernel.readLinks(), { vnics, wish });
    refuseNone(await kernel.apply(diffKernel(new Map(), wanted)));
  });
  // Freed memory and the notifications of so many objects are dealt with behind our back.
  await sleep(500);
}

/** Frames a second that leave the uplinks. */
async function measure(what: string, from: End): Promise<number[]> {
  const rates: number[] = [];
  for (let count = 0; count < FLOODS; count += 1) {
    const flood = new Flood({
      from,
      to: outside,
      bitsPerSecond: FLOOD_BITS_PER_SECOND,
      frameBytes: FRAME_BYTES,
    });
    // Its start is none of the measurement.
    await sleep(300);
    const [startMs, before] = [performance.now(), sentFrames()];
    await sleep(FLOOD_MS);
    const [endMs, after] = [performance.now(), sentFrames()];
    rates.push(((after - before) * 1000) / (endMs - startMs));
    await flood.stop();
  }
  console.log(`      ${what}: ${rates.map(Math.round).join(" ")} frames/s`);
  return rates;
}

function sentFrames(): number {
  const counts = uplinkNames().map((name) =>
    Number(readFileSync(`/sys/class/net/${name}/statistics/tx_packets`, "latin1")),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}
