/**
 * A model of the kernel as far as uplinkd can see it: what each step does and when it is refused. It speaks in the
 * objects of src/model/kernel.ts; the lab compares it with a real kernel, step for step
 * (test/lab/stages/kernel/model.test.ts).
 */
import type { KernelSnapshot, TeamDevices } from "../../src/daemon/ports.ts";
import { NetlinkError } from "../../src/model/errors.ts";
import { FILTER_PRIORITY } from "../../src/model/filter-priority.ts";
import { type Conflict, type KernelObject, kernelKey } from "../../src/model/kernel.ts";
import { LAYOUT, MAX_QUEUE_ID } from "../../src/model/layout.ts";
import type { Step } from "../../src/model/step.ts";
import { BOND, type Links, MIIMON_MS } from "./links.ts";

/** include/uapi/asm-generic/errno-base.h */
const EPERM = 1;
const ENOENT = 2;
const EBUSY = 16;
const EEXIST = 17;
const ENODEV = 19;
const EINVAL = 22;

/** Filters in clsact; `control` stands in the HTB. */
const FILTERS: ReadonlySet<KernelObject["kind"]> = new Set([
  "catch-all",
  "vnic",
  "reports",
  "passed-on",
  "forged",
  "declared",
  "host-source",
  "host-match",
  "queue-reset",
  "reflection",
  "redirect",
  "probe-guard",
  "inbound",
  "unknown-filter",
]);

export class KernelModel {
  readonly links: Links;
  /** What carries an owner's mark, and clsact. The rest is the links' own. */
  readonly objects = new Map<string, KernelObject>();
  /** Root qdiscs that aren't ours, by device. */
  readonly foreignRoots = new Map<string, string>();
  /** How many vNIC filters refer to each shared action. */
  readonly #bound = new Map<number, number>();

  constructor(links: Links) {
    this.links = links;
  }

  readKernel(teams: readonly TeamDevices[]): KernelSnapshot {
    const objects = new Map<string, KernelObject>();
    const put = (object: KernelObject) => objects.set(kernelKey(object), object);
    const devices = new Set<string>();
    const conflicts: Conflict[] = [];
    for (const team of teams) {
      devices.add(team.bond);
      if (team.bond === BOND) {
        put({ kind: "bond-option", bond: BOND, updelayMs: this.links.updelayMs });
        put({ kind: "active-port", bond: BOND, port: this.links.activePort });
      }
      for (const name of team.ports) {
        const port = this.links.find(name);
        if (port === undefined) continue;
        devices.add(name);
        put({ kind: "promiscuity", device: name, on: port.promiscuous });
        if (port.inBond) put({ kind: "port-queue", device: name, queueId: port.queueId });
        const root = this.foreignRoots.get(name);
        if (root !== undefined) conflicts.push(foreignRoot(name, root));
      }
    }
    for (const [key, object] of this.objects) {
      if (!("device" in object) || devices.has(object.device)) objects.set(key, object);
    }
    return {
      objects,
      conflicts,
      counters: [],
      sourceCounts: [],
      inboundCounts: [],
      sharedHooks: [],
    };
  }

  /** Does one step as the kernel would. @returns the refusal, or null */
  applyStep(step: Step): NetlinkError | null {
    const errno = step.op === "delete" ? this.#delete(step.object) : this.#set(step);
    if (errno === 0) return null;
    return new NetlinkError(kernelKey(step.object), errno, "", `refused with errno ${errno}`);
  }

  /** Takes a device's qdiscs and filters away, as its end does, and empties what pointed to it. */
  forgetDevice(name: string, ifindex: number): void {
    this.foreignRoots.delete(name);
    for (const object of [...this.objects.values()]) {
      if ("device" in object && object.device === name) this.remove(object);
      // mirred_device_event: the action stays and leads nowhere.
      if (object.kind === "reports" && object.copyTo.includes(ifindex)) {
        const copyTo = object.copyTo.map((to) => (to === ifindex ? 0 : to));
        this.objects.set(kernelKey(object), { ...object, copyTo });
      }
    }
  }

