/** The model's domains: what their XML says, whether they run, and who stopped their CPUs last. */
import type { FailoverAction, Priority } from "../../src/model/policy.ts";
import { BRIDGE } from "./links.ts";

/** What a domain's annotation says, as far as the simulation varies it. */
export interface Wish {
  readonly priority: Priority;
  readonly reservationMbit: number;
  readonly limitMbit: number | null;
  readonly inboundMbit: number | null;
  readonly shares: number;
  readonly action: FailoverAction;
  readonly graceMs: number;
}

export type GuestState = "off" | "starting" | "incoming" | "running" | "paused";

export interface Guest {
  readonly name: string;
  readonly uuid: string;
  state: GuestState;
  /** libvirt is busy with its end, and takes no start of it. */
  ending: boolean;
  wish: Wish;
  vnics: readonly string[];
  /** Bits per second that each vNIC wants to send while its CPUs run. */
  demandBitsPerSecond: number;
  /** Who paused it, as long as it is paused. */
  pausedBy: "uplinkd" | "person" | null;
  pausedAtMs: number;
  /** Increases with each change of state by a person, so that who comes second can be told. */
  personTurns: number;
  /** Since when an operator has been told that it is held; null: it isn't, or not for sure. */
  heldSinceMs: number | null;
  /** A person resumed what uplinkd had paused, and its team hasn't been whole since. */
  takenOver: boolean;
}

export function makeGuest(index: number, wish: Wish): Guest {
  return {
    name: `vm${index}`,
    uuid: `00000000-0000-4000-8000-${index.toString(16).padStart(12, "0")}`,
    state: "off",
    ending: false,
    wish,
    vnics: [macOf(index, 0)],
    demandBitsPerSecond: 100e6,
    pausedBy: null,
    pausedAtMs: 0,
    personTurns: 0,
    heldSinceMs: null,
    takenOver: false,
  };
}

/** MAC of a domain's vNIC. */
export function macOf(index: number, vnic: number): string {
  const pair = (value: number) => value.toString(16).padStart(2, "0");
  return `52:54:00:${pair(vnic)}:00:${pair(index)}`;
}

/** As virDomainGetXMLDesc writes it, what uplinkd doesn't read left out. */
export function xmlOf(guest: Guest): string {
  const { wish } = guest;
  const limit = wish.limitMbit === null ? "" : ` limit="${wish.limitMbit}mbit"`;
  const inbound =
    wish.inboundMbit === null ? "" : `<uplink:inbound limit="${wish.inboundMbit}mbit"/>`;
  const interfaces = guest.vnics.map(
    (mac) =>
      `<interface type='bridge'><mac address='${mac}'/><source bridge='${BRIDGE}'/></interface>`,
  );
  return `<domain type='kvm'><name>${guest.name}</name><uuid>${guest.uuid}</uuid><metadata>
<uplink:network xmlns:uplink="urn:uplinkd:domain:1"><uplink:priority>${wish.priority}</uplink:priority>
<uplink:bandwidth reservation="${wish.reservationMbit}mbit"${limit} shares="${wish.shares}"/>${inbound}
<uplink:failover action="${wish.action}" grace="${wish.graceMs}ms"/></uplink:network></metadata>
<devices>${interfaces.join("")}</devices></domain>`;
}
