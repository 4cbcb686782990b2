/** The kernel's side of the daemon: rtnetlink, and sysfs for speeds. */
import { readFileSync } from "node:fs";
import { applySteps, compileSteps } from "../apply/kernel.ts";
import { SYSTEM_CLOCK } from "../model/clock.ts";
import type { NetlinkError } from "../model/errors.ts";
import type { ClassCounters, Conflict } from "../model/kernel.ts";
import type { LinkState } from "../model/link.ts";
import type { Mac } from "../model/mac.ts";
import type { Step } from "../model/step.ts";
import {
  type DumpedKernel,
  dumpCounters,
  dumpLinks,
  dumpTrafficControl,
  linkObjects,
  withObjects,
} from "../netlink/dump.ts";
import type { Link } from "../netlink/link.ts";
import { Monitor, type MonitorEvent } from "../netlink/monitor.ts";
import { RequestSocket } from "../netlink/socket.ts";
import type { KernelPort, KernelSnapshot, Reading, TeamDevices } from "./ports.ts";
import { Recent } from "./recent.ts";
import { makerOf } from "./suspects.ts";

export interface KernelListener {
  /** Links changed; the loop has to look. */
  readonly onLink: (reason: string) => void;
  /** Somebody else changed qdiscs, classes, filters or actions. */
  readonly onTrafficControl: () => void;
  /** A prepared reaction was sent. @param microseconds from the event's arrival to the last byte handed over */
  readonly onReacted: (port: string, microseconds: number, refused: number) => void;
  readonly onOverrun: () => void;
  /** No events come any more; only the timed look is left. */
  readonly onFailed: (message: string) => void;
}

/** From so many steps on, looking at everything once more costs less than the kernel's notifications of each. */
const MANY_STEPS = 2000;

export class LinuxKernel implements KernelPort {
  readonly #socket: RequestSocket;
  readonly #monitor: Monitor;
  #links: readonly Link[] = [];
  /** Traffic control as it was read to be kept. */
  readonly #recent = new Recent<DumpedKernel>(SYSTEM_CLOCK);
  /** No events come any more. */
  #deaf = false;
  readonly #armed = new Set<number>();

  private constructor(socket: RequestSocket, monitor: Monitor) {
    this.#socket = socket;
    this.#monitor = monitor;
  }

  /** @throws NetlinkError if the sockets can't be had */
  static async open(listener: KernelListener): Promise<LinuxKernel> {
    const socket = RequestSocket.open();
    let kernel: LinuxKernel | null = null;
    const monitor = await Monitor.start([socket.portId], (event) =>
      kernel?.receive(event, listener),
    );
    kernel = new LinuxKernel(socket, monitor);
    return kernel;
  }

  readLinks(): readonly LinkState[] {
    this.#links = dumpLinks(this.#socket);
    return this.#links.map(toState);
  }

