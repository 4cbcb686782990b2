/** Filter actions as far as we use them: skbedit (class and port of a frame), drop, redirect, police. */
import type { PortAction, UplinkAction } from "../model/kernel.ts";
import { parseActionIndex } from "../model/layout.ts";
import { Attributes } from "./attribute.ts";
import {
  attributesOf,
  type Message,
  MessageBuilder,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_REPLACE,
} from "./message.ts";
import { type Police, parsePolice, writePolice } from "./police.ts";

/** include/uapi/linux/rtnetlink.h */
const RTM_NEWACTION = 48;
const RTM_DELACTION = 49;
const RTM_GETACTION = 50;
const TCA_ACT_TAB = 1;
const TCA_ROOT_FLAGS = 2;
/** Fill each dump datagram with as many actions as fit instead of 32 (TCA_ACT_FLAG_LARGE_DUMP_ON). */
const TCA_ACT_FLAG_LARGE_DUMP_ON = 1;
const TCAMSG_BYTES = 4;

/** include/uapi/linux/pkt_cls.h */
const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
const TCA_ACT_INDEX = 3;
/** struct nla_bitfield32: value and selector. */
const TCA_ACT_FLAGS = 7;
/** A shared action must say skip_hw exactly as the filters do that refer to it (tcf_action_init). */
const TCA_ACT_FLAGS_SKIP_HW = 1 << 1;

const TCA_SKBEDIT_PARMS = 2;
const TCA_SKBEDIT_PRIORITY = 3;
const TCA_SKBEDIT_QUEUE_MAPPING = 4;
/** Mark, ptype, mask, flags, upper queue: nothing that we set. */
const TCA_SKBEDIT_OTHERS = [5, 7, 8, 9, 10];
const TCA_GACT_PARMS = 2;
const TCA_GACT_PROB = 3;
const TCA_MIRRED_PARMS = 2;
/** struct tc_gen, see generic. */
const TC_GEN_BYTES = 20;
const TCA_EGRESS_REDIR = 1;
const TCA_EGRESS_MIRROR = 2;
const TCA_INGRESS_REDIR = 3;

/** What becomes of a frame behind an action (tc's control actions). */
export const TC_ACT_CONTINUE = -1;
export const TC_ACT_OK = 0;
export const TC_ACT_DROP = 2;
export const TC_ACT_PIPE = 3;
export const TC_ACT_STOLEN = 4;
/** Classify on in this chain (TC_ACT_GOTO_CHAIN, 2 << 28); frames that nothing there matches just go on. */
export const gotoChain = (chain: number) => 0x20000000 | chain;

/** One action of a filter. `index` is 0 for one that belongs to its filter alone. */
export type Action =
  | {
      readonly kind: "skbedit";
      readonly index: number;
      readonly control: number;
      /** skb->priority: a class handle. */
      readonly priority: number | null;
      readonly queueMapping: number | null;
    }
  | { readonly kind: "gact"; readonly control: number }
  | Police
  | {
      readonly kind: "mirred-ingress-redirect" | "mirred-egress-mirror";
      readonly ifindex: number;
      readonly control: number;
    }
  | {
      /** The one that may be shared: by its index alone it is referred to, and `ifindex` is 0 then. */
      readonly kind: "mirred-egress-redirect";
      readonly index: number;
      readonly ifindex: number;
      readonly control: number;
    }
  | { readonly kind: "other"; readonly name: string };

type MirredKind = "mirred-ingress-redirect" | "mirred-egress-mirror";
const MIRRED: ReadonlyMap<number, MirredKind> = new Map([
  [TCA_EGRESS_MIRROR, "mirred-egress-mirror"],
  [TCA_INGRESS_REDIR, "mirred-ingress-redirect"],
]);

/** Kinds of the shared actions that we make, as they are asked for; each has index numbers of its own. */
const SHARED_KINDS = { "uplink-action": "skbedit", "port-action": "mirred" } as const;
export type SharedActionKind = keyof typeof SHARED_KINDS;

/**
 * Creates a shared `skbedit queue_mapping Q pipe` or `mirred egress redirect dev D`, or retargets it with all filters
 * that refer to it.
 */
