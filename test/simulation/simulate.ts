/** From a seed to a history, lived through. */
import { drawEvents, type Event } from "./event.ts";
import type { Violation } from "./invariants.ts";
import { Random } from "./random.ts";
import { type Mutation, Simulation } from "./simulation.ts";

export interface History {
  readonly events: readonly Event[];
  /** How many of them happened. */
  readonly lived: number;
  readonly violation: Violation | null;
}

/** The history of a seed. */
export async function simulate(seed: number, count: number, mutation?: Mutation): Promise<History> {
  return await live(seed, drawEvents(new Random(seed ^ 0x5eed), count), mutation);
}

/** Given events on the host that a seed makes. */
export async function live(
  seed: number,
  events: readonly Event[],
  mutation?: Mutation,
): Promise<History> {
  const result = await new Simulation(seed, mutation).run(events);
  if (result === null) return { events, lived: events.length, violation: null };
  return { events, lived: result.after, violation: result.violation };
}
