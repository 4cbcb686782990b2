/** A raw socket that only sends (packet(7)): frames as they are, by an uplink of choice, past the bond. */
import { PacketError } from "../model/errors.ts";
import { CONTROL_MINOR, HTB_MAJOR } from "../model/layout.ts";
import { EPERM, errnoMessage, errnoName } from "../native/errno.ts";
import * as libc from "../native/libc.ts";

/** struct sockaddr_ll. */
const SOCKADDR_LL_BYTES = 20;

export class PacketSocket {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** @throws PacketError without CAP_NET_RAW */
  static open(): PacketSocket {
    // Protocol 0: nothing that comes in is ever queued here.
    const fd = libc.socket(libc.AF_PACKET, libc.SOCK_RAW, 0);
    if (fd < 0) throw refusal("can't be opened", -fd);
    // HTB takes a priority that names one of its classes for that class: past the guests' queues.
    const priority = HTB_MAJOR * 0x10000 + CONTROL_MINOR;
    const result = libc.setSocketOption(fd, libc.SOL_SOCKET, libc.SO_PRIORITY, priority);
    if (result < 0) {
      libc.close(fd);
      throw refusal("can't be put into the control class", -result);
    }
    return new PacketSocket(fd);
  }

  /**
   * Hands a frame to an uplink's queue; never waits.
   * @returns null, or why it didn't leave: the uplink is down or gone, or its queue is full
   */
  send(ifindex: number, frame: Uint8Array): string | null {
    const result = libc.send(this.#fd, frame, linkAddress(ifindex, frame), libc.MSG_DONTWAIT);
    return result < 0 ? `${errnoMessage(-result)} (${errnoName(-result)})` : null;
  }

  close(): void {
    libc.close(this.#fd);
  }
}

/** The uplink, and the frame's own type as the protocol that filters on the way match by. */
export function linkAddress(ifindex: number, frame: Uint8Array): Uint8Array {
  const address = new Uint8Array(SOCKADDR_LL_BYTES);
  const view = new DataView(address.buffer);
  view.setUint16(0, libc.AF_PACKET, true);
  // Network byte order, as in the frame; everything else is in the host's (identical on x86-64 and arm64).
  address.set(frame.subarray(12, 14), 2);
  view.setInt32(4, ifindex, true);
  address[11] = 6;
  address.set(frame.subarray(0, 6), 12);
  return address;
}

function refusal(what: string, errno: number): PacketError {
  const remedy = errno === EPERM ? "; the daemon needs CAP_NET_RAW (see uplinkd.service)" : "";
  return new PacketError(
    "raw socket",
    `${what}: ${errnoMessage(errno)} (${errnoName(errno)})${remedy}`,
  );
}