export function setActionMessage(object: UplinkAction | PortAction): Uint8Array {
  return actionMessage(RTM_NEWACTION, NLM_F_CREATE | NLM_F_REPLACE)
    .nest(TCA_ACT_TAB, (table) =>
      writeAction(
        table,
        1,
        object.kind === "uplink-action"
          ? {
              kind: "skbedit",
              index: object.index,
              control: TC_ACT_PIPE,
              priority: null,
              queueMapping: object.queueId,
            }
          : {
              kind: "mirred-egress-redirect",
              index: object.index,
              ifindex: object.toIfindex,
              control: TC_ACT_STOLEN,
            },
      ),
    )
    .finish();
}

/** Deletes a shared action. The kernel refuses with EPERM while a filter refers to it. */
export function deleteActionMessage({ kind, index }: UplinkAction | PortAction): Uint8Array {
  return actionMessage(RTM_DELACTION, 0)
    .nest(TCA_ACT_TAB, (table) =>
      table.nest(1, (action) =>
        action.text(TCA_ACT_KIND, SHARED_KINDS[kind]).u32(TCA_ACT_INDEX, index),
      ),
    )
    .finish();
}

/** Asks for all actions of a kind, shared and private. */
export function dumpActionsMessage(kind: SharedActionKind): Uint8Array {
  return actionMessage(RTM_GETACTION, NLM_F_DUMP)
    .nest(TCA_ACT_TAB, (table) =>
      table.nest(1, (action) => action.text(TCA_ACT_KIND, SHARED_KINDS[kind])),
    )
    .words(TCA_ROOT_FLAGS, [TCA_ACT_FLAG_LARGE_DUMP_ON, TCA_ACT_FLAG_LARGE_DUMP_ON])
    .finish();
}

/** Our shared actions in one message of a dump. @throws NetlinkError */
export function parseSharedActions(message: Message): readonly (UplinkAction | PortAction)[] {
  // A dump answers with the request's own type (tc_dump_action), an event with RTM_NEWACTION.
  if (message.type !== RTM_NEWACTION && message.type !== RTM_GETACTION) return [];
  const attributes = Attributes.parse(
    "actions",
    attributesOf("actions", message.body, TCAMSG_BYTES),
  );
  const found: (UplinkAction | PortAction)[] = [];
  for (const action of parseActions(attributes.nested(TCA_ACT_TAB))) {
    if (action.kind === "mirred-egress-redirect" && action.index !== 0) {
      // Another control isn't ours to leave standing: 0 never equals a wanted interface.
      const toIfindex = action.control === TC_ACT_STOLEN ? action.ifindex : 0;
      found.push({ kind: "port-action", index: action.index, toIfindex });
    }
    if (action.kind !== "skbedit" || parseActionIndex(action.index) === null) continue;
    // Another control or a priority is not ours to leave standing: -1 never equals a wanted queue id.
    const ours = action.control === TC_ACT_PIPE && action.priority === null;
    found.push({
      kind: "uplink-action",
      index: action.index,
      queueId: ours ? (action.queueMapping ?? -1) : -1,
    });
  }
  return found;
}

/** Appends a filter's actions as attribute `type`, in order. */
export function writeActions(
  builder: MessageBuilder,
  type: number,
  actions: readonly Action[],
): void {
  builder.nest(type, (list) => {
    for (const [index, action] of actions.entries()) writeAction(list, index + 1, action);
  });
}

/** Reads a list of actions in order. @throws NetlinkError */
export function parseActions(list: Attributes | null): readonly Action[] {
  if (list === null) return [];
  return [...list.types()].sort((a, b) => a - b).map((type) => parseAction(list.nested(type)));
}

