/** The model's bonds, ports and bridge: carrier, bonding's own view of it, the active port, queue ids. */
import type { LinkState } from "../../src/model/link.ts";
import { parseMac } from "../../src/model/mac.ts";
import type { Cut } from "./network.ts";

export const BRIDGE = "br0";
export const BOND = "bond0";
const BRIDGE_IFINDEX = 1000;
export const BOND_IFINDEX = 1001;
/** Bonding looks at its ports this often. */
export const MIIMON_MS = 100;

/** A path that carries everything. */
export const WHOLE: Cut = { out: false, in: false };

export interface Port {
  readonly name: string;
  ifindex: number;
  /** The device exists. */
  present: boolean;
  inBond: boolean;
  adminUp: boolean;
  cable: boolean;
  /** Frames that get nowhere behind it, whatever its link says. */
  cut: Cut;
  /** The kernel's own count of carrier losses. */
  carrierDowns: number;
  /** Bonding regards it as up: as of its last look. */
  bondUp: boolean;
  promiscuous: boolean;
  queueId: number;
  readonly txQueues: number;
  speedBitsPerSecond: number;
}

export class Links {
  readonly ports: readonly Port[];
  activePort: string | null;
  updelayMs = 0;
  #nextIfindex: number;

  constructor(ports: readonly Pick<Port, "name" | "txQueues" | "speedBitsPerSecond">[]) {
    this.ports = ports.map((port, index) => ({
      ...port,
      ifindex: 2 + index,
      present: true,
      inBond: true,
      adminUp: true,
      cable: true,
      cut: WHOLE,
      carrierDowns: 0,
      bondUp: true,
      promiscuous: false,
      queueId: 0,
    }));
    this.activePort = this.ports[0]?.name ?? null;
    this.#nextIfindex = 2 + ports.length;
  }

  find(name: string): Port | undefined {
    return this.ports.find((port) => port.name === name && port.present);
  }

  /** Undefined where there is no such device now. */
  ifindexOf(name: string): number | undefined {
    if (name === BOND) return BOND_IFINDEX;
    return this.find(name)?.ifindex;
  }

  hasCarrier(port: Port): boolean {
    return port.present && port.adminUp && port.cable;
  }

  /** Whether what is sent by it arrives, and is answered. */
  isIntact(port: Port): boolean {
    return port.inBond && this.hasCarrier(port) && !port.cut.out && !port.cut.in;
  }

  /** Whether the driver sends by it (bond_slave_can_tx). */
  canSend(port: Port): boolean {
    return port.inBond && port.bondUp && this.hasCarrier(port);
  }

  /** bond_mii_monitor: its view of each port, and another active one where that is lost. @returns what changed */
  monitorPorts(): boolean {
    let changed = false;
    for (const port of this.ports) {
      const up = port.inBond && this.hasCarrier(port);
      if (port.bondUp !== up) changed = true;
      port.bondUp = up;
    }
    const active = this.ports.find((port) => port.name === this.activePort);
    if (active !== undefined && this.canSend(active)) return changed;
    const next = this.ports.find((port) => this.canSend(port))?.name ?? null;
    if (next === this.activePort) return changed;
    this.activePort = next;
    return true;
  }

  /** The port that a frame leaves by, given its queue mapping (bond_slave_override); null: none can send. */
  carrierOf(queueMapping: number): Port | null {
    const chosen = this.ports.find(
      (port) => queueMapping > 0 && port.inBond && port.queueId === queueMapping,
    );
    if (chosen !== undefined && this.canSend(chosen)) return chosen;
    const active = this.ports.find((port) => port.name === this.activePort);
    return active !== undefined && this.canSend(active) ? active : null;
  }

  /** Takes a port out of the bond (bond_release): its queue id goes with the membership. */
  release(port: Port): void {
    port.inBond = false;
    port.bondUp = false;
    port.queueId = 0;
    if (this.activePort === port.name) {
      this.activePort = this.ports.find((other) => this.canSend(other))?.name ?? null;
    }
  }

  /** The device comes back with another number, as after a driver's unbind and bind. */
  renew(port: Port): void {
    port.present = true;
    port.ifindex = this.#nextIfindex;
    port.promiscuous = false;
    port.adminUp = true;
    port.carrierDowns = 0;
    this.#nextIfindex += 1;
  }

  read(): readonly LinkState[] {
    const states = this.ports.filter((port) => port.present).map((port) => this.#stateOf(port));
    states.push(
      {
        ...PLAIN,
        name: BOND,
        ifindex: BOND_IFINDEX,
        masterIfindex: BRIDGE_IFINDEX,
        kind: "bond",
        carrier: this.activePort !== null,
        txQueues: 16,
        bond: {
          mode: "active-backup",
          activeIfindex: this.ifindexOf(this.activePort ?? "") ?? null,
          primaryIfindex: null,
          miimonMs: MIIMON_MS,
          updelayMs: this.updelayMs,
          hashPolicy: "layer2",
          activeAggregator: null,
          portOrder: this.ports.filter((port) => port.inBond).map((port) => port.name),
        },
      },
      { ...PLAIN, name: BRIDGE, ifindex: BRIDGE_IFINDEX, kind: "bridge" },
    );
    return states;
  }

  #stateOf(port: Port): LinkState {
    return {
      ...PLAIN,
      name: port.name,
      ifindex: port.ifindex,
      adminUp: port.adminUp,
      carrier: this.hasCarrier(port),
      carrierDowns: port.carrierDowns,
      masterIfindex: port.inBond ? BOND_IFINDEX : null,
      promiscuous: port.promiscuous,
      txQueues: port.txQueues,
      // Drivers know no speed without a carrier.
      speedBitsPerSecond: port.inBond && this.hasCarrier(port) ? port.speedBitsPerSecond : null,
      port: port.inBond
        ? { bondUp: port.bondUp, queueId: port.queueId, active: true, aggregator: null }
        : null,
    };
  }
}

const PLAIN: LinkState = {
  name: "",
  ifindex: 0,
  adminUp: true,
  carrier: true,
  carrierDowns: 0,
  mac: parseMac("52:55:00:00:00:01"),
  masterIfindex: null,
  lowerIfindex: null,
  kind: null,
  vlanId: null,
  promiscuous: false,
  txQueues: 1,
  speedBitsPerSecond: null,
  bond: null,
  port: null,
};
