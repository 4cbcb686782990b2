/**
 * The annotation in a domain's metadata: `<network xmlns="urn:uplinkd:domain:1">`, whatever the prefix. Nothing in
 * it stops a VM: what can't be used becomes a complaint with its place, the rest is used.
 */
import { isUnicast, type Mac, parseMac } from "../model/mac.ts";
import {
  type Annotation,
  type Bandwidth,
  FAILOVER_ACTIONS,
  type Failover,
  type Inbound,
  LEAST_INBOUND_BURST,
  LEAST_INBOUND_BURST_BYTES,
  type NetworkWish,
  type Placement,
  PRIORITIES,
} from "../model/policy.ts";
import {
  clip,
  formatRate,
  parseDuration,
  parseRate,
  parseSize,
  UnitError,
} from "../model/units.ts";
import type { XmlAttribute, XmlElement } from "./element.ts";

/** The namespace by which annotations are found. A change of meaning gets a new number. */
export const ANNOTATION_NAMESPACE = "urn:uplinkd:domain:1";

/** Names in one list; bounds what a domain's editor can make the planner walk through. */
const MAX_NAMES = 32;
/** Addresses that one vNIC may declare: each is a filter of the kernel's. */
const MAX_ADDRESSES = 16;
/** Names of policies, uplinks, domains and destinations, characters. */
const MAX_NAME_LENGTH = 128;

/** Something wrong in the annotation, at an offset of the XML's text. */
export interface Complaint {
  readonly offset: number;
  readonly message: string;
  readonly remedy: string;
}

type Complain = (at: { readonly offset: number }, message: string, remedy: string) => void;

/**
 * Reads an annotation out of a domain's `<metadata>`.
 * @param macs those of the domain's interfaces, to find `<interface>` elements that fit none
 * @returns null for a domain without annotation
 */
export function parseAnnotation(
  metadata: XmlElement,
  macs: ReadonlySet<Mac>,
): { annotation: Annotation | null; complaints: readonly Complaint[] } {
  const complaints: Complaint[] = [];
  const complain: Complain = (at, message, remedy) => {
    complaints.push({ offset: at.offset, message, remedy });
  };
  const network = findNetwork(metadata, complain);
  if (network === null) return { annotation: null, complaints };
  const interfaces = new Map<Mac, NetworkWish>();
  const domain = parseWish(network, ["interface"], complain);
  for (const element of network.children) {
    if (element.uri !== ANNOTATION_NAMESPACE || element.local !== "interface") continue;
    const mac = parseInterfaceMac(element, macs, complain);
    if (mac === null) continue;
    if (interfaces.has(mac)) {
      complain(element, `<interface mac="${mac}"> stands twice`, "keep one; the first is used");
      continue;
    }
    const addresses = parseSource(element, complain);
    interfaces.set(mac, {
      ...parseWish(element, ["source"], complain),
      ...(addresses !== undefined && { addresses }),
    });
  }
  return { annotation: { domain, interfaces }, complaints };
}

function findNetwork(metadata: XmlElement, complain: Complain): XmlElement | null {
  let network: XmlElement | null = null;
  for (const element of metadata.children) {
    if (element.uri === null && element.local === "network") {
      complain(
        element,
        `the prefix '${clip(element.prefix)}' of <${clip(element.prefix)}:network> is bound to no namespace`,
        `write xmlns:${clip(element.prefix)}="${ANNOTATION_NAMESPACE}" in it`,
      );
    }
    if (element.uri !== ANNOTATION_NAMESPACE) continue;
    if (element.local !== "network") {
      complain(element, `<${clip(element.local)}> is unknown`, "<metadata> takes <network>");
    } else if (network === null) {
      network = element;
    } else {
      complain(element, "<network> stands twice", "keep one; the first is used");
    }
  }
  return network;
}

function parseInterfaceMac(
  element: XmlElement,
  macs: ReadonlySet<Mac>,
  complain: Complain,
): Mac | null {
  const attributes = knownAttributes(element, ["mac"], complain);
  const attribute = attributes.get("mac");
  if (attribute === undefined) {
    complain(element, "<interface> names no mac", 'write mac="52:54:00:aa:bb:cc"');
    return null;
  }
  const mac = parseMac(attribute.value);
  if (mac === null || !isUnicast(mac)) {
    const value = clip(attribute.value);
    complain(
      attribute,
      `'${value}' is not a MAC address of a vNIC`,
      "write six pairs of hex digits",
    );
    return null;
  }
  if (!macs.has(mac)) {
    complain(
      attribute,
      `the domain has no interface with the MAC address ${mac}`,
      "correct it, or take the element away",
    );
    return null;
  }
  return mac;
}

const WISH_ELEMENTS = ["policy", "priority", "bandwidth", "inbound", "placement", "failover"];