  /** Takes an object away with all that stands on it, whoever does it. */
  remove(object: KernelObject): void {
    const key = kernelKey(object);
    const present = this.objects.get(key);
    if (present === undefined) return;
    this.objects.delete(key);
    if (present.kind === "vnic") this.#bind(present.actionIndex, -1);
    const above = present;
    if (above.kind === "htb" || above.kind === "clsact") {
      for (const [other, below] of this.objects) {
        if (!("device" in below) || below.device !== above.device) continue;
        const goes =
          above.kind === "htb"
            ? below.kind === "class" || below.kind === "leaf" || below.kind === "control"
            : FILTERS.has(below.kind);
        if (!goes) continue;
        this.objects.delete(other);
        if (below.kind === "vnic") this.#bind(below.actionIndex, -1);
      }
    }
    if (above.kind === "class") this.objects.delete(key.replace("class", "leaf"));
  }

  #delete(object: KernelObject): number {
    const present = this.objects.get(kernelKey(object));
    switch (object.kind) {
      case "bond-option":
      case "active-port":
        return 0;
      case "port-queue":
      case "promiscuity":
        if (this.links.find(object.device) === undefined) return 0;
        return this.#setting(
          object.kind === "port-queue" ? { ...object, queueId: 0 } : { ...object, on: false },
        );
      case "uplink-action":
        if ((this.#bound.get(object.index) ?? 0) > 0) return EPERM;
        break;
      case "class":
        if (present !== undefined && this.#isHeld(object.device, object.minor)) return EBUSY;
        break;
      default:
        break;
    }
    // What isn't there is gone, as was wanted.
    if (present !== undefined) this.remove(present);
    return 0;
  }

  #set(step: Step): number {
    const { object } = step;
    const before = step.op === "change" ? step.before : null;
    const { links, objects } = this;
    const key = kernelKey(object);
    const present = objects.get(key);
    if ("device" in object && links.ifindexOf(object.device) === undefined) return ENODEV;
    switch (object.kind) {
      case "bond-option":
      case "active-port":
      case "port-queue":
      case "promiscuity":
        return this.#setting(object);
      case "clsact":
        break;
      case "htb":
        if (before !== null && present !== undefined) this.remove(present);
        else if (present !== undefined) return EINVAL;
        this.foreignRoots.delete(object.device);
        break;
      case "class": {
        const moved = before?.kind === "class" && before.parentMinor !== object.parentMinor;
        if (moved && present !== undefined) {
          if (this.#isHeld(object.device, object.minor)) return EBUSY;
          this.remove(present);
        }
        if (!objects.has(`htb ${object.device}`)) return ENOENT;
        // A change of parent, unasked, is ignored (htb_change_class).
        if (present?.kind === "class" && !moved) {
          objects.set(key, { ...object, parentMinor: present.parentMinor });
          return 0;
        }
        // A parent that isn't there makes it one right below the qdisc (htb_change_class).
        if (object.parentMinor !== null && !this.#hasClass(object.device, object.parentMinor)) {
          objects.set(key, { ...object, parentMinor: null });
          return 0;
        }
        break;
      }
      case "leaf":
        if (!objects.has(`htb ${object.device}`)) return ENOENT;
        if (!this.#hasClass(object.device, object.minor)) return ENOENT;
        break;
      case "uplink-action":
      case "port-action":
        break;
      case "unknown-filter":
        return EINVAL;
      default:
        return this.#setFilter(object, before, present);
    }
    objects.set(key, object);
    return 0;
  }

  #setFilter(
    object: Exclude<KernelObject, { kind: "unknown-filter" }> & { readonly device: string },
    before: KernelObject | null,
    present: KernelObject | undefined,
  ): number {
    const { links, objects } = this;
    const key = kernelKey(object);
    const qdisc = object.kind === "control" ? "htb" : "clsact";
    if (!objects.has(`${qdisc} ${object.device}`)) return EINVAL;
    // A priority has one matchall (mall_change), of whatever version.
    if (object.kind === "catch-all" && objects.has(olderCatchAllKey)) return EEXIST;
    if ("handle" in object) {
      const moves = before !== null && "handle" in before && before.handle !== object.handle;
      if (moves && present !== undefined) this.remove(present);
      // A MAC has one filter (fl_change), a handle too.
      else if (present !== undefined && "handle" in present && present.handle !== object.handle)
        return EEXIST;
    }
    if (object.kind === "vnic") {
      const action = objects.get(`uplink-action ${object.actionIndex.toString(16)}`);
      if (action === undefined) return EINVAL;
      const old = objects.get(key);
      if (old?.kind === "vnic") this.#bind(old.actionIndex, -1);
      this.#bind(object.actionIndex, 1);
    }
    if (object.kind === "reports") {
      const known = new Set(links.read().map((link) => link.ifindex));
      if (present !== undefined) this.remove(present);
      if (object.copyTo.some((to) => !known.has(to))) return ENODEV;
    }
    if (object.kind === "passed-on" || object.kind === "forged" || object.kind === "declared") {
      if (!links.read().some((link) => link.name === object.from)) return ENODEV;
    }
    if (object.kind === "catch-all" || object.kind === "queue-reset") {
      if (before === null && present !== undefined) return EEXIST;
    }
    objects.set(key, object);
    return 0;
  }

  #setting(object: KernelObject): number {
    const { links } = this;
    switch (object.kind) {
      case "bond-option":
        links.updelayMs = object.updelayMs - (object.updelayMs % MIIMON_MS);
        return 0;
      case "active-port": {
        if (object.port === null) return 0;
        const port = links.find(object.port);
        // encodeStep sends nothing for a device that isn't there.
        if (port === undefined) return 0;
        if (!links.canSend(port)) return EINVAL;
        links.activePort = port.name;
        return 0;
      }
      case "port-queue": {
        const port = links.find(object.device);
        const taken = links.ports.some(
          (other) => other !== port && other.inBond && other.queueId === object.queueId,
        );
        if (port === undefined || !port.inBond || object.queueId > MAX_QUEUE_ID) return EINVAL;
        if (object.queueId !== 0 && taken) return EINVAL;
        port.queueId = object.queueId;
        return 0;
      }
      case "promiscuity": {
        const port = links.find(object.device);
        if (port !== undefined) port.promiscuous = object.on;
        return 0;
      }
      default:
        return EINVAL;
    }
  }

