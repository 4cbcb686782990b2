/**
 * A domain's XML, as a hook gets it on standard input and as virDomainGetXMLDesc returns it (libvirt:
 * formatdomain), reduced to what uplinkd needs.
 */
import type { Attachment, DomainDefinition, Problem, VnicDefinition } from "../model/domain.ts";
import { LibvirtError } from "../model/errors.ts";
import { isUnicast, type Mac, parseMac } from "../model/mac.ts";
import { bitsPerSecondFromKibibytesPerSecond, clip } from "../model/units.ts";
import { type Complaint, parseAnnotation } from "./annotation.ts";
import { attributeOf, childOf, parseXml, placeOf, type XmlElement } from "./element.ts";

/** More than any machine type has slots for; bounds the classes that one domain can ask for. */
const MAX_VNICS = 128;

/** Each is a frame of its own when the vNIC is announced; bounds what one domain can make us send. */
const MAX_VLANS = 16;

/** What a person reads before mending the first; the rest is only counted. */
const MAX_PROBLEMS = 20;

/** Metadata by which other managers mark a domain as theirs: such a domain is only shaped. */
const OWNERS: readonly { readonly uri: RegExp; readonly name: string }[] = [
  { uri: /^http:\/\/openstack\.org\/xmlns\/libvirt\/nova\//, name: "nova" },
  { uri: /^http:\/\/ovirt\.org\/vm\//, name: "oVirt" },
  { uri: /^http:\/\/kubevirt\.io$/, name: "KubeVirt" },
];

/**
 * Parses a domain's XML, running or defined.
 * @param object what errors are about, as long as the name isn't known: `domain web1`
 * @returns with what is wrong but doesn't matter in `problems`, line and column in their messages
 * @throws LibvirtError (never) if it can't be read as a domain at all
 */
export function parseDomainXml(xml: string, object = "a domain"): DomainDefinition {
  const root = parseXml(xml, object);
  if (root.local !== "domain" || root.uri !== "") {
    throw new LibvirtError(object, `<${clip(root.local)}> is not a domain's XML`, "never");
  }
  const name = requiredText(root, "name", object);
  const uuid = requiredText(root, "uuid", object).toLowerCase();
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid)) {
    throw new LibvirtError(object, `'${clip(uuid)}' is not a UUID`, "never");
  }
  const { vnics, complaints } = parseVnics(root);
  const metadata = childOf(root, "metadata");
  const annotated = metadata && parseAnnotation(metadata, new Set(vnics.map((vnic) => vnic.mac)));
  // Parts of a text are views of it to the engine: not copied, each would keep the whole XML for as long as the domain is known.
  return structuredClone({
    name,
    uuid,
    vnics,
    annotation: annotated?.annotation ?? null,
    owner: metadata === undefined ? null : ownerOf(metadata),
    problems: toProblems([...complaints, ...(annotated?.complaints ?? [])], name, xml),
  });
}

function requiredText(root: XmlElement, local: string, object: string): string {
  const text = childOf(root, local)?.text.trim() ?? "";
  if (text === "") throw new LibvirtError(object, `its XML has no <${local}>`, "never");
  return text;
}

function toProblems(complaints: readonly Complaint[], domain: string, xml: string): Problem[] {
  const object = `domain ${clip(domain, 128)}`;
  const sorted = complaints.toSorted((a, b) => a.offset - b.offset);
  const problems: Problem[] = sorted.slice(0, MAX_PROBLEMS).map(({ offset, message, remedy }) => {
    const { line, column } = placeOf(xml, offset);
    return { object, message: `line ${line}, column ${column}: ${message}`, remedy };
  });
  const rest = sorted.length - problems.length;
  if (rest > 0) problems.push({ object, message: `${rest} more in its XML`, remedy: "" });
  return problems;
}

function ownerOf(metadata: XmlElement): string | null {
  for (const { uri } of metadata.children) {
    const owner = uri === null ? undefined : OWNERS.find((known) => known.uri.test(uri));
    if (owner !== undefined) return owner.name;
  }
  return null;
}

