/** What hooks/qemu sends and what it understands as answer. */
import { HookError } from "../model/errors.ts";
import { clip } from "../model/units.ts";

/** First line of every request; the number rises if the form ever changes. */
const GREETING = "uplinkd-hook 1";

/** What the hook may tell of; anything else it ends at once. `started` comes when the CPUs already run. */
export const HOOK_OPERATIONS = [
  "prepare",
  "start",
  "started",
  "stopped",
  "release",
  "migrate",
  "reconnect",
  "attach",
] as const;
export type HookOperation = (typeof HOOK_OPERATIONS)[number];

/** One call of libvirt's hook (libvirt: hooks, /etc/libvirt/hooks/qemu). */
export interface HookRequest {
  readonly domain: string;
  readonly operation: HookOperation;
  /** `begin` or `end`. */
  readonly subOperation: string;
  /** libvirt's fourth argument, `-` for most. */
  readonly extra: string;
  /** The domain's XML as libvirt gives it, unparsed. */
  readonly xml: string;
}

export type HookAnswer =
  | { readonly accept: true }
  | { readonly accept: false; readonly reason: string };

/** Whether libvirt can take a refusal without harm: a non-zero end of anything else kills a running guest. */
export function mayRefuse(request: HookRequest): boolean {
  const { operation, subOperation } = request;
  return (operation === "prepare" || operation === "migrate") && subOperation === "begin";
}

/**
 * Parses the greeting, the four arguments a line each, an empty line, and the XML.
 * @throws HookError
 */
export function parseHookRequest(text: string): HookRequest {
  const [greeting, domain = "", word = "", subOperation = "", extra = "", separator] = text.split(
    "\n",
    6,
  );
  if (greeting !== GREETING) {
    throw new HookError(
      "a hook's request",
      `it begins with '${clip(greeting ?? "")}', not '${GREETING}'; install hooks/qemu of this version`,
    );
  }
  const object = `hook ${clip(word)} of domain ${clip(domain)}`;
  const operation = HOOK_OPERATIONS.find((known) => known === word);
  if (operation === undefined) throw new HookError(object, `operation '${clip(word)}' is unknown`);
  if (domain === "" || separator !== "") {
    throw new HookError(object, "its four arguments and an empty line are not there");
  }
  const head = [greeting, domain, word, subOperation, extra, separator].join("\n");
  return { domain, operation, subOperation, extra, xml: text.slice(head.length + 1) };
}

/** The one line that the hook reads. A reason is shown to whoever starts the domain. */
export function formatHookAnswer(answer: HookAnswer): string {
  return answer.accept ? "accept\n" : `refuse ${clip(answer.reason, 500)}\n`;
}
