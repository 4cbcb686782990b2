/** The monitor's thread: see monitor.ts. It blocks in poll and nowhere else. */
import { isDeepStrictEqual } from "node:util";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { InvariantError, NetlinkError } from "../model/errors.ts";
import { EAGAIN, EINTR, ENOBUFS, errnoName } from "../native/errno.ts";
import * as libc from "../native/libc.ts";
import { dumpLinksMessage, getLinkMessage, type Link, parseLink, RTM_DELLINK } from "./link.ts";
import { type LinkHealth, LinkWatch } from "./link-watch.ts";
import { joinMessages, type Message, parseMessages } from "./message.ts";
import type { MonitorCommand, MonitorEvent, MonitorWorkerData, ReactionError } from "./monitor.ts";
import { joinGroup, openRouteSocket, RequestSocket } from "./socket.ts";

/** include/uapi/linux/rtnetlink.h: RTNLGRP_LINK, RTNLGRP_TC; types of traffic control are 36 to 51. */
const RTNLGRP_LINK = 1;
const RTNLGRP_TC = 4;
const FIRST_TC_TYPE = 36;
const FIRST_ACTION_TYPE = 48;
const LAST_TC_TYPE = 51;

/** Poll ends at least this often, so that a process that exits needn't wait for us longer. */
const POLL_MS = 500;
/** Changes of traffic control come in swarms; they are told at most this often. */
const TC_TELL_MS = 100;
/** Rounds over the reaction's own code before it counts: measured, the first run with cold code took 76 ms. */
const WARM_ROUNDS = 60;
const RECEIVE_BYTES = 256 << 10;
/** The loopback interface: asking for it changes nothing. */
const LOOPBACK_IFINDEX = 1;
/** No interface: asking for it is refused, and the path of refusals warmed, too. */
const NO_IFINDEX = 0x7fffffff;

interface Armed {
  readonly chunks: readonly Uint8Array[];
  readonly objects: readonly (readonly string[])[];
}

if (parentPort === null) throw new InvariantError("link monitor", "runs as a worker thread only");
const parent = parentPort;
const { wakeFd, ownPortIds, bufferBytes } = workerData as MonitorWorkerData;
const requests = RequestSocket.open();
const events = openRouteSocket(bufferBytes);
const own: ReadonlySet<number> = new Set([...ownPortIds, requests.portId]);
const buffer = new Uint8Array(RECEIVE_BYTES);
const watch = new LinkWatch();
const armed = new Map<number, Armed>();
const known = new Map<number, Link>();
const changedTc = new Set<number>();
let tellTcAtMs = Number.POSITIVE_INFINITY;
let stopped = false;

for (const group of [RTNLGRP_LINK, RTNLGRP_TC]) joinGroup(events, group);
for (const link of dumpLinks()) known.set(link.ifindex, link);
warm();
parent.postMessage("ready");
while (!stopped) runOnce();
libc.close(events);
requests.close();

function runOnce(): void {
  const wait = Math.max(0, Math.min(POLL_MS, tellTcAtMs - performance.now()));
  const ready = libc.pollReadable([events, wakeFd], Math.ceil(wait));
  if (typeof ready !== "number") {
    // Commands first: what was armed before a loss is in force for it.
    if (ready[1] === true) readCommands();
    if (ready[0] === true) readEvents();
  } else if (ready !== -EINTR) {
    throw new NetlinkError("link monitor", -ready, "", `poll failed: ${errnoName(-ready)}`);
  }
  tellTc();
}

function readCommands(): void {
  libc.clearEvent(wakeFd);
  for (;;) {
    const received = receiveMessageOnPort(parent) as { message: MonitorCommand } | undefined;
    if (received === undefined) return;
    const command = received.message;
    switch (command.type) {
      case "arm":
        armed.set(command.ifindex, command);
        break;
      case "disarm":
        armed.delete(command.ifindex);
        break;
      case "stop":
        stopped = true;
    }
  }
}

function readEvents(): void {
  for (;;) {
    const length = libc.receive(events, buffer, libc.MSG_DONTWAIT);
    const atNs = process.hrtime.bigint();
    if (length === -EAGAIN) return;
    if (length === -EINTR) continue;
    if (length === -ENOBUFS) {
      recover();
      continue;
    }
    if (length < 0) {
      throw new NetlinkError("link monitor", -length, "", `recv failed: ${errnoName(-length)}`);
    }
    for (const message of parseMessages(buffer.subarray(0, length))) onMessage(message, atNs);
  }
}

