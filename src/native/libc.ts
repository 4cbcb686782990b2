/**
 * The few calls of the C library that Node lacks: datagram sockets of any family, poll, eventfd. Every function
 * returns what the call returns, or -errno as the kernel itself writes it, so that the hot paths make no objects;
 * callers turn that into errors that name what they were doing. All calls are synchronous.
 */
import koffi from "koffi";

/** Address families, types and options, as in the kernel's headers (identical on x86-64 and arm64). */
export const AF_UNIX = 1;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_PRIORITY = 12;
export const SO_RCVTIMEO = 20;
const SO_ATTACH_FILTER = 26;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const POLLIN = 1;
export const EFD_CLOEXEC = 0o2000000;
export const EFD_NONBLOCK = 0o4000;
const MADV_DONTNEED = 4;

const libc = koffi.load(null);
const sockFprog = koffi.struct("sock_fprog", { len: "uint16_t", filter: "const void *" });
const calls = {
  socket: libc.func("int socket(int, int, int)") as (a: number, b: number, c: number) => number,
  bind: libc.func("int bind(int, const void *, uint32_t)") as (
    fd: number,
    address: Uint8Array,
    length: number,
  ) => number,
  getsockname: libc.func("int getsockname(int, void *, void *)") as (
    fd: number,
    address: Uint8Array,
    length: Uint8Array,
  ) => number,
  setsockopt: libc.func("int setsockopt(int, int, int, const void *, uint32_t)") as (
    fd: number,
    level: number,
    name: number,
    value: Uint8Array,
    length: number,
  ) => number,
  attachFilter: libc.func("int setsockopt(int, int, int, const sock_fprog *, uint32_t)") as (
    fd: number,
    level: number,
    name: number,
    program: { readonly len: number; readonly filter: Uint8Array },
    length: number,
  ) => number,
  madvise: libc.func("int madvise(uintptr_t, size_t, int)") as (
    start: number,
    bytes: number,
    advice: number,
  ) => number,
  sendto: libc.func("intptr_t sendto(int, const void *, size_t, int, const void *, uint32_t)") as (
    fd: number,
    data: Uint8Array,
    length: number,
    flags: number,
    address: Uint8Array | null,
    addressLength: number,
  ) => number,
  recv: libc.func("intptr_t recv(int, void *, size_t, int)") as (
    fd: number,
    data: Uint8Array,
    length: number,
    flags: number,
  ) => number,
  poll: libc.func("int poll(void *, unsigned long, int)") as (
    fds: Uint8Array,
    count: number,
    timeoutMs: number,
  ) => number,
  eventfd: libc.func("int eventfd(unsigned int, int)") as (value: number, flags: number) => number,
  read: libc.func("intptr_t read(int, void *, size_t)") as (
    fd: number,
    data: Uint8Array,
    length: number,
  ) => number,
  write: libc.func("intptr_t write(int, const void *, size_t)") as (
    fd: number,
    data: Uint8Array,
    length: number,
  ) => number,
  close: libc.func("int close(int)") as (fd: number) => number,
};
/** The GNU C library's own; others give back what is free by themselves. */
const mallocTrim = findMallocTrim();

/** socket(2); SOCK_CLOEXEC is always added, children must not inherit our sockets. */
export function socket(family: number, type: number, protocol: number): number {
  return orErrno(calls.socket(family, type | SOCK_CLOEXEC, protocol));
}

/** bind(2) to a sockaddr given as its bytes. */
export function bind(fd: number, address: Uint8Array): number {
  return orErrno(calls.bind(fd, address, address.length));
}

/** struct sockaddr_un; a leading @ stands for an abstract name. */
export function unixAddress(path: string): Uint8Array {
  const name = new TextEncoder().encode(path);
  if (path.startsWith("@")) name[0] = 0;
  const address = new Uint8Array(2 + name.length + (path.startsWith("@") ? 0 : 1));
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  return address;
}

/** getsockname(2): fills `address`; returns the length of the name. */
export function socketName(fd: number, address: Uint8Array): number {
  const length = new Uint8Array(4);
  const view = new DataView(length.buffer);
  view.setUint32(0, address.length, true);
  const result = orErrno(calls.getsockname(fd, address, length));
  return result < 0 ? result : view.getUint32(0, true);
}

