/** Batches of steps as the daemon makes them, for the model and the real kernel to be compared by. */
import type { KernelObject } from "../../src/model/kernel.ts";
import { actionIndex, parseActionIndex } from "../../src/model/layout.ts";
import type { Step } from "../../src/model/step.ts";
import { drawEvents, type Event, type Happening } from "./event.ts";
import { Random } from "./random.ts";
import { Simulation } from "./simulation.ts";

/** What changes steps without changing links: a lab would have to follow each pull. */
const KINDS: ReadonlySet<Happening["kind"]> = new Set([
  "start",
  "stop",
  "arrive",
  "leave",
  "plug",
  "unplug",
  "annotate",
  "demand",
]);

/**
 * The batches of one history without faults; every second is spoiled: a step is left out, done twice, or done first,
 * so that the kernel refuses some.
 */
export async function recordBatches(seed: number, events: number): Promise<readonly Step[][]> {
  const batches: Step[][] = [];
  const simulation = new Simulation(seed, {
    outside: (outside) => ({
      ...outside,
      kernel: {
        ...outside.kernel,
        apply: (steps) => {
          batches.push([...steps]);
          return outside.kernel.apply(steps);
        },
      },
    }),
  });
  const drawn: Event[] = drawEvents(new Random(seed), events * 10);
  await simulation.run(drawn.filter(({ what }) => KINDS.has(what.kind)).slice(0, events));
  const random = new Random(seed);
  for (const [index, batch] of batches.entries()) {
    if (index % 2 === 0) continue;
    const at = random.between(0, batch.length - 1);
    const step = batch[at] as Step;
    const how = random.between(0, 2);
    if (how === 0) batch.splice(at, 1);
    else if (how === 1) batch.push(step);
    else batch.unshift(...batch.splice(at, 1));
  }
  return batches.filter((batch) => batch.length > 0);
}

/** The same step or object on a host whose devices have other numbers. */
export function renumberStep(step: Step, numbers: ReadonlyMap<number, number>): Step {
  const object = renumber(step.object, numbers);
  if (step.op !== "change") return { ...step, object };
  return { ...step, object, before: renumber(step.before, numbers) };
}

export function renumber(object: KernelObject, numbers: ReadonlyMap<number, number>): KernelObject {
  const of = (ifindex: number) => numbers.get(ifindex) ?? ifindex;
  const action = (index: number) => {
    const parsed = parseActionIndex(index);
    return parsed === null ? index : actionIndex(of(parsed.bondIfindex), parsed.home, parsed.via);
  };
  switch (object.kind) {
    case "uplink-action":
      return { ...object, index: action(object.index) };
    case "vnic":
      return { ...object, actionIndex: action(object.actionIndex) };
    case "reports":
      return { ...object, copyTo: object.copyTo.map(of) };
    case "redirect":
      return { ...object, toIfindex: of(object.toIfindex) };
    default:
      return object;
  }
}
