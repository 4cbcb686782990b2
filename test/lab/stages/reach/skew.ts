/** A team of two uplinks that carry unequal loads, for tests of evening them out. */
import { resetToBare } from "../../bare.ts";
import { buildHost, setActivePort } from "../../host.ts";

export const SPEED_BITS_PER_SECOND = 40e6;
export const WINDOW_MS = 1000;

/** Fresh domains go to nic0: it is first, and not the active port. */
export async function buildSkewed(): Promise<void> {
  await resetToBare();
  await buildHost();
  await setActivePort("nic1");
}

/** @param mode of rebalancing */
export function skewedConfig(mode: "off" | "suggest" | "on"): string {
  const speed = `${SPEED_BITS_PER_SECOND / 1e6}mbit`;
  return `teams:
  - bond: bond0
    uplinks: [{name: nic0, speed: ${speed}}, {name: nic1, speed: ${speed}}]
    headroom: 0%
    host: {reservation: 1mbit}
    loadWindow: ${WINDOW_MS}ms
    rebalance: {mode: ${mode}, threshold: 10%, coolDown: 2m}
resync: 5s
`;
}
