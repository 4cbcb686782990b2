/**
 * The request socket: dumps and batches of changes. The kernel does the work of a request inside the send itself,
 * so an answer is there as soon as send returns; all methods are synchronous and never wait for another process.
 * Events come by a socket of their own (monitor.ts): mixed in here they could overrun the answers.
 */
import { NetlinkError } from "../model/errors.ts";
import { EINTR, ENOBUFS, errnoName } from "../native/errno.ts";
import * as libc from "../native/libc.ts";
import { viewOf } from "./attribute.ts";
import { parseAnswer, refusal } from "./error.ts";
import {
  joinMessages,
  type Message,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  parseMessages,
} from "./message.ts";

const NETLINK_ROUTE = 0;
/** include/linux/socket.h, include/uapi/linux/netlink.h */
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_DROP_MEMBERSHIP = 2;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;

/** An answer takes up to 832 bytes of receive buffer; 256 messages' errors fit many times. */
const BUFFER_BYTES = 4 << 20;
/** Messages in one send: each holds this thread for as long as the kernel takes (class creation: 0.1 ms and more). */
const MAX_BATCH_MESSAGES = 128;
/** Bytes in one send, well below the send buffer. */
const MAX_BATCH_BYTES = 64 << 10;
/** The kernel fills dump datagrams to 32 KiB at most (netlink_dump); single messages may be longer. */
const RECEIVE_BYTES = 256 << 10;
/** A dump that changes under our eyes is read again; after so many times something else is wrong. */
const MAX_DUMPS = 20;
/** Answers are there when send returns; a wait this long means that they were lost. */
const ANSWER_TIMEOUT_MS = 5000;

/** One change: its bytes, what it is about (for errors), and the errnos that mean "already so". */
export interface Request {
  readonly object: string;
  readonly message: Uint8Array;
  readonly accepts?: readonly number[] | undefined;
}

export class RequestSocket {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(RECEIVE_BYTES);
  #sequence = 1;
  /** The kernel's name for this socket: events that our own requests cause carry it. */
  readonly portId: number;

  private constructor(fd: number, portId: number) {
    this.#fd = fd;
    this.portId = portId;
  }

  /** @throws NetlinkError if the socket can't be had */
  static open(): RequestSocket {
    const fd = openRouteSocket(BUFFER_BYTES);
    check("netlink socket", libc.setReceiveTimeout(fd, ANSWER_TIMEOUT_MS));
    return new RequestSocket(fd, portIdOf(fd));
  }

  /**
   * Sends a dump request and reads all of its answer, again if it changed meanwhile (NLM_F_DUMP_INTR).
   * @param parse makes an item of a message, or null to leave it out; it must copy what it keeps of the body
   * @throws NetlinkError if the kernel refuses or the answer is malformed
   */
  dump<T>(object: string, request: Uint8Array, parse: (message: Message) => T | null): T[] {
    for (let attempt = 0; attempt < MAX_DUMPS; attempt += 1) {
      const items = this.#dumpOnce(object, request, parse);
      if (items !== null) return items;
    }
    throw new NetlinkError(
      object,
      0,
      "",
      `${object} changed during each of ${MAX_DUMPS} dumps; trying again later`,
      "backoff",
    );
  }

