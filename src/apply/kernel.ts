/** Makes steps into netlink requests and sends them. Reads nothing: what came of it, the next dump shows. */
import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import { InvariantError, type NetlinkError } from "../model/errors.ts";
import { type KernelObject, kernelKey, type Leaf, type VnicFilter } from "../model/kernel.ts";
import type { Step } from "../model/step.ts";
import { EINVAL, ENODEV, ENOENT, EPERM } from "../native/errno.ts";
import { deleteActionMessage, setActionMessage } from "../netlink/action.ts";
import { deleteClassMessage, setClassMessage } from "../netlink/class.ts";
import { deleteFilterMessage, setFilterMessage } from "../netlink/filter.ts";
import {
  classifierOf,
  type FilterObject,
  filtersOf,
  placeOf,
  senderPlace,
} from "../netlink/filter-object.ts";
import {
  setActivePortMessage,
  setPortQueueMessage,
  setPromiscuityMessage,
  setUpdelayMessage,
} from "../netlink/link.ts";
import { joinMessages } from "../netlink/message.ts";
import {
  addClsactMessage,
  addHtbRootMessage,
  deleteClsactMessage,
  deleteHtbRootMessage,
  deleteLeafMessage,
  setLeafMessage,
} from "../netlink/qdisc.ts";
import type { Request, RequestSocket } from "../netlink/socket.ts";

/** Looks up a device; undefined where there is none of that name now. */
export type IfindexOf = (device: string) => number | undefined;

/** A reaction made ready: each chunk is one send; `objects` names what each message is about, in order. */
export interface CompiledSteps {
  readonly chunks: readonly Uint8Array[];
  readonly objects: readonly (readonly string[])[];
}

/**
 * What the kernel answers where that which is to be deleted isn't there: ENOENT for the object itself, EINVAL
 * where its parent is gone, ENODEV for the device. Gone is what was wanted.
 */
const ABSENT = [ENOENT, EINVAL, ENODEV];
/** Steps of one send: with 128, creating classes holds the thread for about 15 ms. */
const STEPS_PER_SEND = 128;
/** The event loop gets its turn between two sends once it has been held this long; changes are far faster. */
const HOLD_MS = 10;
/**
 * A deleted filter lets go of its shared action only after an RCU grace period (fl_destroy_filter_work); until then
 * the action's deletion is refused with EPERM. Seen: gone within 50 ms; 1 s is plenty.
 */
const BOUND_WAIT_MS = 25;
const BOUND_ATTEMPTS = 40;
/** Messages in one send of a reaction. */
const MESSAGES_PER_CHUNK = 256;

/**
 * Applies steps in their order, many in one send. A refused step doesn't stop those behind it.
 * @returns what was refused, each naming its object
 * @throws NetlinkError if the socket fails in the middle; then the world must be read anew
 */
export async function applySteps(
  steps: readonly Step[],
  socket: Pick<RequestSocket, "send">,
  ifindexOf: IfindexOf,
): Promise<readonly NetlinkError[]> {
  let errors = await sendSteps(steps, socket, ifindexOf);
  errors = await retryLeaves(steps, errors, socket, ifindexOf);
  for (let attempt = 0; attempt < BOUND_ATTEMPTS; attempt += 1) {
    const bound = new Set(
      errors.filter((error) => error.errno === EPERM).map((error) => error.object),
    );
    const again = steps.filter(
      ({ op, object }) => op === "delete" && isAction(object) && bound.has(kernelKey(object)),
    );
    if (again.length === 0) break;
    await delay(BOUND_WAIT_MS);
    errors = errors.filter((error) =>
      again.every(({ object }) => kernelKey(object) !== error.object),
    );
    errors.push(...(await sendSteps(again, socket, ifindexOf)));
  }
  return errors;
}

/** Compiles steps into bytes that can be sent later without any thought; see Monitor.arm. */
export function compileSteps(steps: readonly Step[], ifindexOf: IfindexOf): CompiledSteps {
  const requests = encodeSteps(steps, ifindexOf);
  const chunks: Uint8Array[] = [];
  const objects: string[][] = [];
  for (let start = 0; start < requests.length; start += MESSAGES_PER_CHUNK) {
    const chunk = requests.slice(start, start + MESSAGES_PER_CHUNK);
    chunks.push(
      joinMessages(
        chunk.map((request) => request.message),
        1,
      ),
    );
    objects.push(chunk.map((request) => request.object));
  }
  return { chunks, objects };
}

/**
 * The requests for one step. A step about a device that has vanished needs none if it deletes; one that adds
 * names interface index 0, which the kernel refuses by ENODEV in its place among the others.
 */
