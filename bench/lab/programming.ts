/** What it costs to make and to change the kernel objects of many vNICs, beside tc and beside a bare replay. */
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { compileSteps } from "../../src/apply/kernel.ts";
import { commandsOf } from "../../src/apply/shelltext.ts";
import { diffKernel } from "../../src/diff/diff.ts";
import type { KernelMap } from "../../src/model/kernel.ts";
import type { LinkState } from "../../src/model/link.ts";
import type { Step } from "../../src/model/step.ts";
import { applied } from "../../src/plan/loss.ts";
import { planWorld } from "../../src/plan/plan.ts";
import { run } from "../../test/lab/command.ts";
import { GBIT } from "../../test/unit/world.ts";
import { atMost, type Benchmark, type Goal, type Result, ratios, resultOf } from "../result.ts";
import { clearKernel, countKind, fleetPlan, fleetWorld } from "./fleet.ts";
import { refuseNone, withKernel } from "./open-kernel.ts";
import type { Place } from "./place.ts";

/** The C program, and what tc and it are given. */
const REPLAY = path.join(tmpdir(), "uplinkd-replay");
const INPUT = path.join(tmpdir(), "uplinkd-replay-input");
const WAYS = ["uplinkd", "tc -batch", "C replay"] as const;
type Way = (typeof WAYS)[number];
/** Up to so many vNICs are programmed some times before it counts: of more, most is compiled by the time that a part is done. */
const COLD_VNICS = 1000;
const COLD_ROUNDS = 4;

/** Milliseconds by way, one a round. */
type Times = Record<Way, number[]>;

interface Work {
  readonly base: KernelMap;
  readonly create: readonly Step[];
  readonly change: readonly Step[];
}

/** The benchmark for a number of vNICs; each round makes all objects anew, by each way in turn. */
export function programming(vnics: number, rounds: number, place: Place): Benchmark {
  return {
    name: `programming-${vnics}`,
    run: async () => {
      await place.prepare();
      run("tcc", "-o", REPLAY, `${import.meta.dirname}/replay.c`);
      const links = await readLinks();
      const work = prepare(links, vnics, place);
      const [create, change]: [Times, Times] = [noTimes(), noTimes()];
      const cold = vnics <= COLD_VNICS ? COLD_ROUNDS : 0;
      for (let round = 0; round < cold + rounds; round += 1) {
        for (const way of rotated(round)) {
          clearKernel();
          await withKernel(async (kernel) => {
            refuseNone(await kernel.apply(diffKernel(new Map(), work.base)));
          });
          create[way].push(await time(way, work.create, links));
          change[way].push(await time(way, work.change, links));
        }
      }
      const [firstMs = 0, , replayMs = 0] = WAYS.map((way) => create[way].splice(0, cold)[0]);
      for (const way of WAYS) change[way].splice(0, cold);
      const what = `creating ${vnics} vNICs, ${place.words}, the first time in the process`;
      return [
        ...(cold === 0
          ? []
          : [resultOf(`${what}: uplinkd / C replay`, "ratio", [firstMs / replayMs])]),
        ...describe(`creating ${vnics} vNICs, ${place.words}`, create, [atMost(0.9), atMost(1.25)]),
        ...describe(`changing the rates of ${vnics} vNICs, ${place.words}`, change, [
          atMost(0.5),
          null,
        ]),
      ];
    },
  };
}

function prepare(links: readonly LinkState[], vnics: number, { select }: Place): Work {
  const world = fleetWorld(links, { vnics });
  const plan = planWorld(world);
  const after = applied(fleetWorld(links, { vnics, speedBitsPerSecond: 9 * GBIT }), plan);
  const base = select(fleetPlan(links, { vnics: 0 }).kernel);
  const create = diffKernel(base, select(plan.kernel));
  const change = diffKernel(select(plan.kernel), select(planWorld(after).kernel));
  const classes = change.filter(({ object }) => object.kind === "class").length;
  if (countKind(plan.kernel, "vnic") !== vnics || classes < vnics * 2) {
    throw new Error(`${vnics} vNICs were to be planned and all their classes changed: ${classes}`);
  }
  console.log(`      ${vnics} vNICs: ${create.length} steps to make, ${change.length} to change`);
  return { base, create, change };
}

async function time(
  way: Way,
  steps: readonly Step[],
  links: readonly LinkState[],
): Promise<number> {
  const startMs = performance.now();
  switch (way) {
    case "uplinkd":
      // The daemon listens to the kernel while it writes; opening is no part of it.
      return withKernel(async (kernel) => {
        const appliedFromMs = performance.now();
        refuseNone(await kernel.apply(steps));
        return performance.now() - appliedFromMs;
      });
    case "tc -batch": {
      writeFileSync(INPUT, tcText(steps, links));
      const ranFromMs = performance.now();
      run("tc", "-batch", INPUT);
      return performance.now() - ranFromMs;
    }
    case "C replay": {
      writeFileSync(INPUT, replayBytes(steps, links));
      const { elapsedMs } = JSON.parse(run(REPLAY, INPUT)) as { readonly elapsedMs: number };
      console.log(
        `      ${way} ${Math.round(elapsedMs)} of ${Math.round(performance.now() - startMs)} ms`,
      );
      return elapsedMs;
    }
  }
}

/** The steps as a person would write them for tc: the same objects, nothing deleted that isn't there. */
function tcText(steps: readonly Step[], links: readonly LinkState[]): string {
  const nameOf = (ifindex: number) => links.find((link) => link.ifindex === ifindex)?.name;
  const lines = steps.flatMap((step) => {
    const commands = commandsOf(step, nameOf);
    return step.op === "add" && step.object.kind === "leaf" ? commands.slice(-1) : commands;
  });
  return lines.map((line) => `${line.replace(/^tc /, "")}\n`).join("");
}

function replayBytes(steps: readonly Step[], links: readonly LinkState[]): Uint8Array {
  const { chunks } = compileSteps(
    steps,
    (name) => links.find((link) => link.name === name)?.ifindex,
  );
  return Buffer.concat(
    chunks.flatMap((chunk) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(chunk.length);
      return [length, chunk];
    }),
  );
}

function readLinks(): Promise<readonly LinkState[]> {
  return withKernel(async (kernel) => kernel.readLinks());
}

function noTimes(): Times {
  return { uplinkd: [], "tc -batch": [], "C replay": [] };
}

/** No way is always the first, on memory that the kernel has just been given back. */
function rotated(round: number): readonly Way[] {
  const start = round % WAYS.length;
  return [...WAYS.slice(start), ...WAYS.slice(0, start)];
}

function describe(what: string, times: Times, goals: readonly (Goal | null)[]): readonly Result[] {
  return [
    ...WAYS.map((way) => resultOf(`${what}: ${way}`, "ms", times[way])),
    ...(["tc -batch", "C replay"] as const).map((other, index) =>
      resultOf(
        `${what}: uplinkd / ${other}`,
        "ratio",
        ratios(times.uplinkd, times[other]),
        goals[index] ?? null,
      ),
    ),
  ];
}