  /**
   * Sends requests in order, as many at once as fit. A refused one does not stop those behind it (the kernel has
   * no rollback); every refusal comes back as an error that names its object.
   * @throws NetlinkError if the socket itself fails; then what was applied is unknown: resync
   */
  send(requests: readonly Request[]): NetlinkError[] {
    const errors: NetlinkError[] = [];
    for (const batch of batches(requests)) errors.push(...this.#sendBatch(batch));
    return errors;
  }

  /** Sends bytes made by joinMessages with sequence numbers 1, 2, ...; for precompiled reactions. */
  sendJoined(
    joined: Uint8Array,
    count: number,
  ): { readonly index: number; readonly errno: number; readonly extAck: string }[] {
    this.#drain();
    check("netlink batch", libc.send(this.#fd, joined));
    const errors: { index: number; errno: number; extAck: string }[] = [];
    this.#readAnswers(1, count, (index, errno, extAck) => errors.push({ index, errno, extAck }));
    return errors;
  }

  close(): void {
    libc.close(this.#fd);
  }

  #dumpOnce<T>(
    object: string,
    request: Uint8Array,
    parse: (message: Message) => T | null,
  ): T[] | null {
    const sequence = this.#nextSequence(1);
    const bytes = request.slice();
    viewOf(bytes).setUint32(8, sequence, true);
    this.#drain();
    check(object, libc.send(this.#fd, bytes));
    const items: T[] = [];
    let interrupted = false;
    for (;;) {
      for (const message of parseMessages(this.#receive(object))) {
        if (message.sequence !== sequence || message.type === NLMSG_NOOP) continue;
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
        if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
          // The end of a dump carries an errno, too: that of the dump itself (netlink_dump_done).
          const answer = message.body.length >= 4 ? parseAnswer(message) : null;
          if (answer !== null && answer.errno !== 0) {
            throw refusal(object, answer.errno, answer.extAck);
          }
          return interrupted ? null : items;
        }
        const item = parse(message);
        if (item !== null) items.push(item);
      }
    }
  }

  #sendBatch(batch: readonly Request[]): NetlinkError[] {
    const first = this.#nextSequence(batch.length);
    this.#drain();
    const joined = joinMessages(
      batch.map((request) => request.message),
      first,
    );
    check(batch[0]?.object ?? "netlink batch", libc.send(this.#fd, joined));
    const errors: NetlinkError[] = [];
    this.#readAnswers(first, batch.length, (index, errno, extAck) => {
      const request = batch[index];
      if (request === undefined || request.accepts?.includes(errno) === true) return;
      errors.push(refusal(request.object, errno, extAck));
    });
    return errors;
  }

  /** Reads until the last message of a batch is answered; the others only speak up with errors. */
  #readAnswers(
    first: number,
    count: number,
    onError: (index: number, errno: number, extAck: string) => void,
  ): void {
    for (;;) {
      for (const message of parseMessages(this.#receive("netlink batch"))) {
        const index = message.sequence - first;
        if (message.type !== NLMSG_ERROR || index < 0 || index >= count) continue;
        const answer = parseAnswer(message);
        if (answer.errno !== 0) onError(index, answer.errno, answer.extAck);
        if (index === count - 1) return;
      }
    }
  }

  #receive(object: string): Uint8Array {
    for (;;) {
      const length = libc.receive(this.#fd, this.#buffer, libc.MSG_TRUNC);
      if (length === -EINTR) continue;
      check(object, length);
      if (length > this.#buffer.length) {
        throw new NetlinkError(object, 0, "", `an answer of ${length} bytes about ${object}`);
      }
      return this.#buffer.subarray(0, length);
    }
  }

  /** Throws away what an earlier, failed request left behind. */
  #drain(): void {
    while (libc.receive(this.#fd, this.#buffer, libc.MSG_DONTWAIT) > 0) {
      // Late answers belong to requests that were given up.
    }
  }

  /** Numbers stay within 31 bits and are never 0, which is the kernel's own. */
  #nextSequence(count: number): number {
    if (this.#sequence + count > 0x7fffffff) this.#sequence = 1;
    const first = this.#sequence;
    this.#sequence += count;
    return first;
  }
}

/** A route-netlink socket with buffers of this size and extended errors. @throws NetlinkError */
export function openRouteSocket(bufferBytes: number): number {
  const fd = libc.socket(libc.AF_NETLINK, libc.SOCK_RAW, NETLINK_ROUTE);
  check("netlink socket", fd);
  // The forced sizes need CAP_NET_ADMIN; without it the defaults serve for reading.
  libc.setSocketOption(fd, libc.SOL_SOCKET, libc.SO_RCVBUFFORCE, bufferBytes);
  libc.setSocketOption(fd, libc.SOL_SOCKET, libc.SO_SNDBUFFORCE, bufferBytes);
  for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK]) {
    check("netlink socket", libc.setSocketOption(fd, SOL_NETLINK, option, 1));
  }
  const address = new Uint8Array(12);
  viewOf(address).setUint16(0, libc.AF_NETLINK, true);
  check("netlink socket", libc.bind(fd, address));
  return fd;
}

/** Keeps from a socket what a program rejects; see event-filter.ts. @throws NetlinkError */
export function attachFilter(fd: number, program: Uint8Array): void {
  check("netlink filter", libc.attachFilter(fd, program));
}

/** Subscribes to a group of events. @throws NetlinkError */
export function joinGroup(fd: number, group: number): void {
  check("netlink group", libc.setSocketOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group));
}

/** Unsubscribes. @throws NetlinkError */
export function leaveGroup(fd: number, group: number): void {
  check("netlink group", libc.setSocketOption(fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, group));
}

function portIdOf(fd: number): number {
  const address = new Uint8Array(12);
  check("netlink socket", libc.socketName(fd, address));
  return viewOf(address).getUint32(4, true);
}

function* batches(requests: readonly Request[]): Generator<readonly Request[], void, void> {
  let batch: Request[] = [];
  let bytes = 0;
  for (const request of requests) {
    if (
      batch.length >= MAX_BATCH_MESSAGES ||
      (batch.length > 0 && bytes + request.message.length > MAX_BATCH_BYTES)
    ) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(request);
    bytes += request.message.length;
  }
  if (batch.length > 0) yield batch;
}

function check(object: string, result: number): void {
  if (result >= 0) return;
  const lost = result === -ENOBUFS ? "; answers were lost, the state is read anew" : "";
  throw new NetlinkError(
    object,
    -result,
    "",
    `netlink failed at ${object}: ${errnoName(-result)}${lost}`,
    "resync",
  );
}