function parseVnics(root: XmlElement): { vnics: VnicDefinition[]; complaints: Complaint[] } {
  const vnics = new Map<Mac, VnicDefinition>();
  const complaints: Complaint[] = [];
  const complain = ({ offset }: XmlElement, message: string, remedy: string) => {
    complaints.push({ offset, message, remedy });
  };
  const devices = childOf(root, "devices");
  for (const element of devices?.children ?? []) {
    if (element.local !== "interface" || element.uri !== "") continue;
    const address = attributeOf(childOf(element, "mac"), "address");
    const mac = parseMac(address ?? "");
    if (mac === null || !isUnicast(mac)) {
      complain(
        element,
        `an interface has no usable MAC address (${clip(address ?? "none")})`,
        "it shares the host's class; give it one with virsh edit",
      );
    } else if (vnics.has(mac)) {
      complain(
        element,
        `two interfaces have the MAC address ${mac}`,
        "both share one class; give each its own",
      );
    } else if (vnics.size >= MAX_VNICS) {
      complain(element, `more than ${MAX_VNICS} interfaces`, "the rest share the host's class");
      break;
    } else {
      vnics.set(mac, parseVnic(element, mac));
    }
  }
  return { vnics: [...vnics.values()], complaints };
}

function parseVnic(element: XmlElement, mac: Mac): VnicDefinition {
  const bandwidth = childOf(element, "bandwidth");
  const inbound = bandwidth && childOf(bandwidth, "inbound");
  const outbound = bandwidth && childOf(bandwidth, "outbound");
  return {
    mac,
    attachment: parseAttachment(element),
    vlanIds: parseVlanIds(element),
    tap: attributeOf(childOf(element, "target"), "dev") ?? null,
    // libvirt's directions are the guest's own: outbound is what it sends (formatdomain, Quality of service).
    libvirtLimitBitsPerSecond: parseAverage(outbound),
    hasLibvirtBandwidth: parseAverage(outbound) !== null || parseAverage(inbound) !== null,
  };
}

/**
 * The tags that the bridge puts on its frames, or that its guest's own frames have on a trunk (libvirt:
 * formatdomain, Setting VLAN tag). A trunk's native VLAN leaves untagged, if that is what its mode says.
 */
function parseVlanIds(element: XmlElement): number[] {
  const vlan = childOf(element, "vlan");
  const ids = new Set<number>();
  for (const tag of vlan?.children ?? []) {
    if (tag.local !== "tag" || ids.size >= MAX_VLANS) continue;
    const id = Number(attributeOf(tag, "id") ?? "");
    if (attributeOf(tag, "nativeMode") === "untagged") ids.add(0);
    else if (Number.isInteger(id) && id >= 1 && id <= 4094) ids.add(id);
  }
  return ids.size === 0 ? [0] : [...ids];
}

function parseAverage(direction: XmlElement | undefined): number | null {
  const text = attributeOf(direction, "average") ?? "";
  const kibibytesPerSecond = /^\s*\d{1,15}\s*$/.test(text) ? Number(text) : 0;
  return kibibytesPerSecond > 0 ? bitsPerSecondFromKibibytesPerSecond(kibibytesPerSecond) : null;
}

function parseAttachment(element: XmlElement): Attachment {
  const type = attributeOf(element, "type") ?? "";
  const source = childOf(element, "source");
  const bridge = attributeOf(source, "bridge") ?? null;
  const device = attributeOf(source, "dev");
  // A network of macvtaps shows the chosen device in the running domain (libvirt: virDomainActualNetDefFormat).
  if (device !== undefined && (type === "direct" || type === "network")) {
    return { kind: "direct", device, mode: attributeOf(source, "mode") ?? "vepa" };
  }
  if (type === "bridge" && bridge !== null) return { kind: "bridge", bridge };
  const network = attributeOf(source, "network");
  if (type === "network" && network !== undefined) return { kind: "network", network, bridge };
  return { kind: "other", type };
}