/** setsockopt(2) with an int, which is what nearly every option takes. */
export function setSocketOption(fd: number, level: number, name: number, value: number): number {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return setSocketOptionBytes(fd, level, name, bytes);
}

/** setsockopt(2) with a struct given as its bytes. */
export function setSocketOptionBytes(
  fd: number,
  level: number,
  name: number,
  value: Uint8Array,
): number {
  return orErrno(calls.setsockopt(fd, level, name, value, value.length));
}

/** SO_ATTACH_FILTER: what the program (struct sock_filter, 8 bytes an instruction) rejects is never queued. */
export function attachFilter(fd: number, program: Uint8Array): number {
  const value = { len: program.length / 8, filter: program };
  return orErrno(
    calls.attachFilter(fd, SOL_SOCKET, SO_ATTACH_FILTER, value, koffi.sizeof(sockFprog)),
  );
}

/** SO_RCVTIMEO: a recv that waits longer returns -EAGAIN. */
export function setReceiveTimeout(fd: number, timeoutMs: number): number {
  const timeval = new Uint8Array(16);
  const view = new DataView(timeval.buffer);
  view.setBigInt64(0, BigInt(Math.floor(timeoutMs / 1000)), true);
  view.setBigInt64(8, BigInt((timeoutMs % 1000) * 1000), true);
  return setSocketOptionBytes(fd, SOL_SOCKET, SO_RCVTIMEO, timeval);
}

/** sendto(2), or send(2) where `address` is null; never raises SIGPIPE. */
export function send(
  fd: number,
  data: Uint8Array,
  address: Uint8Array | null = null,
  flags = 0,
): number {
  return orErrno(
    calls.sendto(fd, data, data.length, flags | MSG_NOSIGNAL, address, address?.length ?? 0),
  );
}

/** recv(2). With MSG_TRUNC the result is the datagram's real length, which may exceed the buffer's. */
export function receive(fd: number, buffer: Uint8Array, flags = 0): number {
  return orErrno(calls.recv(fd, buffer, buffer.length, flags));
}

/**
 * poll(2) for reading. Blocks the calling thread: only for worker threads, or with a timeout of 0.
 * @returns one flag per descriptor (readable, or in error), or -errno
 */
export function pollReadable(fds: readonly number[], timeoutMs: number): boolean[] | number {
  const bytes = new Uint8Array(fds.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [index, fd] of fds.entries()) {
    view.setInt32(index * 8, fd, true);
    view.setInt16(index * 8 + 4, POLLIN, true);
  }
  const result = orErrno(calls.poll(bytes, fds.length, timeoutMs));
  if (result < 0) return result;
  return fds.map((_, index) => view.getInt16(index * 8 + 6, true) !== 0);
}

/** eventfd(2), non-blocking: the way to wake a thread that sits in poll. */
export function eventDescriptor(): number {
  return orErrno(calls.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

const ONE = new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]);
const eightBytes = new Uint8Array(8);

/** Makes an eventfd readable. */
export function signalEvent(fd: number): number {
  return orErrno(calls.write(fd, ONE, 8));
}

/** Makes an eventfd unreadable again. */
export function clearEvent(fd: number): number {
  return orErrno(calls.read(fd, eightBytes, 8));
}

/** close(2). */
export function close(fd: number): number {
  return orErrno(calls.close(fd));
}

function orErrno(result: number): number {
  return result >= 0 ? result : -koffi.errno();
}

/**
 * malloc_trim(3): gives free memory in the middle of the C library's heap back, too.
 * @returns whether there was any; false where there is no such call
 */
export function trimHeap(): boolean {
  return mallocTrim?.(0) === 1;
}

/**
 * madvise(2), MADV_DONTNEED: unmaps pages, which of a file are read from it again when they are next used. Only for ranges
 * whose every page is a file's: others would be zeroes then.
 * @returns 0, or -errno
 */
export function dropPages(start: number, bytes: number): number {
  return orErrno(calls.madvise(start, bytes, MADV_DONTNEED));
}

function findMallocTrim(): ((padBytes: number) => number) | null {
  try {
    return libc.func("int malloc_trim(size_t)") as (padBytes: number) => number;
  } catch {
    return null;
  }
}
