/**
 * What comes in by one uplink, read past the bond and the bridge: a raw socket (packet(7)) taps the device before any
 * filter and before bonding decides (ptype_all comes first in __netif_receive_skb_core), so a bond's inactive port hears,
 * too. What isn't asked for is refused by a socket filter in the kernel and costs no more than that.
 */
import { PacketError } from "../model/errors.ts";
import { type Mac, macBytes } from "../model/mac.ts";
import { EINTR, errnoMessage, errnoName } from "../native/errno.ts";
import * as libc from "../native/libc.ts";

/** include/uapi/linux/if_packet.h */
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_UNICAST = 3;
const ETH_P_ALL = 0x0003;
const SO_RCVBUF = 8;

/** include/uapi/linux/filter.h: SKF_AD_OFF + SKF_AD_VLAN_TAG, where the tag is once the kernel has taken it off. */
const LOAD_VLAN_TAG = 0xfffff000 + 44;
/** include/uapi/linux/bpf_common.h: instructions as we put them together. */
const LOAD_WORD = 0x20;
const LOAD_HALF = 0x28;
const LOAD_BYTE = 0x30;
const AND = 0x54;
const JUMP_EQUAL = 0x15;
const JUMP_SET = 0x45;
const RETURN = 0x06;

/** Enough of a frame for every answer. */
const FRAME_BYTES = 128;
/** Some ten floods between two looks are enough to know; what comes then is dropped before it costs more. */
const FLOODS_BUFFER_BYTES = 16 << 10;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, operand: number];

/** All that one uplink hears. */
export class Ears {
  readonly #answers: readonly { readonly vlanId: number; readonly ear: Ear }[];
  readonly #floods: Ear;

  private constructor(
    answers: readonly { readonly vlanId: number; readonly ear: Ear }[],
    floods: Ear,
  ) {
    this.#answers = answers;
    this.#floods = floods;
  }

  /** @param mac that its probes come from @throws PacketError where the device is gone, or without CAP_NET_RAW */
  static open(ifindex: number, mac: Mac, vlanIds: readonly number[]): Ears {
    const answers: { vlanId: number; ear: Ear }[] = [];
    try {
      for (const vlanId of vlanIds)
        answers.push({ vlanId, ear: Ear.forAnswers(ifindex, mac, vlanId) });
      return new Ears(answers, Ear.forFloods(ifindex));
    } catch (error) {
      for (const { ear } of answers) ear.close();
      throw error;
    }
  }

  /** Frames to the probes' MAC since the last call. */
  answers(): readonly { readonly vlanId: number; readonly frame: Uint8Array }[] {
    return this.#answers.flatMap(({ vlanId, ear }) =>
      ear.hear().map((frame) => ({ vlanId, frame })),
    );
  }

  /** Frames to groups since the last call; the first few of many. */
  floods(): readonly Uint8Array[] {
    return this.#floods.hear();
  }

  close(): void {
    for (const { ear } of this.#answers) ear.close();
    this.#floods.close();
  }
}

