/** The daemon's own ports, played in memory: a libvirt with some domains, a kernel that keeps what it is given. */

import { EventLog } from "../../../src/daemon/events.ts";
import { formatLine } from "../../../src/daemon/journald.ts";
import type {
  DomainRunState,
  KernelPort,
  KernelSnapshot,
  LibvirtPort,
} from "../../../src/daemon/ports.ts";
import type { NetlinkError } from "../../../src/model/errors.ts";
import { LibvirtError } from "../../../src/model/errors.ts";
import type { ClassCounters, Conflict, KernelObject } from "../../../src/model/kernel.ts";
import { kernelKey } from "../../../src/model/kernel.ts";
import type { LinkState } from "../../../src/model/link.ts";
import { parseMac } from "../../../src/model/mac.ts";
import type { Step } from "../../../src/model/step.ts";

/** What was done to domains, where that is nothing. */
export const NOTHING_DONE = { pauses: [], migrations: [], refusals: [], holds: [] };

export class FakeLibvirt implements Pick<LibvirtPort, "suspend" | "resume" | "stateOf"> {
  readonly states = new Map<string, DomainRunState>();
  readonly calls: string[] = [];
  /** What the next calls of this name reject with. */
  readonly failures = new Map<string, number>();
  /** Runs in the middle of a call, before its effect. */
  during: () => void = () => undefined;

  async suspend(uuid: string): Promise<void> {
    this.#call("suspend", uuid);
    this.states.set(uuid, "paused");
  }

  async resume(uuid: string): Promise<void> {
    this.#call("resume", uuid);
    this.states.set(uuid, "running");
  }

  async stateOf(uuid: string): Promise<DomainRunState> {
    const left = this.failures.get("stateOf") ?? 0;
    if (left > 0) {
      this.failures.set("stateOf", left - 1);
      throw new LibvirtError(`domain ${uuid}`, "no answer");
    }
    return this.states.get(uuid) ?? "absent";
  }

  #call(name: string, uuid: string): void {
    this.calls.push(`${name} ${uuid}`);
    this.during();
    const left = this.failures.get(name) ?? 0;
    if (left === 0) return;
    this.failures.set(name, left - 1);
    throw new LibvirtError(`domain ${uuid}`, `${name} refused`);
  }
}

/** A bond of eno1 and eno2 in br0, with 10 Gbit/s each. */
export class FakeKernel implements KernelPort {
  objects = new Map<string, KernelObject>();
  conflicts: Conflict[] = [];
  sharedHooks: string[] = [];
  links: LinkState[] = hostLinks();
  /** Every batch that was applied, each step as `op key`. */
  readonly applied: string[][] = [];
  readonly armed = new Map<string, readonly Step[]>();
  counters: ClassCounters[] = [];
  /** Settles before a batch is applied; for what happens meanwhile. */
  hold: Promise<void> = Promise.resolve();
  reads = 0;
  sent = 0;

  reactions(): number {
    return this.sent;
  }

  readLinks(): readonly LinkState[] {
    this.reads += 1;
    return this.links;
  }

  readKernel(): KernelSnapshot {
    const settings: KernelObject[] = [
      { kind: "bond-option", bond: "bond0", updelayMs: 0 },
      { kind: "active-port", bond: "bond0", port: "eno1" },
      ...["eno1", "eno2"].flatMap((device): KernelObject[] => [
        { kind: "promiscuity", device, on: false },
        { kind: "port-queue", device, queueId: 0 },
      ]),
    ];
    const present = new Map(settings.map((object) => [kernelKey(object), object]));
    return {
      objects: new Map([...present, ...this.objects]),
      conflicts: this.conflicts,
      counters: this.counters,
      sourceCounts: [],
      inboundCounts: [],
      sharedHooks: this.sharedHooks,
    };
  }

  readCounters(): readonly ClassCounters[] {
    return this.counters;
  }

  async apply(steps: readonly Step[]): Promise<readonly NetlinkError[]> {
    await this.hold;
    this.applied.push(steps.map((step) => `${step.op} ${kernelKey(step.object)}`));
    for (const { op, object } of steps) {
      if (op === "delete") this.#delete(object);
      else this.objects.set(kernelKey(object), object);
    }
    return [];
  }

  /** What stands on a qdisc goes with it. */
  #delete(object: KernelObject): void {
    this.objects.delete(kernelKey(object));
    const kinds = BELOW[object.kind];
    if (kinds === undefined || !("device" in object)) return;
    for (const [key, other] of this.objects) {
      const isBelow = "device" in other && other.device === object.device;
      if (isBelow && kinds.includes(other.kind)) this.objects.delete(key);
    }
  }

  arm(port: string, steps: readonly Step[]): void {
    this.armed.set(port, steps);
  }
}

const BELOW: Partial<Record<KernelObject["kind"], readonly KernelObject["kind"][]>> = {
  htb: ["class", "leaf", "control"],
  clsact: ["vnic", "catch-all", "reports", "queue-reset", "reflection", "redirect"],
};

function hostLinks(): LinkState[] {
  const nic = (name: string, ifindex: number): LinkState => ({
    name,
    ifindex,
    adminUp: true,
    carrier: true,
    carrierDowns: 0,
    mac: parseMac(`52:55:00:00:00:0${ifindex}`),
    masterIfindex: 9,
    lowerIfindex: null,
    kind: null,
    vlanId: null,
    promiscuous: false,
    txQueues: 1,
    speedBitsPerSecond: 10e9,
    bond: null,
    port: { bondUp: true, queueId: ifindex - 1, active: true, aggregator: null },
  });
  const bond: LinkState = {
    ...nic("bond0", 9),
    masterIfindex: 10,
    kind: "bond",
    txQueues: 16,
    port: null,
    bond: {
      mode: "active-backup",
      activeIfindex: 2,
      primaryIfindex: null,
      miimonMs: 100,
      updelayMs: 0,
      hashPolicy: "layer2",
      activeAggregator: null,
      portOrder: ["eno1", "eno2"],
    },
  };
  const bridge: LinkState = {
    ...nic("br0", 10),
    masterIfindex: null,
    kind: "bridge",
    port: null,
  };
  return [nic("eno1", 2), nic("eno2", 3), bond, bridge];
}

/** A log that a test can read. */
export function fakeLog(): { readonly log: EventLog; readonly lines: string[] } {
  const lines: string[] = [];
  return {
    log: new EventLog(
      () => 0,
      (event) => lines.push(formatLine(event).trimEnd()),
    ),
    lines,
  };
}
