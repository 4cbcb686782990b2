/**
 * The user-space share of a reaction on this very machine, not in the lab: the real monitor with the real planner's
 * prepared bytes, and a real link that is taken down. Each message's type is made NLMSG_NOOP, which the kernel skips
 * (netlink_rcv_skb), so that what is left is reading the event, finding the bytes, sending them and reading the answer.
 */
import { execFileSync } from "node:child_process";
import { compileSteps } from "../../src/apply/kernel.ts";
import type { LinkState } from "../../src/model/link.ts";
import type { Step } from "../../src/model/step.ts";
import { NLMSG_NOOP } from "../../src/netlink/message.ts";
import { Monitor } from "../../src/netlink/monitor.ts";
import { until } from "../../test/lab/wait.ts";
import { atMost, type Benchmark, type Result, resultOf } from "../result.ts";
import { FLEET_SIZES, lossSteps } from "./losses.ts";

const LOOPBACK_IFINDEX = 1;
const REPEATS = 25;
/** Interfaces of a host that isn't there; the plan only has to know their numbers. */
const INDEXES: ReadonlyMap<string, number> = new Map([
  ["nic0", 2],
  ["nic1", 3],
  ["bond0", 4],
]);

/** In a network namespace of its own: its loopback interface is the link that is lost. */
export const reaction: Benchmark = {
  name: "reaction",
  run: async () => {
    const results: Result[] = [];
    setLoopback("up");
    for (const vnics of FLEET_SIZES) {
      for (const crowded of [false, true]) results.push(...(await measure(vnics, crowded)));
    }
    return results;
  },
};

/** The bytes of the loss of nic0, made harmless; see lossSteps. They are sent once: the memory goes over. */
export function noopReaction(vnics: number, crowded: boolean) {
  // The planner's world takes no more of a link than name and number here.
  const links = [...INDEXES].map(([name, ifindex]) => ({
    name,
    ifindex,
  })) as unknown as LinkState[];
  const steps = lossSteps(links, vnics, crowded).reaction;
  return { compiled: harmless(steps), messages: steps.length };
}

async function measure(vnics: number, crowded: boolean): Promise<readonly Result[]> {
  const { messages } = noopReaction(vnics, crowded);
  const times: number[] = [];
  const monitor = await Monitor.start([], (event) => {
    if (event.type !== "reacted") return;
    if (event.errors.length > 0) throw new Error(`refused: ${JSON.stringify(event.errors[0])}`);
    times.push(Number(event.sentAtNs - event.eventAtNs) / 1e6);
  });
  for (let count = 0; count < REPEATS; count += 1) {
    monitor.arm(LOOPBACK_IFINDEX, noopReaction(vnics, crowded).compiled);
    setLoopback("down");
    await until("the reaction", () => times.length > count);
    setLoopback("up");
  }
  await monitor.close();
  const what = `link lost to last byte, ${vnics} vNICs, ${messages} messages, user space on the machine itself`;
  return [
    resultOf(what, "ms", times, vnics === 1000 ? atMost(1) : null),
    resultOf(`${what}, the first after the start`, "ms", times.slice(0, 1)),
  ];
}

function harmless(steps: readonly Step[]) {
  const compiled = compileSteps(steps, (name) => INDEXES.get(name));
  for (const chunk of compiled.chunks) {
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    for (let at = 0; at < chunk.length; at += (view.getUint32(at, true) + 3) & ~3) {
      view.setUint16(at + 4, NLMSG_NOOP, true);
    }
  }
  return compiled;
}

function setLoopback(state: "up" | "down"): void {
  execFileSync("ip", ["link", "set", "lo", state]);
}
