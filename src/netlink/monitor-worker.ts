/** The monitor's thread: see monitor.ts. It blocks in poll and nowhere else. */
import { isDeepStrictEqual } from "node:util";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { InvariantError, NetlinkError } from "../model/errors.ts";
import { EAGAIN, EINTR, ENOBUFS, errnoName } from "../native/errno.ts";
import * as libc from "../native/libc.ts";
import { ownEventsFilter } from "./event-filter.ts";
import { dumpLinksMessage, getLinkMessage, type Link, parseLink, RTM_DELLINK } from "./link.ts";
import { type LinkHealth, LinkWatch, readHealth } from "./link-watch.ts";
import { joinMessages, type Message, parseMessages } from "./message.ts";
import type { MonitorCommand, MonitorEvent, MonitorWorkerData, ReactionError } from "./monitor.ts";
import { COUNTS } from "./monitor-counts.ts";
import { attachFilter, joinGroup, leaveGroup, openRouteSocket, RequestSocket } from "./socket.ts";

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
const { wakeFd, ownPortIds, bufferBytes, counts } = workerData as MonitorWorkerData;
const requests = RequestSocket.open();
const events = openRouteSocket(bufferBytes);
const buffer = new Uint8Array(RECEIVE_BYTES);
const watch = new LinkWatch();
const armed = new Map<number, Armed>();
const known = new Map<number, Link>();
const changedTc = new Set<number>();
let tellTcAtMs = Number.POSITIVE_INFINITY;
let stopped = false;

attachFilter(events, ownEventsFilter([...ownPortIds, requests.portId]));
for (const group of [RTNLGRP_LINK, RTNLGRP_TC]) joinGroup(events, group);
for (const link of dumpLinks(0n)) known.set(link.ifindex, link);
warm();
parent.postMessage("ready");
while (!stopped) runOnce();
libc.close(events);
requests.close();

function runOnce(): void {
  const wait = Math.max(0, Math.min(POLL_MS, tellTcAtMs - performance.now()));
  const ready = libc.pollReadable([events, wakeFd], Math.ceil(wait));
  if (typeof ready !== "number") {
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
      case "listen":
        listen(command.on);
        break;
      case "react":
        fire(command.ifindex, process.hrtime.bigint());
        break;
      case "stop":
        stopped = true;
    }
  }
}

/** Links are listened to in any case. */
function listen(on: boolean): void {
  if (!on) {
    leaveGroup(events, RTNLGRP_TC);
    return;
  }
  joinGroup(events, RTNLGRP_TC);
  parent.postMessage("listening");
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
  const health = readHealth(message);
  if (health !== null) onHealth(health, atNs);
  const link = parseLink(message);
  if (link !== null) tellLink(link, message.type === RTM_DELLINK);
}

/** Before anything else is done with an event: a lost port's bytes go out. */
function onHealth(health: LinkHealth, atNs: bigint): void {
  const reacted = answer(watch, health, atNs);
  if (reacted !== null) tell(reacted);
}

/** Sends what is armed for a link if this is its loss. @param links who were good until now */
function answer(links: LinkWatch, health: LinkHealth, atNs: bigint): MonitorEvent | null {
  if (!links.note(health)) return null;
  // What was armed a moment ago may still wait behind the events that are being read.
  readCommands();
  return sendArmed(health.ifindex, atNs);
}

function fire(ifindex: number, atNs: bigint): void {
  const reacted = sendArmed(ifindex, atNs);
  if (reacted !== null) tell(reacted);
}

function sendArmed(ifindex: number, atNs: bigint): MonitorEvent | null {
  const ready = armed.get(ifindex);
  if (ready === undefined) return null;
  armed.delete(ifindex);
  // Before the kernel shows any of it: who then looks knows that it is ours.
  if (ifindex !== NO_IFINDEX) Atomics.add(counts, COUNTS.reactions, 1);
  return react(ifindex, ready, atNs);
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
  // A guest's new tap changes nothing of what stands.
  if (removed || link.bond !== null || link.bondPort !== null)
    Atomics.add(counts, COUNTS.changes, 1);
  if (removed || !isDeepStrictEqual(before, link)) tell({ type: "link", link, removed });
}

function noteTc(message: Message): void {
  if (message.body.length < 8) return;
  const ifindex =
    message.type >= FIRST_ACTION_TYPE
      ? 0
      : new DataView(message.body.buffer, message.body.byteOffset).getInt32(4, true);
  Atomics.add(counts, COUNTS.changes, 1);
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
  Atomics.add(counts, COUNTS.changes, 1);
  while (libc.receive(events, buffer, libc.MSG_DONTWAIT) > 0) {
    // Older than the dump that follows.
  }
  const atNs = process.hrtime.bigint();
  const links = dumpLinks(atNs);
  const seen = new Set(links.map((link) => link.ifindex));
  for (const link of links) tellLink(link, false);
  for (const link of [...known.values()]) if (!seen.has(link.ifindex)) tellLink(link, true);
  tell({ type: "overrun" });
}

/** All links; what is lost among them is reacted to before anything else, as by an event at `atNs`. */
function dumpLinks(atNs: bigint): readonly Link[] {
  // Noted only when the dump is whole: one that has to be repeated would note, and forget, a loss.
  const items = requests.dump("links", dumpLinksMessage(), (message) => ({
    health: readHealth(message),
    link: parseLink(message),
  }));
  for (const { health } of items) if (health !== null) onHealth(health, atNs);
  return items.flatMap(({ link }) => (link === null ? [] : [link]));
}

/**
 * Runs what a loss will run, until the compiler has taken notice: a link that isn't there comes and is lost, as a copy of
 * the loopback interface's news, and what is armed for it changes nothing.
 */
function warm(): void {
  const trial = new LinkWatch();
  const [news] = requests.dump("links", dumpLinksMessage(), copyMessage);
  for (let round = 0; round < WARM_ROUNDS; round += 1) {
    const harmless = joinMessages([NO_IFINDEX, LOOPBACK_IFINDEX].map(getLinkMessage), 1);
    armed.set(NO_IFINDEX, { chunks: [harmless], objects: [["none", "loopback"]] });
    for (const good of [true, false]) {
      if (news !== undefined) readHealth(news);
      answer(trial, { ifindex: NO_IFINDEX, good }, 0n);
    }
    libc.pollReadable([events, wakeFd], 0);
    if (round % 10 === 0) dumpLinks(0n);
  }
}

function copyMessage(message: Message): Message {
  return { ...message, body: message.body.slice() };
}

function tell(event: MonitorEvent): void {
  parent.postMessage(event);
}
