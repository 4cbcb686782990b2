/** libvirt's domains as far as uplinkd reads them. */
import type { Mac } from "./mac.ts";
import type { Annotation } from "./policy.ts";

/** Something a person should know about a domain, a policy file or a host; never a reason to stop a VM. */
export interface Problem {
  /** What it is about: `domain web1`, `/etc/uplinkd/uplinkd.yaml:3:7`, `uplink eno1`. */
  readonly object: string;
  readonly message: string;
  /** What to do about it, or "". */
  readonly remedy: string;
}

/** How a vNIC is connected, as its XML says. */
export type Attachment =
  | { readonly kind: "bridge"; readonly bridge: string }
  | { readonly kind: "network"; readonly network: string; readonly bridge: string | null }
  | { readonly kind: "direct"; readonly device: string; readonly mode: string }
  | { readonly kind: "other"; readonly type: string };

/** One `<interface>` of a domain's XML. */
export interface VnicDefinition {
  readonly mac: Mac;
  readonly attachment: Attachment;
  /** 802.1Q ids with which its frames leave the host, 0 for untagged; never empty. */
  readonly vlanIds: readonly number[];
  /** `<target dev>`; null before libvirt has made the tap. */
  readonly tap: string | null;
  /** `<bandwidth><outbound average>`, which counts as the limit where the annotation gives none. */
  readonly libvirtLimitBitsPerSecond: number | null;
  /** Whether `<bandwidth>` shapes this tap, which then has libvirt's own qdiscs. */
  readonly hasLibvirtBandwidth: boolean;
}

/** What uplinkd takes from a domain's XML. */
export interface DomainDefinition {
  readonly name: string;
  readonly uuid: string;
  readonly vnics: readonly VnicDefinition[];
  readonly annotation: Annotation | null;
  /** Another manager's metadata namespaces that were seen: nova, oVirt. Such domains are only shaped. */
  readonly owner: string | null;
  /** What is wrong with the annotation, with line and column of the XML in the message. */
  readonly problems: readonly Problem[];
}

/** Where a domain is in its life, as it matters for its vNICs. */
export type DomainPhase =
  /** The hook has announced it; its CPUs don't run yet. */
  | "starting"
  | "running"
  | "paused"
  /** Its memory arrives; it still runs at the source. */
  | "incoming";
