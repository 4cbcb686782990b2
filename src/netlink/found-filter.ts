/**
 * Which object of ours a dumped filter is. The way back compares with the way there (filter-object.ts), so that whatever isn't
 * exactly as we write it comes out as unknown.
 */
import { isDeepStrictEqual } from "node:util";
import { chainOf, FILTER_PRIORITY, HOST_CHAIN } from "../model/filter-priority.ts";
import { kernelKey, type ReportsFilter, type UnknownFilter } from "../model/kernel.ts";
import { CONTROL_PROTOCOLS } from "../model/layout.ts";
import { bitsPerSecondFromBytes } from "../model/units.ts";
import { type Action, TC_ACT_DROP } from "./action.ts";
import { type Filter, kindOf } from "./filter.ts";
import { type FilterObject, filtersOf, NO_CLASS } from "./filter-object.ts";
import { findVnics, isSender } from "./found-vnic.ts";
import { skbedit } from "./skbedit.ts";
import { minorOfHandle } from "./traffic-control.ts";

/** The objects that one device's filters are; only those at our priorities may be passed in. */
export function objectsOf(
  filters: readonly Filter[],
  device: string,
): readonly (FilterObject | UnknownFilter)[] {
  const objects: (FilterObject | UnknownFilter)[] = [];
  const reports = filters.filter((f) => f.priority === FILTER_PRIORITY.reports);
  if (reports.length > 0) objects.push(reportsOf(reports, device));
  const seen = new Set<string>();
  const vnics = findVnics(filters, device);
  for (const { object, filters: own, isBroken } of vnics.found) {
    const expected = filtersOf(object, own[0]?.ifindex ?? 0);
    const isOurs = isBroken || own.every((filter, place) => sameFilter(expected[place], filter));
    if (seen.has(kernelKey(object)) || !isOurs) objects.push(...own.map((f) => unknown(f, device)));
    else {
      seen.add(kernelKey(object));
      objects.push(object);
    }
  }
  objects.push(...vnics.rest.map((filter) => unknown(filter, device)));
  for (const filter of filters) {
    if (filter.priority === FILTER_PRIORITY.reports) continue;
    if (filter.priority === FILTER_PRIORITY.vnic || isSender(filter)) continue;
    const object = candidateOf(filter, device);
    // A second filter for one MAC is nothing that we write, and would hide behind the first one's key.
    const identity = object === null ? "" : kernelKey(object);
    const [expected] = object === null ? [] : filtersOf(object, filter.ifindex);
    if (object === null || seen.has(identity) || !sameFilter(expected, filter)) {
      objects.push(unknown(filter, device));
      continue;
    }
    seen.add(identity);
    objects.push(object);
  }
  return objects;
}