function parseWish(
  element: XmlElement,
  others: readonly string[],
  complain: Complain,
): NetworkWish {
  if (element.local === "network") knownAttributes(element, [], complain);
  rejectText(element, complain);
  const first = new Map<string, XmlElement>();
  for (const child of element.children) {
    if (child.uri !== ANNOTATION_NAMESPACE || !WISH_ELEMENTS.includes(child.local)) {
      if (child.uri === ANNOTATION_NAMESPACE && others.includes(child.local)) continue;
      complain(
        child,
        `<${clip(child.local)}> is unknown in <${element.local}>`,
        `it takes ${[...WISH_ELEMENTS, ...others].join(", ")}, all in the namespace ${ANNOTATION_NAMESPACE}`,
      );
    } else if (first.has(child.local)) {
      complain(child, `<${child.local}> stands twice`, "keep one; the first is used");
    } else {
      first.set(child.local, child);
    }
  }
  const policy = parseElement(first.get("policy"), parsePolicyName, complain);
  const priority = parseElement(first.get("priority"), parsePriority, complain);
  const bandwidth = parseElement(first.get("bandwidth"), parseBandwidth, complain);
  const inbound = parseElement(first.get("inbound"), parseInbound, complain);
  const placement = parseElement(first.get("placement"), parsePlacement, complain);
  const failover = parseElement(first.get("failover"), parseFailover, complain);
  return {
    ...(policy !== undefined && { policy }),
    ...(priority !== undefined && { priority }),
    ...(bandwidth !== undefined && { bandwidth }),
    ...(inbound !== undefined && { inbound }),
    ...(placement !== undefined && { placement }),
    ...(failover !== undefined && { failover }),
  };
}

/** `<source macs>`: what an interface's guest sends with besides its own address. */
function parseSource(element: XmlElement, complain: Complain): readonly Mac[] | undefined {
  const [first, second] = element.children.filter(
    ({ uri, local }) => uri === ANNOTATION_NAMESPACE && local === "source",
  );
  if (second !== undefined)
    complain(second, "<source> stands twice", "keep one; the first is used");
  return parseElement(
    first,
    (source) => {
      rejectText(source, complain);
      const attributes = knownAttributes(source, ["macs"], complain);
      return value(attributes.get("macs"), parseAddresses, complain);
    },
    complain,
  );
}

function parseAddresses(text: string): readonly Mac[] {
  const words = text.split(/\s+/).filter((word) => word !== "");
  if (words.length > MAX_ADDRESSES) throw new UnitError(`more than ${MAX_ADDRESSES} addresses`);
  return [...new Set(words)].map((word) => {
    const mac = parseMac(word);
    if (mac === null || !isUnicast(mac))
      throw new UnitError(`'${clip(word)}' is not a MAC address of a vNIC`);
    return mac;
  });
}

function parseElement<T>(
  element: XmlElement | undefined,
  parse: (element: XmlElement, complain: Complain) => T | undefined,
  complain: Complain,
): T | undefined {
  if (element === undefined) return undefined;
  for (const child of element.children) {
    complain(child, `<${clip(child.local)}> is unknown in <${element.local}>`, "take it away");
  }
  return parse(element, complain);
}

function parsePolicyName(element: XmlElement, complain: Complain): string | undefined {
  knownAttributes(element, [], complain);
  const name = element.text.trim();
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name) && name.length <= MAX_NAME_LENGTH) return name;
  complain(element, `'${clip(name)}' can't be the name of a policy`, "write one, such as gold");
  return undefined;
}

function parsePriority(element: XmlElement, complain: Complain) {
  knownAttributes(element, [], complain);
  return oneOf(element, element.text.trim(), PRIORITIES, "priority", complain);
}

function parseBandwidth(element: XmlElement, complain: Complain): Partial<Bandwidth> {
  rejectText(element, complain);
  const names = ["reservation", "limit", "shares", "burst"];
  const attributes = knownAttributes(element, names, complain);
  const reservation = value(attributes.get("reservation"), parseRate, complain);
  const limit = value(attributes.get("limit"), parseLimit, complain);
  const shares = value(attributes.get("shares"), parseShares, complain);
  const burst = value(attributes.get("burst"), parseBurst, complain);
  let kept = reservation;
  if (reservation !== undefined && limit !== undefined && limit < reservation) {
    // Of two values that contradict each other the one that takes less from the neighbours is used.
    kept = limit;
    complain(
      attributes.get("limit") ?? element,
      `limit ${formatRate(limit)} is below reservation ${formatRate(reservation)}`,
      `correct one; ${formatRate(limit)} is reserved until then`,
    );
  }
  return {
    ...(kept !== undefined && { reservationBitsPerSecond: kept }),
    ...(limit !== undefined && { limitBitsPerSecond: limit }),
    ...(shares !== undefined && { shares }),
    ...(burst !== undefined && { burstBytes: burst }),
  };
}

function parseInbound(element: XmlElement, complain: Complain): Inbound | undefined {
  rejectText(element, complain);
  const attributes = knownAttributes(element, ["limit", "burst"], complain);
  if (!attributes.has("limit"))
    complain(element, "<inbound> names no limit", 'write limit="1gbit"');
  const limit = value(attributes.get("limit"), parseLimit, complain);
  const burst = value(attributes.get("burst"), parseInboundBurst, complain);
  if (limit === undefined) return undefined;
  return { limitBitsPerSecond: limit, burstBytes: burst ?? null };
}

