/**
 * The process that bench/failover.ts measures: what the monitor's thread does from the news of a lost link to the last
 * answer, again and again, by the same functions. The messages are the real planner's, made NLMSG_NOOP, which the kernel skips.
 */
import { Session } from "node:inspector";
import { PerformanceObserver } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { dropProgramPages } from "../src/native/program-pages.ts";
import { getLinkMessage, RTM_NEWLINK } from "../src/netlink/link.ts";
import { LinkWatch, readHealth } from "../src/netlink/link-watch.ts";
import { joinMessages, parseMessages } from "../src/netlink/message.ts";
import { RequestSocket } from "../src/netlink/socket.ts";
import type { FailoverReport } from "./failover.ts";
import { noopReaction } from "./lab/reaction.ts";

const WARM_ROUNDS = 60;
const ROUNDS = 300;
const UNMAPPED_ROUNDS = 11;
const TOLD_ALLOCATORS = 3;
/** One allocation in so many bytes is looked at: of a reaction some hundred. */
const SAMPLE_BYTES = 64;
const LOOPBACK_IFINDEX = 1;
const HEADER_BYTES = 16;
/** IFF_UP and IFF_LOWER_UP in ifinfomsg's flags. */
const UP = 0x10001;

const vnics = Number(process.argv[2]);
const { compiled, messages } = noopReaction(vnics, process.argv[3] === "crowded");
const requests = RequestSocket.open();
const watch = new LinkWatch();
const news = [UP, 0].map(newsOfLink);

const firstMs = react();
for (let round = 0; round < WARM_ROUNDS; round += 1) react();
const allocators = await profile();
const collectionMs: number[] = [];
const observer = new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) collectionMs.push(entry.duration);
});
globalThis.gc?.();
await sleep(50);
observer.observe({ entryTypes: ["gc"] });
const warmMs: number[] = [];
const allocatedBytes: number[] = [];
for (let round = 0; round < ROUNDS; round += 1) {
  const before = process.memoryUsage().heapUsed;
  warmMs.push(react());
  const bytes = process.memoryUsage().heapUsed - before;
  if (bytes > 0) allocatedBytes.push(bytes);
}
const unmappedMs: number[] = [];
for (let round = 0; round < UNMAPPED_ROUNDS; round += 1) {
  dropProgramPages();
  unmappedMs.push(react());
}
// The observer is told later.
await sleep(100);
const report: FailoverReport = {
  ...{ vnics, messages, firstMs, warmMs, unmappedMs, allocatedBytes, collectionMs, allocators },
  reactions: ROUNDS,
};
process.send?.(report);
requests.close();

/** One loss, with what comes before it. @returns milliseconds from the event to the last answer */
function react(): number {
  let tookMs = 0;
  for (const bytes of news) {
    const beganAt = performance.now();
    for (const message of parseMessages(bytes)) {
      const health = readHealth(message);
      if (health === null || !watch.note(health)) continue;
      for (const [index, chunk] of compiled.chunks.entries()) {
        const objects = compiled.objects[index] ?? [];
        requests.sendJoined(chunk, objects.length);
      }
    }
    tookMs = performance.now() - beganAt;
  }
  return tookMs;
}

/** A link's news as the kernel sends it, as far as the reaction reads it. */
function newsOfLink(flags: number): Uint8Array {
  const bytes = joinMessages([getLinkMessage(LOOPBACK_IFINDEX)], 1);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint16(4, RTM_NEWLINK, true);
  view.setUint32(HEADER_BYTES + 8, flags, true);
  return bytes;
}

interface Node {
  readonly callFrame: { readonly functionName: string; readonly url: string };
  readonly selfSize: number;
  readonly children: readonly Node[];
}

/** The sampling heap profile of some reactions, what was collected meanwhile included. */
async function profile(): Promise<FailoverReport["allocators"]> {
  const session = new Session();
  session.connect();
  const ask = (method: string, parameters: object) =>
    new Promise<{ profile: { head: Node } }>((resolve, reject) =>
      session.post(method, parameters, (error, answer) =>
        error === null ? resolve(answer as { profile: { head: Node } }) : reject(error),
      ),
    );
  await ask("HeapProfiler.startSampling", {
    samplingInterval: SAMPLE_BYTES,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
  for (let round = 0; round < WARM_ROUNDS; round += 1) react();
  const { profile } = await ask("HeapProfiler.stopSampling", {});
  session.disconnect();
  const bytes = new Map<string, number>();
  const add = ({ callFrame, selfSize, children }: Node): void => {
    const file = callFrame.url.split("/").at(-1) ?? "";
    const name = `${callFrame.functionName || "(anonymous)"} ${file}`.trim();
    // The profiler's own session is no part of the path.
    if (!callFrame.url.startsWith("node:inspector"))
      bytes.set(name, (bytes.get(name) ?? 0) + selfSize / WARM_ROUNDS);
    children.forEach(add);
  };
  add(profile.head);
  return [...bytes]
    .map(([name, size]) => ({ name, bytes: size }))
    .sort((one, other) => other.bytes - one.bytes)
    .slice(0, TOLD_ALLOCATORS);
}
