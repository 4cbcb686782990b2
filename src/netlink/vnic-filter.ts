/** A vNIC's filter on the bond: its class, and what names its port (see Steering). */
import { REPORTS_CHAIN } from "../model/filter-priority.ts";
import type { VnicFilter } from "../model/kernel.ts";
import type { Mac } from "../model/mac.ts";
import { type Action, gotoChain, TC_ACT_PIPE } from "./action.ts";
import type { Filter } from "./filter.ts";
import { skbedit } from "./skbedit.ts";
import { minorOfHandle } from "./traffic-control.ts";

/** Its actions, as they are written. */
export function vnicActions({
  steering,
  minor,
  actionIndex: index,
}: VnicFilter): readonly Action[] {
  switch (steering) {
    case "queue":
      return [{ ...skbedit(0, null, null), index }, skbedit(gotoChain(REPORTS_CHAIN), minor, null)];
    case "redirect":
      return [
        skbedit(TC_ACT_PIPE, minor, null),
        { kind: "mirred-egress-redirect", index, ifindex: 0, control: 0 },
      ];
    // Where nothing stands in the chain, frames just go on.
    case "hash":
      return [skbedit(gotoChain(REPORTS_CHAIN), minor, null)];
  }
}

/** What a filter at a vNIC's priority says, without looking at what else it holds. */
export function vnicOf({ handle, actions }: Filter, device: string, mac: Mac): VnicFilter {
  const [first, second] = actions;
  const minorAt = (action: Action | undefined) =>
    action?.kind === "skbedit" ? (minorOfHandle(action.priority ?? 0) ?? 0) : 0;
  const made = { kind: "vnic", device, mac, handle } as const;
  if (first?.kind === "skbedit" && first.index !== 0)
    return { ...made, minor: minorAt(second), steering: "queue", actionIndex: first.index };
  if (second?.kind === "mirred-egress-redirect")
    return { ...made, minor: minorAt(first), steering: "redirect", actionIndex: second.index };
  return { ...made, minor: minorAt(first), steering: "hash", actionIndex: 0 };
}