class Ear {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(FRAME_BYTES);

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Hears frames to one MAC in one VLAN. The NIC takes them in whether it is promiscuous or not.
   * @param vlanId 0 for untagged
   * @throws PacketError where the device is gone, or without CAP_NET_RAW
   */
  static forAnswers(ifindex: number, mac: Mac, vlanId: number): Ear {
    const ear = Ear.#open(ifindex, answersFilter(mac, vlanId), null);
    // struct packet_mreq: goes with the socket, so there is nothing to put back.
    const request = new Uint8Array(16);
    const view = new DataView(request.buffer);
    view.setInt32(0, ifindex, true);
    view.setUint16(4, PACKET_MR_UNICAST, true);
    view.setUint16(6, 6, true);
    request.set(macBytes(mac), 8);
    const result = libc.setSocketOptionBytes(ear.#fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, request);
    if (result < 0) {
      ear.close();
      throw refusal("can't be given the probes' MAC", -result);
    }
    return ear;
  }

  /** Hears that there is anything to hear: floods, but not what switches say to their neighbour only. @throws PacketError */
  static forFloods(ifindex: number): Ear {
    return Ear.#open(ifindex, floodsFilter(), FLOODS_BUFFER_BYTES);
  }

  static #open(ifindex: number, filter: Uint8Array, bufferBytes: number | null): Ear {
    // Protocol 0 until the filter stands: nothing is queued that it would refuse.
    const fd = libc.socket(libc.AF_PACKET, libc.SOCK_RAW, 0);
    if (fd < 0) throw refusal("can't be opened", -fd);
    const address = new Uint8Array(20);
    const view = new DataView(address.buffer);
    view.setUint16(0, libc.AF_PACKET, true);
    view.setUint16(2, ETH_P_ALL);
    view.setInt32(4, ifindex, true);
    const results = [
      libc.attachFilter(fd, filter),
      libc.setSocketOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1),
      bufferBytes === null ? 0 : libc.setSocketOption(fd, libc.SOL_SOCKET, SO_RCVBUF, bufferBytes),
      libc.bind(fd, address),
    ];
    const failed = results.find((result) => result < 0);
    if (failed === undefined) return new Ear(fd);
    libc.close(fd);
    throw refusal("can't be bound", -failed);
  }

  /** What has come since the last call, each frame's beginning; never waits. */
  hear(): readonly Uint8Array[] {
    const heard: Uint8Array[] = [];
    for (;;) {
      const length = libc.receive(this.#fd, this.#buffer, libc.MSG_DONTWAIT);
      if (length === -EINTR) continue;
      // EAGAIN, or ENETDOWN where the link was taken down: nothing more in any case.
      if (length < 0) return heard;
      heard.push(this.#buffer.slice(0, length));
    }
  }

  close(): void {
    libc.close(this.#fd);
  }
}

/** Passes frames to `mac` in the VLAN. Most frames fail at the first comparison. */
export function answersFilter(mac: Mac, vlanId: number): Uint8Array {
  const view = new DataView(macBytes(mac).buffer);
  return assemble([
    [LOAD_WORD, 0, 0, 2],
    [JUMP_EQUAL, 0, 6, view.getUint32(2)],
    [LOAD_HALF, 0, 0, 0],
    [JUMP_EQUAL, 0, 4, view.getUint16(0)],
    [LOAD_WORD, 0, 0, LOAD_VLAN_TAG],
    [AND, 0, 0, 0xfff],
    [JUMP_EQUAL, 0, 1, vlanId],
    [RETURN, 0, 0, FRAME_BYTES],
    [RETURN, 0, 0, 0],
  ]);
}

/** Passes frames to groups, less 01:80:c2:00:00:00 to :0f: a port that forwards nothing still has STP and LLDP. */
export function floodsFilter(): Uint8Array {
  return assemble([
    [LOAD_BYTE, 0, 0, 0],
    [JUMP_SET, 0, 6, 1],
    [LOAD_WORD, 0, 0, 0],
    [JUMP_EQUAL, 0, 3, 0x0180c200],
    [LOAD_HALF, 0, 0, 4],
    [AND, 0, 0, 0xfff0],
    [JUMP_EQUAL, 1, 0, 0],
    [RETURN, 0, 0, FRAME_BYTES],
    [RETURN, 0, 0, 0],
  ]);
}

function assemble(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [index, [code, ifTrue, ifFalse, operand]] of program.entries()) {
    view.setUint16(index * 8, code, true);
    view.setUint8(index * 8 + 2, ifTrue);
    view.setUint8(index * 8 + 3, ifFalse);
    view.setUint32(index * 8 + 4, operand, true);
  }
  return bytes;
}

function refusal(what: string, errno: number): PacketError {
  return new PacketError("probe socket", `${what}: ${errnoMessage(errno)} (${errnoName(errno)})`);
}