export function encodeStep(step: Step, ifindexOf: IfindexOf): readonly Request[] {
  const { object } = step;
  const device = deviceOf(object);
  const ifindex = device === null ? 0 : ifindexOf(device);
  if (step.op === "delete") {
    if (ifindex === undefined) return [];
    return removal(object, ifindex).map((part) => new StepRequest(object, part));
  }
  const before = step.op === "change" ? step.before : null;
  const parts = setting(object, before, ifindex ?? 0, ifindexOf);
  return parts.map((part) => new StepRequest(object, part));
}

/** One message of a step. Its object's name is made only where it's asked for: seldom, of thousands. */
class StepRequest implements Request {
  readonly message: Uint8Array;
  readonly accepts: readonly number[] | undefined;
  readonly #object: KernelObject;

  constructor(object: KernelObject, { message, accepts }: Part) {
    this.#object = object;
    this.message = message;
    this.accepts = accepts;
  }

  get object(): string {
    return kernelKey(this.#object);
  }
}

function encodeSteps(steps: readonly Step[], ifindexOf: IfindexOf): Request[] {
  const requests: Request[] = [];
  for (const step of steps) {
    for (const request of encodeStep(step, ifindexOf)) requests.push(request);
  }
  return requests;
}

/**
 * A new leaf is sent as if nothing stood in its place, which is nearly always so. What does stand there with the same
 * handle and is of another type (tc_modify_qdisc: EINVAL) goes first, then.
 */
async function retryLeaves(
  steps: readonly Step[],
  errors: NetlinkError[],
  socket: Pick<RequestSocket, "send">,
  ifindexOf: IfindexOf,
): Promise<NetlinkError[]> {
  const refused = new Set(
    errors.filter(({ errno }) => errno === EINVAL).map(({ object }) => object),
  );
  if (refused.size === 0) return errors;
  const leaves = steps.filter(
    ({ op, object }) => op === "add" && object.kind === "leaf" && refused.has(kernelKey(object)),
  );
  const names = new Set(leaves.map(({ object }) => kernelKey(object)));
  const again = leaves.flatMap((step): Step[] => [{ op: "delete", object: step.object }, step]);
  return [
    ...errors.filter(({ object }) => !names.has(object)),
    ...(await sendSteps(again, socket, ifindexOf)),
  ];
}

async function sendSteps(
  steps: readonly Step[],
  socket: Pick<RequestSocket, "send">,
  ifindexOf: IfindexOf,
): Promise<NetlinkError[]> {
  const errors: NetlinkError[] = [];
  let heldFromMs = performance.now();
  for (let start = 0; start < steps.length; start += STEPS_PER_SEND) {
    if (performance.now() - heldFromMs > HOLD_MS) {
      await nextTurn();
      heldFromMs = performance.now();
    }
    const requests = encodeSteps(steps.slice(start, start + STEPS_PER_SEND), ifindexOf);
    errors.push(...socket.send(requests));
  }
  return errors;
}

function isAction({ kind }: KernelObject): boolean {
  return kind === "uplink-action" || kind === "port-action";
}

type Part = Omit<Request, "object">;

function setting(
  object: KernelObject,
  before: KernelObject | null,
  ifindex: number,
  ifindexOf: IfindexOf,
): readonly Part[] {
  switch (object.kind) {
    case "bond-option":
      return [{ message: setUpdelayMessage(ifindex, object.updelayMs) }];
    case "active-port": {
      const port = object.port === null ? 0 : ifindexOf(object.port);
      // 0 would let bonding choose: not what was asked for.
      return port === undefined ? [] : [{ message: setActivePortMessage(ifindex, port) }];
    }
    case "port-queue":
      return [{ message: setPortQueueMessage(ifindex, object.queueId) }];
    case "promiscuity":
      return [{ message: setPromiscuityMessage(ifindex, object.on) }];
    case "clsact":
      return [{ message: addClsactMessage(ifindex) }];
    case "htb":
      return [
        // HTB has no change of its default (no Qdisc_ops.change).
        ...(before === null ? [] : removal(object, ifindex)),
        { message: addHtbRootMessage(ifindex, object.defaultMinor) },
      ];
    case "class": {
      const moved = before?.kind === "class" && before.parentMinor !== object.parentMinor;
      return [
        // A change of parent is silently ignored (htb_change_class).
        ...(moved ? removal(object, ifindex) : []),
        { message: setClassMessage(ifindex, object) },
      ];
    }
    case "leaf": {
      const keeps = before?.kind === "leaf" && canKeepQueue(before, object);
      return [
        // A queue of another type with the same handle would be refused; see canKeepQueue for flows.
        ...(before === null || keeps ? [] : removal(object, ifindex)),
        { message: setLeafMessage(ifindex, object.minor, object.queue, keeps) },
      ];
    }
    case "uplink-action":
    case "port-action":
      return [{ message: setActionMessage(object) }];
    case "unknown-filter":
      throw new InvariantError(kernelKey(object), "an unknown filter can be deleted, never made");
    case "catch-all":
    case "vnic":
    case "reports":
    case "passed-on":
    case "forged":
    case "declared":
    case "host-source":
    case "host-match":
    case "reflection":
    case "redirect":
    case "inbound":
    case "probe-guard":
    case "control":
    case "queue-reset":
      return filterSetting(object, before, ifindex);
  }
}

function filterSetting(
  object: FilterObject,
  before: KernelObject | null,
  ifindex: number,
): readonly Part[] {
  const messages = filtersOf(object, ifindex).map((filter) => ({
    message: setFilterMessage(filter),
  }));
  switch (object.kind) {
    // u32 would add its nodes a second time: without their table's number they can't be addressed.
    case "reports":
      return [...removal(object, ifindex), ...messages];
    // matchall can't be replaced (mall_change: EEXIST); the gap is that of two messages in one send.
    case "catch-all":
    case "queue-reset":
      return [...(before === null ? [] : removal(before, ifindex)), ...messages];
    // A new handle for the same MAC is refused while the old one stands (fl_change: EEXIST).
    case "vnic":
    case "host-source":
    case "reflection":
    case "redirect":
    case "inbound": {
      const moved = before !== null && "handle" in before && before.handle !== object.handle;
      return [
        ...(moved ? removal(before, ifindex) : []),
        ...messages,
        ...(before?.kind === "vnic" && object.kind === "vnic" && !moved
          ? senderRemoval(before, ifindex, object)
          : []),
      ];
    }
    case "control":
    case "host-match":
    case "probe-guard":
      return messages;
    // An interface may have gone since links were read: then nothing comes in by it.
    case "passed-on":
    case "forged":
    case "declared":
      return messages.map(({ message }) => ({ message, accepts: [ENODEV] }));
  }
}

/**
 * Takes away the filters that told by which interface a vNIC's frames come, once nothing leads there any more; what is
 * found broken may stand in either place.
 */
function senderRemoval(
  before: VnicFilter,
  ifindex: number,
  after: VnicFilter | null,
): readonly Part[] {
  if (before.from === undefined) return [];
  const kept = after?.from === undefined ? null : senderPlace(after, ifindex).priority;
  const places = before.from === "" ? ["", null] : [before.from];
  return places
    .map((from) => senderPlace({ ...before, from }, ifindex))
    .filter(({ priority }) => priority !== kept)
    .map((place) => ({ message: deleteFilterMessage(place, "flower"), accepts: ABSENT }));
}

function removal(object: KernelObject, ifindex: number): readonly Part[] {
  return deletion(object, ifindex).map((message) => ({ message, accepts: ABSENT }));
}

/** Settings without an owner's mark aren't deleted but changed back to what was saved. */
function deletion(object: KernelObject, ifindex: number): readonly Uint8Array[] {
  switch (object.kind) {
    case "bond-option":
    case "active-port":
      return [];
    case "port-queue":
      return [setPortQueueMessage(ifindex, 0)];
    case "promiscuity":
      return [setPromiscuityMessage(ifindex, false)];
    case "clsact":
      return [deleteClsactMessage(ifindex)];
    case "htb":
      return [deleteHtbRootMessage(ifindex)];
    case "class":
      return [deleteClassMessage(ifindex, object.minor)];
    case "leaf":
      return [deleteLeafMessage(ifindex, object.minor)];
    case "uplink-action":
    case "port-action":
      return [deleteActionMessage(object)];
    case "vnic":
      return [
        deleteFilterMessage(placeOf(object, ifindex), classifierOf(object)),
        ...senderRemoval(object, ifindex, null).map(({ message }) => message),
      ];
    case "catch-all":
    case "reports":
    case "passed-on":
    case "forged":
    case "declared":
    case "host-source":
    case "host-match":
    case "reflection":
    case "redirect":
    case "inbound":
    case "probe-guard":
    case "control":
    case "queue-reset":
    case "unknown-filter":
      return [deleteFilterMessage(placeOf(object, ifindex), classifierOf(object))];
  }
}

/** fq_codel takes a new limit, but no new number of flows once it runs (fq_codel_change). */
function canKeepQueue(before: Leaf, wanted: Leaf): boolean {
  if (before.queue.type !== wanted.queue.type) return false;
  if (before.queue.type !== "fq_codel" || wanted.queue.type !== "fq_codel") return true;
  return before.queue.flows === wanted.queue.flows;
}

function deviceOf(object: KernelObject): string | null {
  if ("device" in object) return object.device;
  return "bond" in object ? object.bond : null;
}
