/**
 * The network behind the links, as probes see it: each uplink's path may be cut in either direction, targets answer or don't,
 * and what is sent from one uplink to another comes in there.
 */
import type { EarPort, FramePort } from "../../src/daemon/ports.ts";
import { type Mac, macBytes, macFromBytes } from "../../src/model/mac.ts";

interface Port {
  readonly mac: Mac;
  readonly answers: { vlanId: number; frame: Uint8Array }[];
  floods: Uint8Array[];
}

/** Which directions of a path are cut. */
export interface Cut {
  readonly out: boolean;
  readonly in: boolean;
}

export class Network implements FramePort {
  /** By ifindex. */
  readonly cuts = new Map<number, Cut>();
  /** Addresses that answer, as their bytes joined by commas. */
  readonly targets = new Set<string>();
  /** Of links that are down; frames to and from them are lost. */
  readonly down = new Set<number>();
  /** Other hosts make themselves heard. */
  flooding = false;
  /** Of each frame that was sent: interface, destination. */
  readonly sent: { readonly ifindex: number; readonly to: Mac; readonly from: Mac }[] = [];
  readonly #ports = new Map<number, Port>();

  listen(ifindex: number, mac: Mac): EarPort {
    const port: Port = { mac, answers: [], floods: [] };
    this.#ports.set(ifindex, port);
    return {
      answers: () => port.answers.splice(0),
      floods: () => {
        const heard = this.flooding && this.#hears(ifindex) ? [FLOOD, ...port.floods] : port.floods;
        port.floods = [];
        return heard;
      },
      close: () => {
        if (this.#ports.get(ifindex) === port) this.#ports.delete(ifindex);
      },
    };
  }

  send(ifindex: number, frame: Uint8Array): string | null {
    const to = macFromBytes(frame.slice(0, 6));
    const from = macFromBytes(frame.slice(6, 12));
    this.sent.push({ ifindex, to, from });
    if (this.down.has(ifindex) || this.cuts.get(ifindex)?.out === true) return null;
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const tagged = view.getUint16(12) === 0x8100;
    const vlanId = tagged ? view.getUint16(14) & 0xfff : 0;
    const body = frame.subarray(tagged ? 18 : 14);
    switch (view.getUint16(tagged ? 16 : 12)) {
      case 0x0806:
        this.#answer(from, vlanId, body.slice(24, 28));
        break;
      default:
        this.#deliver(to, vlanId, untagged(frame, tagged));
    }
    if (to === "ff:ff:ff:ff:ff:ff") {
      for (const [other, port] of this.#ports)
        if (other !== ifindex && this.#hears(other)) port.floods.push(untagged(frame, tagged));
    }
    return null;
  }

  close(): void {
    this.#ports.clear();
  }

  #answer(to: Mac, vlanId: number, address: Uint8Array): void {
    if (!this.targets.has(address.join())) return;
    const frame = new Uint8Array(60);
    const view = new DataView(frame.buffer);
    frame.set(macBytes(to), 0);
    frame.set(macBytes(TARGET_MAC), 6);
    view.setUint16(12, 0x0806);
    view.setUint16(20, 2);
    frame.set(macBytes(TARGET_MAC), 22);
    frame.set(address, 28);
    this.#deliver(to, vlanId, frame);
  }

  #deliver(to: Mac, vlanId: number, frame: Uint8Array): void {
    for (const [ifindex, port] of this.#ports)
      if (port.mac === to && this.#hears(ifindex)) port.answers.push({ vlanId, frame });
  }

  #hears(ifindex: number): boolean {
    return !this.down.has(ifindex) && this.cuts.get(ifindex)?.in !== true;
  }
}

export const TARGET_MAC = "00:00:5e:00:01:01" as Mac;

/** Somebody's broadcast. */
const FLOOD = new Uint8Array(60);
FLOOD.fill(0xff, 0, 6);
FLOOD.set([0x00, 0x1b, 0x21, 1, 2, 3], 6);

function untagged(frame: Uint8Array, tagged: boolean): Uint8Array {
  if (!tagged) return frame;
  const plain = new Uint8Array(frame.length - 4);
  plain.set(frame.subarray(0, 12));
  plain.set(frame.subarray(16), 12);
  return plain;
}