  readKernel(teams: readonly TeamDevices[], reading: Reading = "anew"): KernelSnapshot {
    const mark = this.#markOf(teams);
    const kept = reading === "as kept" && !this.#deaf ? this.#recent.take(mark) : null;
    const dumped = kept ?? dumpTrafficControl(this.#socket, this.#links, teams);
    if (reading === "to keep") this.#recent.keep(dumped, mark);
    return {
      objects: withObjects(dumped.objects, linkObjects(this.#links, teams)),
      conflicts: dumped.foreign.map(withMaker),
      counters: dumped.counters,
      sourceCounts: dumped.sourceCounts,
      inboundCounts: dumped.inboundCounts,
      sharedHooks: [...new Set(dumped.foreignFilters.map((filter) => filter.device))],
    };
  }

  /** Of which devices something is read, and what had been told of changes until then: by others, and by prepared plans. */
  #markOf(teams: readonly TeamDevices[]): string {
    const places = teams.flatMap(({ bond, ports }) =>
      [bond, ...ports].map((name) => `${name} ${this.#ifindexOf(name)}`),
    );
    return `${places.join(" ")} ${this.#monitor.changes} ${this.#monitor.reactions}`;
  }

  readCounters(teams: readonly TeamDevices[]): readonly ClassCounters[] {
    const ports = new Set(teams.flatMap((team) => team.ports));
    return dumpCounters(
      this.#socket,
      this.#links.filter((link) => ports.has(link.name)),
    );
  }

  apply(steps: readonly Step[]): Promise<readonly NetlinkError[]> {
    this.#recent.forget();
    const apply = () => applySteps(steps, this.#socket, (name) => this.#ifindexOf(name));
    return steps.length < MANY_STEPS ? apply() : this.#monitor.withoutTrafficControl(apply);
  }

  arm(port: string, steps: readonly Step[]): void {
    const ifindex = this.#ifindexOf(port);
    if (ifindex === undefined) return;
    if (steps.length > 0) {
      this.#armed.add(ifindex);
      this.#monitor.arm(
        ifindex,
        compileSteps(steps, (name) => this.#ifindexOf(name)),
      );
    } else if (this.#armed.delete(ifindex)) this.#monitor.disarm(ifindex);
  }

  /** MACs of all devices, as of the last look. */
  macs(): ReadonlySet<Mac> {
    return new Set(this.#links.flatMap(({ address }) => (address === null ? [] : [address])));
  }

  /** Sends what lies ready for a port whose path is dead although its link is up. @returns whether anything lay there */
  react(port: string): boolean {
    const ifindex = this.#ifindexOf(port);
    if (ifindex === undefined || !this.#armed.delete(ifindex)) return false;
    this.#recent.forget();
    this.#monitor.react(ifindex);
    return true;
  }

  reactions(): number {
    return this.#monitor.reactions;
  }

  close(): Promise<void> {
    this.#recent.forget();
    return this.#monitor.close();
  }

  receive(event: MonitorEvent, listener: KernelListener): void {
    switch (event.type) {
      case "link":
        listener.onLink(`link ${event.link.name} ${event.removed ? "gone" : "changed"}`);
        return;
      case "tc":
        listener.onTrafficControl();
        return;
      case "overrun":
        listener.onOverrun();
        listener.onLink("events were lost");
        return;
      case "reacted": {
        const name = this.#links.find((link) => link.ifindex === event.ifindex)?.name;
        const microseconds = Number(event.sentAtNs - event.eventAtNs) / 1000;
        listener.onReacted(
          name ?? `${event.ifindex}`,
          Math.round(microseconds),
          event.errors.length,
        );
        return;
      }
      case "failed":
        this.#deaf = true;
        listener.onFailed(event.message);
    }
  }

  #ifindexOf(name: string): number | undefined {
    return this.#links.find((link) => link.name === name)?.ifindex;
  }
}

/** A person looks for who made it: what is known of such ones helps. */
function withMaker(conflict: Conflict): Conflict {
  const maker = makerOf(conflict.found);
  return maker === "" ? conflict : { ...conflict, remedy: `${conflict.remedy}; ${maker}` };
}

function toState(link: Link): LinkState {
  const { bond, bondPort } = link;
  return {
    name: link.name,
    ifindex: link.ifindex,
    adminUp: link.adminUp,
    carrier: link.carrier,
    carrierDowns: link.carrierDownCount,
    mac: link.address,
    masterIfindex: link.masterIfindex === 0 ? null : link.masterIfindex,
    lowerIfindex: link.lowerIfindex === 0 ? null : link.lowerIfindex,
    kind: link.kind === "" ? null : link.kind,
    vlanId: link.vlanId,
    promiscuous: link.promiscuous,
    txQueues: link.txQueues,
    speedBitsPerSecond: bondPort === null ? null : readSpeed(link.name),
    bond:
      bond === null
        ? null
        : {
            mode: bond.mode,
            activeIfindex: bond.activeIfindex === 0 ? null : bond.activeIfindex,
            primaryIfindex: bond.primaryIfindex === 0 ? null : bond.primaryIfindex,
            miimonMs: bond.miimonMs,
            updelayMs: bond.updelayMs,
            hashPolicy: bond.hashPolicy,
            activeAggregator: bond.activeAggregator,
            portOrder: readPortOrder(link.name),
          },
    // BOND_LINK_UP is 0.
    port:
      bondPort === null
        ? null
        : {
            bondUp: bondPort.miiStatus === 0,
            queueId: bondPort.queueId,
            active: bondPort.active,
            aggregator: bondPort.aggregator,
          },
  };
}

/** Netlink lists ports by their numbers, sysfs in the bond's own order (bonding_show_slaves). */
function readPortOrder(bond: string): readonly string[] {
  try {
    const text = readFileSync(`/sys/class/net/${bond}/bonding/slaves`, "latin1");
    return text.split(/\s+/).filter((name) => name !== "");
  } catch {
    return [];
  }
}

/** The driver's speed of last resort: null without carrier, and where the driver doesn't know (virtio). */
function readSpeed(name: string): number | null {
  try {
    const mbit = Number(readFileSync(`/sys/class/net/${name}/speed`, "latin1"));
    return Number.isFinite(mbit) && mbit > 0 ? mbit * 1e6 : null;
  } catch {
    return null;
  }
}