function parseAction(attributes: Attributes | null): Action {
  const name = attributes?.text(TCA_ACT_KIND) ?? "";
  const options = attributes?.nested(TCA_ACT_OPTIONS) ?? null;
  const other: Action = { kind: "other", name };
  if (options === null) return other;
  const control = (parms: DataView | null) => parms?.getInt32(8, true) ?? 0;
  switch (name) {
    case "skbedit": {
      const parms = options.struct(TCA_SKBEDIT_PARMS, TC_GEN_BYTES);
      if (parms === null || TCA_SKBEDIT_OTHERS.some((type) => options.has(type))) return other;
      const index = parms.getUint32(0, true);
      return {
        kind: "skbedit",
        index: parseActionIndex(index) === null ? 0 : index,
        control: control(parms),
        priority: options.u32(TCA_SKBEDIT_PRIORITY),
        queueMapping: options.u16(TCA_SKBEDIT_QUEUE_MAPPING),
      };
    }
    case "gact": {
      const parms = options.struct(TCA_GACT_PARMS, TC_GEN_BYTES);
      if (parms === null || options.has(TCA_GACT_PROB)) return other;
      return { kind: "gact", control: control(parms) };
    }
    case "mirred": {
      const parms = options.struct(TCA_MIRRED_PARMS, TC_GEN_BYTES + 8);
      if (parms?.getUint32(20, true) === TCA_EGRESS_REDIR) {
        const index = parms.getUint32(0, true);
        return {
          kind: "mirred-egress-redirect",
          index: parseActionIndex(index) === null ? 0 : index,
          ifindex: parms.getUint32(24, true),
          control: control(parms),
        };
      }
      const kind = MIRRED.get(parms?.getUint32(20, true) ?? 0);
      if (parms === null || kind === undefined) return other;
      return {
        kind,
        ifindex: parms.getUint32(24, true),
        control: control(parms),
      };
    }
    case "police":
      return parsePolice(options) ?? other;
    default:
      return other;
  }
}

function writeAction(builder: MessageBuilder, order: number, action: Action): void {
  builder.nest(order, (nest) => {
    switch (action.kind) {
      case "skbedit":
        nest.text(TCA_ACT_KIND, "skbedit").nest(TCA_ACT_OPTIONS, (options) => {
          options.words(TCA_SKBEDIT_PARMS, generic(action.index, action.control));
          if (action.priority !== null) options.u32(TCA_SKBEDIT_PRIORITY, action.priority);
          if (action.queueMapping !== null) {
            options.u16(TCA_SKBEDIT_QUEUE_MAPPING, action.queueMapping);
          }
        });
        // A filter's own actions inherit skip_hw from it; a shared one stands alone and must say so.
        if (action.index !== 0 && action.queueMapping !== null) {
          nest.words(TCA_ACT_FLAGS, [TCA_ACT_FLAGS_SKIP_HW, TCA_ACT_FLAGS_SKIP_HW]);
        }
        break;
      case "gact":
        nest
          .text(TCA_ACT_KIND, "gact")
          .nest(TCA_ACT_OPTIONS, (options) =>
            options.words(TCA_GACT_PARMS, generic(0, action.control)),
          );
        break;
      case "police":
        writePolice(nest.text(TCA_ACT_KIND, "police"), TCA_ACT_OPTIONS, action);
        break;
      case "mirred-ingress-redirect":
      case "mirred-egress-mirror":
        nest
          .text(TCA_ACT_KIND, "mirred")
          .nest(TCA_ACT_OPTIONS, (options) =>
            options.words(TCA_MIRRED_PARMS, [
              ...generic(0, action.control),
              eactionOf(action.kind),
              action.ifindex,
            ]),
          );
        break;
      case "mirred-egress-redirect":
        nest
          .text(TCA_ACT_KIND, "mirred")
          .nest(TCA_ACT_OPTIONS, (options) =>
            options.words(TCA_MIRRED_PARMS, [
              ...generic(action.index, action.control),
              TCA_EGRESS_REDIR,
              action.ifindex,
            ]),
          );
        if (action.index !== 0 && action.ifindex !== 0) {
          nest.words(TCA_ACT_FLAGS, [TCA_ACT_FLAGS_SKIP_HW, TCA_ACT_FLAGS_SKIP_HW]);
        }
        break;
      case "other":
        nest.text(TCA_ACT_KIND, action.name);
    }
  });
}

function eactionOf(kind: MirredKind): number {
  return kind === "mirred-egress-mirror" ? TCA_EGRESS_MIRROR : TCA_INGRESS_REDIR;
}

/** struct tc_gen: index, capab, action, refcnt, bindcnt. */
function generic(index: number, control: number): readonly number[] {
  return [index, 0, control, 0, 0];
}

function actionMessage(type: number, flags: number): MessageBuilder {
  return new MessageBuilder(type, flags).word(0);
}