function parsePlacement(element: XmlElement, complain: Complain): Partial<Placement> {
  rejectText(element, complain);
  const attributes = knownAttributes(element, ["prefer", "apart"], complain);
  const prefer = value(attributes.get("prefer"), parseNames, complain);
  const apart = value(attributes.get("apart"), parseNames, complain);
  return { ...(prefer !== undefined && { prefer }), ...(apart !== undefined && { apart }) };
}

function parseFailover(element: XmlElement, complain: Complain): Partial<Failover> {
  rejectText(element, complain);
  const names = ["action", "grace", "maxPause", "destination"];
  const attributes = knownAttributes(element, names, complain);
  const written = attributes.get("action");
  const action =
    written && oneOf(written, written.value.trim(), FAILOVER_ACTIONS, "failover action", complain);
  const graceMs = value(attributes.get("grace"), parseDuration, complain);
  const maxPauseMs = value(attributes.get("maxPause"), parseDuration, complain);
  const destinations = value(attributes.get("destination"), parseDestinations, complain);
  return {
    ...(action !== undefined && { action }),
    ...(graceMs !== undefined && { graceMs }),
    ...(maxPauseMs !== undefined && { maxPauseMs }),
    ...(destinations !== undefined && { destinations }),
  };
}

/** A value by one of model/units' parsers, whose UnitError becomes the complaint. */
function value<T>(
  attribute: XmlAttribute | undefined,
  parse: (text: string) => T,
  complain: Complain,
): T | undefined {
  if (attribute === undefined) return undefined;
  try {
    return parse(attribute.value);
  } catch (error) {
    if (!(error instanceof UnitError)) throw error;
    complain(
      attribute,
      `${attribute.local}: ${error.message}`,
      "correct it; it is ignored until then",
    );
    return undefined;
  }
}

function parseLimit(text: string): number {
  const limit = parseRate(text);
  if (limit === 0)
    throw new UnitError("a limit of 0 would cut the vNIC off; set its link down instead");
  return limit;
}

function parseShares(text: string): number {
  const shares = /^\s*\d{1,4}\s*$/.test(text) ? Number(text) : 0;
  if (shares < 1 || shares > 1000) {
    throw new UnitError(
      `'${clip(text)}' is not a number of shares; write a whole number, 1 to 1000`,
    );
  }
  return shares;
}

function parseBurst(text: string): number {
  const bytes = parseSize(text);
  if (bytes === 0) throw new UnitError("a burst of 0 lets no frame pass");
  return bytes;
}

function parseInboundBurst(text: string): number {
  const bytes = parseBurst(text);
  if (bytes < LEAST_INBOUND_BURST_BYTES) throw new UnitError(LEAST_INBOUND_BURST);
  return bytes;
}

function parseNames(text: string): readonly string[] {
  const names = text.split(/\s+/).filter((name) => name !== "");
  if (names.length > MAX_NAMES) throw new UnitError(`more than ${MAX_NAMES} names`);
  const long = names.find((name) => name.length > MAX_NAME_LENGTH);
  if (long !== undefined) throw new UnitError(`'${clip(long)}' is longer than a name may be`);
  return [...new Set(names)];
}

/** Names of uplinkd.yaml's destinations: whoever may edit a domain must not be able to send its memory anywhere. */
function parseDestinations(text: string): readonly string[] {
  const names = parseNames(text);
  const uri = names.find((name) => /[:/@]/.test(name));
  if (uri !== undefined) {
    throw new UnitError(
      `'${clip(uri)}' is no destination's name; uplinkd.yaml names them, not the domain`,
    );
  }
  return names;
}

function oneOf<T extends string>(
  at: { readonly offset: number },
  text: string,
  allowed: readonly T[],
  what: string,
  complain: Complain,
): T | undefined {
  const found = allowed.find((word) => word === text);
  if (found === undefined) {
    complain(at, `'${clip(text)}' is no ${what}`, `write one of ${allowed.join(", ")}`);
  }
  return found;
}

/** Attributes of other namespaces, and the declarations of namespaces, are not ours to judge. */
function knownAttributes(
  element: XmlElement,
  names: readonly string[],
  complain: Complain,
): ReadonlyMap<string, XmlAttribute> {
  const known = new Map<string, XmlAttribute>();
  for (const attribute of element.attributes) {
    if (attribute.uri !== "" && attribute.uri !== ANNOTATION_NAMESPACE) continue;
    if (names.includes(attribute.local)) known.set(attribute.local, attribute);
    else {
      complain(
        attribute,
        `attribute '${clip(attribute.local)}' is unknown in <${element.local}>`,
        names.length === 0 ? "it takes none" : `it takes ${names.join(", ")}`,
      );
    }
  }
  return known;
}

function rejectText(element: XmlElement, complain: Complain): void {
  const text = element.text.trim();
  if (text !== "") {
    complain(element, `text '${clip(text)}' in <${element.local}> means nothing`, "take it away");
  }
}
