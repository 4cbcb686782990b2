/**
 * A socket filter (classic BPF, Documentation/networking/filter.rst) that keeps news of our own changes from the
 * event socket: making a thousand vNICs causes nine thousand of them, and waking the monitor for each takes the
 * processor from the thread that makes them. The kernel drops them before they are queued (do_one_broadcast).
 */

/** include/uapi/linux/bpf_common.h: classes, sizes and modes of instructions, as we put them together. */
const LOAD_HALF_ABSOLUTE = 0x28;
const LOAD_WORD_ABSOLUTE = 0x20;
const JUMP_GREATER = 0x25;
const JUMP_GREATER_OR_EQUAL = 0x35;
const JUMP_EQUAL = 0x15;
const RETURN = 0x06;
/** struct sock_filter: code, steps to jump if true, if false, operand. */
const INSTRUCTION_BYTES = 8;
const ALL_BYTES = 0xffffffff;

/** struct nlmsghdr */
const TYPE_OFFSET = 4;
const PORT_ID_OFFSET = 12;
/** RTM_NEWQDISC to the last type of traffic control; see monitor-worker.ts. */
const FIRST_TYPE = 36;
const LAST_TYPE = 51;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, operand: number];

/**
 * The program: drops messages of traffic control that were caused by these sockets, and passes all else.
 * @param portIds see RequestSocket.portId
 */
export function ownEventsFilter(portIds: readonly number[]): Uint8Array {
  // Behind the last comparison comes the passing, and behind that the dropping.
  const toPass = portIds.length;
  return assemble([
    [LOAD_HALF_ABSOLUTE, 0, 0, TYPE_OFFSET],
    // Loads are in network order, netlink is little-endian: a type is in the upper byte here.
    [JUMP_GREATER_OR_EQUAL, 0, toPass + 2, FIRST_TYPE << 8],
    [JUMP_GREATER, toPass + 1, 0, LAST_TYPE << 8],
    [LOAD_WORD_ABSOLUTE, 0, 0, PORT_ID_OFFSET],
    ...portIds.map(
      (portId, index): Instruction => [JUMP_EQUAL, toPass - index, 0, swapped(portId)],
    ),
    [RETURN, 0, 0, ALL_BYTES],
    [RETURN, 0, 0, 0],
  ]);
}

function assemble(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * INSTRUCTION_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [index, [code, ifTrue, ifFalse, operand]] of program.entries()) {
    const at = index * INSTRUCTION_BYTES;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, ifTrue);
    view.setUint8(at + 3, ifFalse);
    view.setUint32(at + 4, operand, true);
  }
  return bytes;
}

function swapped(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value, true);
  return view.getUint32(0);
}