  #hasClass(device: string, minor: number): boolean {
    return this.objects.has(`class ${device} 7570:${minor.toString(16)}`);
  }

  /** Whether another class, or a filter, names a class (htb_delete). */
  #isHeld(device: string, minor: number): boolean {
    for (const object of this.objects.values()) {
      if (!("device" in object) || object.device !== device) continue;
      if (object.kind === "class" && object.parentMinor === minor) return true;
      if (object.kind === "control" && object.minor === minor) return true;
    }
    return false;
  }

  #bind(index: number, by: 1 | -1): void {
    this.#bound.set(index, (this.#bound.get(index) ?? 0) + by);
  }
}

function foreignRoot(device: string, found: string): Conflict {
  return {
    device,
    found: `root qdisc ${found}`,
    message: `${device} has root qdisc ${found}, which is not uplinkd's`,
    remedy: `find out who made it; 'tc qdisc del dev ${device} root' removes it`,
    blocking: true,
  };
}

/** The bond's catch-all as another version of uplinkd has made it. */
export const OLDER_CATCH_ALL: KernelObject = {
  kind: "unknown-filter",
  device: BOND,
  hook: "egress",
  priority: FILTER_PRIORITY.catchAll,
  protocol: 3,
  handle: LAYOUT,
  filterKind: "matchall",
};
const olderCatchAllKey = kernelKey(OLDER_CATCH_ALL);
