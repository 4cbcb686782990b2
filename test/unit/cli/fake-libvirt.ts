/** libvirt as far as uplinkctl changes it: domains with a live and a stored XML, and their metadata. */
import type { LibvirtCall } from "../../../src/libvirt/connection.ts";
import { LibvirtError } from "../../../src/model/errors.ts";

export const WEB1_MAC = "52:54:00:00:00:01";
const UUID = "11111111-2222-3333-4444-555555555555";
const PATH = `/org/libvirt/QEMU/domain/_${UUID.replaceAll("-", "_")}`;

/** One domain, web1. */
export class FakeLibvirtDomain {
  /** By what it is of; as libvirt writes it, prefixes and all. */
  readonly metadata = { live: "", stored: "" };
  active = true;
  persistent = true;
  readonly written: string[] = [];
  closed = 0;

  readonly call = async ({ body = [], member, object, path }: LibvirtCall): Promise<unknown> => {
    switch (member) {
      case "DomainLookupByName":
        if (body[0] === "web1") return PATH;
        throw new LibvirtError(object, "Domain not found", "resync");
      case "ListDomains":
        return (body[0] === 1 ? this.active : this.persistent) ? [PATH] : [];
      case "GetAllDomainStats":
        return [["web1", { "state.state": 1, "state.reason": 1 }]];
      case "GetXMLDesc":
        return this.#xml(body[0] === 2 ? "stored" : "live");
      case "SetMetadata":
        if (body[1] === "")
          throw new LibvirtError(object, "(metadata_xml):1: Document is empty", "never");
        return this.#set(String(body[1]), body[4] === 1 ? "live" : "stored");
      default:
        throw new Error(`${member} of ${path} isn't played`);
    }
  };

  readonly close = () => {
    this.closed += 1;
  };

  #xml(which: "live" | "stored"): string {
    return `<domain type='kvm'><name>web1</name><uuid>${UUID}</uuid>
<metadata>${this.metadata[which]}</metadata>
<devices><interface type='bridge'><mac address='${WEB1_MAC}'/><source bridge='br0'/></interface></devices></domain>`;
  }

  /** As libvirt does: the namespace goes into the root, its prefix before every name. */
  #set(text: string, which: "live" | "stored"): void {
    this.written.push(which);
    this.metadata[which] = text
      .replaceAll(/(<\/?)([a-z])/g, "$1uplink:$2")
      .replace("<uplink:network", '<uplink:network xmlns:uplink="urn:uplinkd:domain:1"');
  }
}
