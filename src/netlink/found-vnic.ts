/**
 * Which vNIC's object its filters are: one where addresses aren't enforced, else two, of which one leads to the other (see
 * filtersOf). Of two that don't belong together, or one alone, comes an object that no plan has, so that it is mended in its place.
 */
import { isDeepStrictEqual } from "node:util";
import { FILTER_PRIORITY, SOURCES_CHAIN } from "../model/filter-priority.ts";
import type { VnicFilter } from "../model/kernel.ts";
import { gotoChain } from "./action.ts";
import type { Filter } from "./filter.ts";
import { vnicOf } from "./vnic-filter.ts";

/** A tap's name that no interface has: what was found is not as we write it, or its interface is gone. */
const GONE = "";

/** A candidate, and the filters that it was read from, in the order of filtersOf. */
export interface FoundVnic {
  readonly object: VnicFilter;
  readonly filters: readonly Filter[];
  /** It isn't as we write it. */
  readonly isBroken: boolean;
}

/** Whether a filter is the one that tells by which interface a vNIC's frames come. */
export function isSender({ priority }: Filter): boolean {
  return priority === FILTER_PRIORITY.ownTap || priority === FILTER_PRIORITY.macvtap;
}

/**
 * Puts a device's vNIC filters together.
 * @param filters of which those at vNICs' priorities matter
 * @returns candidates, and the filters that belong to none
 */
export function findVnics(
  filters: readonly Filter[],
  device: string,
): { readonly found: readonly FoundVnic[]; readonly rest: readonly Filter[] } {
  const senders = Map.groupBy(filters.filter(isSender), identityOf);
  const found: FoundVnic[] = [];
  const rest: Filter[] = [];
  for (const filter of filters) {
    if (filter.priority !== FILTER_PRIORITY.vnic) continue;
    const mac = macOf(filter);
    if (mac === null) {
      rest.push(filter);
      continue;
    }
    const sender = senders.get(identityOf(filter))?.shift();
    const leads = isDeepStrictEqual(filter.actions, LEADS_ON);
    if (sender === undefined && !leads) {
      found.push({ object: vnicOf(filter, device, mac), filters: [filter], isBroken: false });
    } else if (sender !== undefined && leads) {
      const object = { ...vnicOf(sender, device, mac), from: fromOf(sender) };
      found.push({ object, filters: [sender, filter], isBroken: false });
    } else {
      const object = { ...vnicOf(sender ?? filter, device, mac), from: GONE };
      found.push({ object, filters: [filter], isBroken: true });
    }
  }
  const seen = new Set(found.map(({ object }) => object.mac));
  for (const sender of [...senders.values()].flat()) {
    const mac = macOf(sender);
    if (mac === null || seen.has(mac)) {
      rest.push(sender);
      continue;
    }
    seen.add(mac);
    const object = { ...vnicOf(sender, device, mac), from: GONE };
    found.push({ object, filters: [sender], isBroken: true });
  }
  return { found, rest };
}

const LEADS_ON = [{ kind: "gact", control: gotoChain(SOURCES_CHAIN) }];

function identityOf(filter: Filter): string {
  return `${filter.handle} ${macOf(filter)}`;
}

function macOf({ match }: Filter) {
  return match.kind === "flower" || match.kind === "sender" ? (match.source?.mac ?? null) : null;
}

function fromOf({ priority, match }: Filter): string | null {
  if (priority === FILTER_PRIORITY.macvtap) return null;
  return match.kind === "sender" ? match.from : GONE;
}
