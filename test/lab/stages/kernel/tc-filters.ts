/** Filters in the words of tc, which knows nothing of our codec. */
import { readJson } from "../../command.ts";

interface TcAction {
  readonly kind: string;
  readonly priority?: string;
  readonly queue_mapping?: number;
  readonly mirred_action?: string;
  readonly direction?: string;
  readonly to_dev?: string;
  readonly control_action?: { readonly type: string };
}

interface TcFilter {
  readonly pref: number;
  readonly kind: string;
  readonly options?: {
    readonly keys?: { readonly src_mac?: string; readonly dst_mac?: string };
    readonly indev?: string;
    readonly classid?: string;
    readonly actions?: readonly TcAction[];
  };
}

/** What tc says of the filters of a hook, or of our HTB, a line each, by priority. */
export function tcFilters(
  device: string,
  hook: "egress" | "ingress" | "parent 7570:",
): Record<number, readonly string[]> {
  const lines: Record<number, string[]> = {};
  for (const filter of readJson<TcFilter>("tc", `filter show dev ${device} ${hook}`)) {
    const { keys, actions = [], classid } = filter.options ?? {};
    if (actions.length === 0 && classid === undefined) continue;
    const { src_mac, dst_mac, ...packet } = keys ?? {};
    const words = [
      filter.kind,
      ...(filter.options?.indev === undefined ? [] : ["indev", filter.options.indev]),
      ...(Object.keys(packet).length === 0 ? [] : [JSON.stringify(packet)]),
      ...(src_mac === undefined ? [] : ["src", src_mac]),
      ...(dst_mac === undefined ? [] : ["dst", dst_mac]),
      ...(classid === undefined ? [] : ["class", classid]),
      ...actions.map(describeAction),
    ];
    lines[filter.pref] = [...(lines[filter.pref] ?? []), words.join(" ")].sort();
  }
  return lines;
}

function describeAction(action: TcAction): string {
  return [
    action.kind,
    ...(action.direction === undefined
      ? []
      : [action.direction, action.mirred_action, action.to_dev]),
    ...(action.priority === undefined ? [] : ["priority", action.priority]),
    ...(action.queue_mapping === undefined ? [] : ["queue_mapping", action.queue_mapping]),
    action.control_action?.type,
  ].join(" ");
}
