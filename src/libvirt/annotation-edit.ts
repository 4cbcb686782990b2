/**
 * Changes of a domain's annotation: what it says now, laid out anew with values set and taken away. Pure; what becomes
 * of it is judged by the parser that the daemon has.
 */
import type { DomainDefinition, Problem } from "../model/domain.ts";
import { LibvirtError } from "../model/errors.ts";
import type { Mac } from "../model/mac.ts";
import { ANNOTATION_NAMESPACE, parseAnnotation } from "./annotation.ts";
import { childOf, parseXml, type XmlElement } from "./element.ts";

/** Every value of an annotation: where it stands. attribute null: the element's text. */
export const ANNOTATION_FIELDS = [
  { name: "policy", element: "policy", attribute: null },
  { name: "priority", element: "priority", attribute: null },
  { name: "reservation", element: "bandwidth", attribute: "reservation" },
  { name: "limit", element: "bandwidth", attribute: "limit" },
  { name: "shares", element: "bandwidth", attribute: "shares" },
  { name: "burst", element: "bandwidth", attribute: "burst" },
  { name: "inbound", element: "inbound", attribute: "limit" },
  { name: "inbound-burst", element: "inbound", attribute: "burst" },
  { name: "prefer", element: "placement", attribute: "prefer" },
  { name: "apart", element: "placement", attribute: "apart" },
  { name: "action", element: "failover", attribute: "action" },
  { name: "grace", element: "failover", attribute: "grace" },
  { name: "max-pause", element: "failover", attribute: "maxPause" },
  { name: "destination", element: "failover", attribute: "destination" },
] as const;

export type AnnotationField = (typeof ANNOTATION_FIELDS)[number]["name"];

export interface AnnotationChange {
  /** Of one vNIC; null: of the domain, for each of its vNICs. */
  readonly mac: Mac | null;
  readonly set: ReadonlyMap<AnnotationField, string>;
  /** all: of the vNIC, or without one the whole annotation. */
  readonly unset: ReadonlySet<AnnotationField> | "all";
}

/** An element to be written: plain names, one namespace. */
interface Node {
  readonly name: string;
  readonly attributes: Map<string, string>;
  text: string;
  readonly children: Node[];
}

/**
 * @param xml the domain's
 * @returns the annotation before and after, a line an element; [] for none
 * @throws LibvirtError if the domain's XML can't be read
 */
export function editAnnotation(
  xml: string,
  object: string,
  change: AnnotationChange,
): { readonly before: readonly string[]; readonly after: readonly string[] } {
  const metadata = childOf(parseXml(xml, object), "metadata");
  const found = metadata?.children.find(
    ({ local, uri }) => local === "network" && uri === ANNOTATION_NAMESPACE,
  );
  const root = found === undefined ? node("network") : toNode(found);
  const before = writeRoot(root);
  applyChange(root, change);
  return { before, after: writeRoot(root) };
}

/** An element that says nothing is none. */
function writeRoot(root: Node): readonly string[] {
  const isEmpty = root.children.length === 0 && root.attributes.size === 0;
  return isEmpty ? [] : writeNode(root, "uplink:", "");
}

/**
 * The text that libvirt takes (virDomainSetMetadata): it puts the namespace in by itself. No annotation is an empty element:
 * taking one away needs a NULL, for which libvirt's D-Bus interface has no word.
 */
export function toMetadata(lines: readonly string[]): string {
  if (lines.length === 0) return "<network/>";
  return lines.join("\n").replaceAll(/(<\/?)uplink:/g, "$1");
}

/** What the daemon would say of a domain that had this annotation. */
export function judgeAnnotation(
  lines: readonly string[],
  definition: DomainDefinition,
): DomainDefinition {
  const object = `domain ${definition.name}`;
  if (lines.length === 0) return { ...definition, annotation: null, problems: [] };
  const text = `<metadata xmlns:uplink="${ANNOTATION_NAMESPACE}">${lines.join("\n")}</metadata>`;
  const macs = new Set(definition.vnics.map(({ mac }) => mac));
  const { annotation, complaints } = parseAnnotation(parseXml(text, object), macs);
  const problems = complaints.map(({ message, remedy }): Problem => ({ object, message, remedy }));
  return { ...definition, annotation, problems };
}

function applyChange(root: Node, { mac, set, unset }: AnnotationChange): void {
  let place = root;
  if (mac !== null) {
    const known = root.children.find(
      (child) => child.name === "interface" && child.attributes.get("mac")?.toLowerCase() === mac,
    );
    if (unset === "all") {
      if (known !== undefined) root.children.splice(root.children.indexOf(known), 1);
      return;
    }
    place = known ?? node("interface", [["mac", mac]]);
    if (known === undefined) root.children.push(place);
  } else if (unset === "all") {
    root.children.length = 0;
    root.attributes.clear();
    return;
  }
  for (const { attribute, element, name } of ANNOTATION_FIELDS) {
    if (unset.has(name)) setValue(place, element, attribute, null);
    const value = set.get(name);
    if (value !== undefined) setValue(place, element, attribute, value);
  }
  if (mac !== null && place.children.length === 0) {
    root.children.splice(root.children.indexOf(place), 1);
  }
}

function setValue(
  place: Node,
  element: string,
  attribute: string | null,
  value: string | null,
): void {
  let holder = place.children.find((child) => child.name === element);
  if (holder === undefined) {
    if (value === null) return;
    holder = node(element);
    // Before the interfaces, in the order in which the reference has them.
    const order = ["policy", "priority", "bandwidth", "placement", "failover", "interface"];
    const index = place.children.findIndex(
      ({ name }) => order.indexOf(name) > order.indexOf(element),
    );
    place.children.splice(index < 0 ? place.children.length : index, 0, holder);
  }
  if (attribute === null) holder.text = value ?? "";
  else if (value === null) holder.attributes.delete(attribute);
  else holder.attributes.set(attribute, value);
  const isEmpty = holder.attributes.size === 0 && holder.text === "" && !holder.children.length;
  if (isEmpty) place.children.splice(place.children.indexOf(holder), 1);
}

function node(name: string, attributes: Iterable<readonly [string, string]> = []): Node {
  return { name, attributes: new Map(attributes), text: "", children: [] };
}

/** @throws LibvirtError for elements of others in it, which would lose their namespace */
function toNode(element: XmlElement): Node {
  if (element.uri !== ANNOTATION_NAMESPACE) {
    const name = element.prefix === "" ? element.local : `${element.prefix}:${element.local}`;
    const message = `its annotation has <${name}> of another namespace in it; use virsh edit`;
    throw new LibvirtError("the annotation", message, "never");
  }
  const made = node(
    element.local,
    element.attributes
      .filter(({ uri }) => uri === "")
      .map(({ local, value }) => [local, value] as const),
  );
  made.text = element.text.trim();
  made.children.push(...element.children.map(toNode));
  return made;
}

function writeNode(
  { attributes, children, name, text }: Node,
  prefix: string,
  indent: string,
): string[] {
  const written = [...attributes].map(([key, value]) => ` ${key}="${escapeXml(value)}"`).join("");
  const tag = `${prefix}${name}`;
  if (children.length === 0) {
    const end = text === "" ? "/>" : `>${escapeXml(text)}</${tag}>`;
    return [`${indent}<${tag}${written}${end}`];
  }
  return [
    `${indent}<${tag}${written}>`,
    ...(text === "" ? [] : [`${indent}  ${escapeXml(text)}`]),
    ...children.flatMap((child) => writeNode(child, prefix, `${indent}  `)),
    `${indent}</${tag}>`,
  ];
}

function escapeXml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