/** Reads from a filter what its object would say, without looking at what else it holds. */
function candidateOf(filter: Filter, device: string): FilterObject | null {
  const { priority, handle, match } = filter;
  const [first] = filter.actions;
  const minor = first?.kind === "skbedit" ? (minorOfHandle(first.priority ?? 0) ?? 0) : 0;
  const source = match.kind === "flower" ? match.source?.mac : undefined;
  const destination = match.kind === "flower" ? match.destination?.mac : undefined;
  switch (priority) {
    case FILTER_PRIORITY.catchAll:
    case FILTER_PRIORITY.anySender: {
      const queueId = first?.kind === "skbedit" ? (first.queueMapping ?? 0) : 0;
      const senders = priority === FILTER_PRIORITY.anySender;
      const classless = first?.kind === "skbedit" && first.priority === NO_CLASS;
      const place = {
        kind: "catch-all",
        device,
        minor: classless ? null : minor,
        queueId,
      } as const;
      return senders ? { ...place, senders } : place;
    }
    case FILTER_PRIORITY.reflection:
      return source === undefined ? null : { kind: "reflection", device, mac: source, handle };
    case FILTER_PRIORITY.redirect: {
      const toIfindex = first?.kind === "mirred-ingress-redirect" ? first.ifindex : 0;
      return destination === undefined
        ? null
        : { kind: "redirect", device, mac: destination, handle, toIfindex };
    }
    case FILTER_PRIORITY.inbound: {
      if (destination === undefined || first?.kind !== "police") return null;
      const rateBitsPerSecond = bitsPerSecondFromBytes(first.rateBytesPerSecond);
      const { burstTicks } = first;
      return { kind: "inbound", device, mac: destination, handle, rateBitsPerSecond, burstTicks };
    }
    case FILTER_PRIORITY.probeTo:
      return destination === undefined
        ? null
        : { kind: "probe-guard", device, side: "to", block: destination };
    case FILTER_PRIORITY.probeFrom:
      return source === undefined
        ? null
        : { kind: "probe-guard", device, side: "from", block: source };
    case FILTER_PRIORITY.queueReset:
      return { kind: "queue-reset", device };
    case FILTER_PRIORITY.declared: {
      const from = match.kind === "sender" ? match.from : null;
      const mac = match.kind === "sender" ? match.source.mac : source;
      const queueId = first?.kind === "skbedit" ? (first.queueMapping ?? 0) : 0;
      return mac === undefined
        ? null
        : { kind: "declared", device, from, mac, handle, minor, queueId };
    }
    case FILTER_PRIORITY.passedOn:
    case FILTER_PRIORITY.forged: {
      const kind = priority === FILTER_PRIORITY.forged ? "forged" : "passed-on";
      const from = match.kind === "packet" ? match.packet.from : null;
      const drops = first?.kind === "gact" && first.control === TC_ACT_DROP;
      return { kind, device, from, handle, ...(drops ? { drops } : {}) };
    }
    case FILTER_PRIORITY.hostSource:
      return source === undefined ? null : { kind: "host-source", device, mac: source, handle };
    default: {
      if (chainOf(priority) === HOST_CHAIN) {
        if (match.kind !== "packet") return null;
        const { from: _, ...packet } = match.packet;
        const position = priority - FILTER_PRIORITY.hostMatch;
        return { kind: "host-match", device, position, minor, ...packet };
      }
      const protocol = CONTROL_PROTOCOLS[priority - FILTER_PRIORITY.control];
      return protocol === undefined
        ? null
        : { kind: "control", device, protocol: protocol.name, minor: filter.classMinor ?? 0 };
    }
  }
}

/** Both of u32's nodes as we write them, or all of the priority is unknown. */
function reportsOf(filters: readonly Filter[], device: string): ReportsFilter | UnknownFilter {
  const [first] = filters;
  const copyTo = (first?.actions ?? []).flatMap((action) =>
    action.kind === "mirred-egress-mirror" ? [action.ifindex] : [],
  );
  const object: ReportsFilter = { kind: "reports", device, copyTo };
  const expected = filtersOf(object, first?.ifindex ?? 0);
  // The kernel puts the number of the hash table before that of the node.
  const nodes = filters
    .map((filter) => ({ ...filter, handle: filter.handle & 0xfff }))
    .sort((a, b) => a.handle - b.handle);
  const same =
    nodes.length === expected.length &&
    nodes.every((node, index) => sameFilter(expected[index], node));
  if (same || first === undefined) return object;
  return { ...unknown(first, device), handle: 0 };
}

/** A reference to a shared action is written by its index alone and read back with the action's content. */
function sameFilter(expected: Filter | undefined, found: Filter): boolean {
  const byReference = (action: Action): Action => {
    if (action.kind === "mirred-egress-redirect" && action.index !== 0)
      return { ...action, ifindex: 0, control: 0 };
    return action.kind === "skbedit" && action.index !== 0
      ? { ...skbedit(0, null, null), index: action.index }
      : action;
  };
  return isDeepStrictEqual(expected, { ...found, actions: found.actions.map(byReference) });
}

/** Handles of other classifiers mean other things; handle 0 deletes all of the priority. */
function unknown(filter: Filter, device: string): UnknownFilter {
  const filterKind = kindOf(filter.match);
  return {
    kind: "unknown-filter",
    device,
    hook: filter.hook,
    priority: filter.priority,
    protocol: filter.protocol,
    handle: filterKind === "flower" || filterKind === "matchall" ? filter.handle : 0,
    filterKind,
  };
}