function onMessage(message: Message, atNs: bigint): void {
  if (message.type >= FIRST_TC_TYPE && message.type <= LAST_TC_TYPE) {
    noteTc(message);
    return;
  }
  const state = watch.note(message);
  if (state !== null) onState(state, atNs);
  const link = parseLink(message);
  if (link !== null) tellLink(link, message.type === RTM_DELLINK);
}

/** Before anything else is done with an event: a lost port's bytes go out. */
function onState(state: LinkHealth, atNs: bigint): void {
  if (!state.lost) return;
  const ready = armed.get(state.ifindex);
  if (ready === undefined) return;
  armed.delete(state.ifindex);
  tell(react(state.ifindex, ready, atNs));
}

function react(ifindex: number, ready: Armed, eventAtNs: bigint): MonitorEvent {
  const errors: ReactionError[] = [];
  try {
    for (const [index, chunk] of ready.chunks.entries()) {
      const objects = ready.objects[index] ?? [];
      for (const { index: at, errno, extAck } of requests.sendJoined(chunk, objects.length)) {
        errors.push({ object: objects[at] ?? "?", errno, extAck });
      }
    }
  } catch (error) {
    // The rest is the main thread's, which plans anew on hearing of it.
    const errno = error instanceof NetlinkError ? error.errno : 0;
    errors.push({ object: "reaction", errno, extAck: String(error) });
  }
  return { type: "reacted", ifindex, eventAtNs, sentAtNs: process.hrtime.bigint(), errors };
}

function tellLink(link: Link, removed: boolean): void {
  const before = known.get(link.ifindex);
  if (removed) known.delete(link.ifindex);
  else known.set(link.ifindex, link);
  if (removed || !isDeepStrictEqual(before, link)) tell({ type: "link", link, removed });
}

function noteTc(message: Message): void {
  if (own.has(message.portId) || message.body.length < 8) return;
  const ifindex =
    message.type >= FIRST_ACTION_TYPE
      ? 0
      : new DataView(message.body.buffer, message.body.byteOffset).getInt32(4, true);
  changedTc.add(ifindex);
  tellTcAtMs = Math.min(tellTcAtMs, performance.now() + TC_TELL_MS);
}

function tellTc(): void {
  if (performance.now() < tellTcAtMs) return;
  tellTcAtMs = Number.POSITIVE_INFINITY;
  tell({ type: "tc", ifindexes: [...changedTc] });
  changedTc.clear();
}

/** Events were lost, perhaps that of a port's loss among them: look at all links, and react as to an event. */
function recover(): void {
  while (libc.receive(events, buffer, libc.MSG_DONTWAIT) > 0) {
    // Older than the dump that follows.
  }
  const atNs = process.hrtime.bigint();
  const seen = new Set<number>();
  requests
    .dump("links", dumpLinksMessage(), (message) => {
      const state = watch.note(message);
      const link = parseLink(message);
      if (link !== null) seen.add(link.ifindex);
      return { state, link };
    })
    .forEach(({ state, link }) => {
      if (state !== null) onState(state, atNs);
      if (link !== null) tellLink(link, false);
    });
  for (const [ifindex, link] of known) if (!seen.has(ifindex)) tellLink(link, true);
  tell({ type: "overrun" });
}

function dumpLinks(): readonly Link[] {
  return requests.dump("links", dumpLinksMessage(), (message) => {
    watch.note(message);
    return parseLink(message);
  });
}

/** Runs what a loss will run, on a request that changes nothing, until the compiler has taken notice. */
function warm(): void {
  for (let round = 0; round < WARM_ROUNDS; round += 1) {
    const harmless = joinMessages([NO_IFINDEX, LOOPBACK_IFINDEX].map(getLinkMessage), 1);
    react(LOOPBACK_IFINDEX, { chunks: [harmless], objects: [["none", "loopback"]] }, 0n);
    libc.pollReadable([events, wakeFd], 0);
    if (round % 10 === 0) dumpLinks();
  }
}

function tell(event: MonitorEvent): void {
  parent.postMessage(event);
}
