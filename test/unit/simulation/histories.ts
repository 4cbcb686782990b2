/** Pieces of histories that tests begin with. */
import type { Event, Happening } from "../../simulation/event.ts";
import type { Wish } from "../../simulation/guest.ts";

/** A guest that asks for nothing. */
export const PLAIN: Wish = {
  priority: "normal",
  reservationMbit: 0,
  limitMbit: null,
  inboundMbit: null,
  shares: 100,
  action: "throttle",
  graceMs: 0,
};

/** A host of two uplinks, one of them lost, where guest 0 must give way to guest 1. Seed 17 has such a host; that of seed 8 leaves speeds to the drivers. */
export const PAUSED: readonly Event[] = givesWay("pause");

/** The same, and guest 0 is moved to another host. */
export const MOVED: readonly Event[] = givesWay("migrate");

function givesWay(action: Wish["action"]): Event[] {
  return [
    then(10, { kind: "annotate", guest: 0, wish: { ...PLAIN, priority: "low", action } }),
    then(10, { kind: "annotate", guest: 1, wish: { ...PLAIN, priority: "critical" } }),
    then(10, { kind: "demand", guest: 0, mbit: 5000 }),
    then(10, { kind: "demand", guest: 1, mbit: 9000 }),
    then(10, { kind: "start", guest: 0 }),
    then(10, { kind: "start", guest: 1 }),
    then(9000, { kind: "cable-out", port: 0 }),
  ];
}

/** What happens so long after what was before. */
export function then(afterMs: number, what: Happening): Event {
  return { afterMs, what };
}
