/** What libvirt tells of domains, parsed from libvirt-dbus's signals. */
import { ANNOTATION_NAMESPACE } from "./annotation.ts";
import type { LibvirtSignal } from "./connection.ts";
import { uuidFromPath } from "./domain.ts";

/** Details by number of each lifecycle event (libvirt: virDomainEvent*DetailType). */
const LIFECYCLES = [
  { name: "defined", details: ["added", "updated", "renamed", "from-snapshot"] },
  { name: "undefined", details: ["removed", "renamed"] },
  { name: "started", details: ["booted", "migrated", "restored", "from-snapshot", "wakeup"] },
  {
    name: "suspended",
    details: [
      "paused",
      "migrated",
      "io-error",
      "watchdog",
      "restored",
      "from-snapshot",
      "api-error",
      "postcopy",
      "postcopy-failed",
    ],
  },
  {
    name: "resumed",
    details: ["unpaused", "migrated", "from-snapshot", "postcopy", "postcopy-failed"],
  },
  {
    name: "stopped",
    details: ["shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from-snapshot"],
  },
  { name: "shutdown", details: ["finished", "guest", "host"] },
  { name: "pmsuspended", details: ["memory", "disk"] },
  { name: "crashed", details: ["panicked", "crashloaded"] },
] as const;

export type Lifecycle = (typeof LIFECYCLES)[number]["name"];

export type LibvirtEvent =
  | {
      readonly type: "lifecycle";
      readonly uuid: string;
      readonly event: Lifecycle;
      /** libvirt's word for why: `booted`, `migrated`, `paused`; `unknown` for one newer than this list. */
      readonly detail: string;
    }
  /** Its annotation or its devices are others now: read its XML again. */
  | { readonly type: "changed"; readonly uuid: string; readonly what: "annotation" | "devices" }
  /** Events may have been lost: read everything again. */
  | { readonly type: "resync"; readonly why: string }
  /** libvirt can't be asked, and tells nothing. Enforcement goes on. */
  | { readonly type: "down"; readonly why: string }
  /** It answers again; a resync follows. */
  | { readonly type: "up" };

/** @returns null for a signal that doesn't matter */
export function parseSignal(signal: LibvirtSignal): LibvirtEvent | null {
  const { body } = signal;
  switch (`${signal.interface}.${signal.member}`) {
    case "org.libvirt.Connect.DomainEvent":
      return parseLifecycle(body);
    case "org.libvirt.Domain.MetadataChange":
      // [type, uri]; type 2 is an element of another namespace (VIR_DOMAIN_METADATA_ELEMENT).
      if (body[0] !== 2 || body[1] !== ANNOTATION_NAMESPACE) return null;
      return parseChange(signal.path, "annotation");
    case "org.libvirt.Domain.DeviceAdded":
    case "org.libvirt.Domain.DeviceRemoved":
      // The alias doesn't tell a NIC for sure: users may choose it.
      return parseChange(signal.path, "devices");
    default:
      return null;
  }
}

function parseLifecycle([path, event, detail]: readonly unknown[]): LibvirtEvent | null {
  const uuid = uuidFromPath(path);
  const lifecycle = typeof event === "number" ? LIFECYCLES[event] : undefined;
  if (uuid === null || lifecycle === undefined) return null;
  const details: readonly string[] = lifecycle.details;
  const word = typeof detail === "number" ? details[detail] : undefined;
  return { type: "lifecycle", uuid, event: lifecycle.name, detail: word ?? "unknown" };
}

function parseChange(path: string, what: "annotation" | "devices"): LibvirtEvent | null {
  const uuid = uuidFromPath(path);
  return uuid === null ? null : { type: "changed", uuid, what };
}
