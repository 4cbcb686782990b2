import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { run } from "./command.ts";
import type { Daemon } from "./daemon.ts";
import { type Guest, labConfig, whereIs } from "./guests.ts";
import { hostAddress, hostAddress6, readClassCounts, uplinkNames } from "./host.ts";
import { ping } from "./standin.ts";
import { forgetNeighbours, outside, switchNamespace } from "./switch.ts";
import { until } from "./wait.ts";

/** Short, so that a test needn't wait long for guests to go home; still longer than bonding's miimon. */
export const HOLD_DOWN_MS = 1000;

/** The lab's configuration with a hold-down that tests of many pulls can wait for. */
export function quickConfig(options: Parameters<typeof labConfig>[0] = {}): string {
  return labConfig(options).replaceAll(/(holdDown|holdDownMax): 2s/g, `$1: ${HOLD_DOWN_MS}ms`);
}

/** Answers that each address gave. */
export type Answers = ReadonlyMap<string, number>;

const PINGS = 3;
/** Pings that tell by which uplink a class goes. */
const BURST = 20;

/**
 * Pings the guests and the host from outside by IPv4 and IPv6, all at once, with empty neighbour caches: the first
 * frame to each is a broadcast, or a multicast to its solicited-node group.
 */
export function askFromOutside(guests: readonly Guest[]): Answers {
  forgetNeighbours();
  const addresses = [
    ...guests.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]),
    hostAddress,
    hostAddress6,
  ];
  // Each ping writes its few lines at once, when it ends.
  const each = addresses.map((address) => `ping -q -c ${PINGS} -i 0.2 -W 1 ${address} &`);
  const words = ["netns", "exec", switchNamespace, "sh", "-c", `${each.join("\n")}\nwait`];
  const summaries = run("ip", ...words).matchAll(
    /^--- (\S+) ping statistics ---\n.*? (\d+) received/gm,
  );
  const answers = new Map([...summaries].map(([, address = "", n]) => [address, Number(n)]));
  return new Map(addresses.map((address) => [address, answers.get(address) ?? 0]));
}

/** Every address answered every time. */
export function assertAllAnswered(answers: Answers, when: string): void {
  const silent = [...answers].filter(([, count]) => count < PINGS);
  const words = silent.map(([address, count]) => `${address} ${count} of ${PINGS}`);
  assert.deepEqual(words, [], `${when}: not all were answered`);
}

/** Waits until every guest's frames go by its home again. */
export async function allAtHome(daemon: Daemon, guests: readonly Guest[]): Promise<void> {
  await until(
    "all guests at home",
    async () => {
      // Asked without a pause the daemon has no time for anything else under TCG.
      await sleep(200);
      for (const guest of guests) {
        const { home, via } = await whereIs(daemon, guest);
        if (home !== via) return false;
      }
      const { teams } = await daemon.status();
      return teams.every(({ condition }) => condition === "ok");
    },
    30_000,
  );
}

/** The uplink on which a class counts the pings from a namespace, "" for none or several. */
export function leavesBy(
  namespace: string,
  classId: string,
  address: string = outside.ipv4,
): string {
  const uplinks = uplinkNames();
  const packets = () => uplinks.map((name) => readClassCounts(name).get(classId)?.packets ?? 0);
  const before = packets();
  ping(namespace, address, { count: BURST, intervalMs: 10 });
  const after = packets();
  const counts = uplinks.map((_, index) => (after[index] ?? 0) - (before[index] ?? 0));
  const used = uplinks.filter((_, index) => (counts[index] ?? 0) >= BURST);
  const others = uplinks.filter(
    // A NIC that has just come up reports its groups a few times, and reports leave by every uplink.
    (name, index) => !used.includes(name) && (counts[index] ?? 0) >= BURST / 2,
  );
  return used.length === 1 && others.length === 0 ? (used[0] ?? "") : "";
}

/** fd09::N's solicited-node group, to which neighbours are asked for. */
export function solicitedNodeGroup(number: number): string {
  return `ff02::1:ff00:${number.toString(16)}`;
}
