/** sd_notify(3): tells systemd that we are ready, and that we still turn. */
import { AF_UNIX, close, SOCK_DGRAM, send, socket } from "../native/libc.ts";

/**
 * Sends a state to systemd; does nothing where no supervisor listens.
 * @param state such as `READY=1` or `WATCHDOG=1`
 */
export function notifySupervisor(state: string): void {
  const path = process.env.NOTIFY_SOCKET;
  if (path === undefined || path === "") return;
  const fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0) return;
  send(fd, new TextEncoder().encode(state), unixAddress(path));
  close(fd);
}

/** How often the watchdog is to be fed, milliseconds: half of what it allows; null for no watchdog. */
export function watchdogIntervalMs(): number | null {
  const microseconds = Number(process.env.WATCHDOG_USEC ?? "");
  return Number.isFinite(microseconds) && microseconds > 0 ? microseconds / 2000 : null;
}

/** struct sockaddr_un; a leading @ stands for an abstract name. */
function unixAddress(path: string): Uint8Array {
  const name = new TextEncoder().encode(path);
  if (path.startsWith("@")) name[0] = 0;
  const address = new Uint8Array(2 + name.length + (path.startsWith("@") ? 0 : 1));
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(name, 2);
  return address;
}

/** sd_listen_fds(3): the first descriptor that systemd passes. */
const FIRST_FD = 3;

/** A listening socket that systemd passed on under this name (FileDescriptorName=), or null. */
export function inheritedSocket(name: string): number | null {
  if (Number(process.env.LISTEN_PID ?? "") !== process.pid) return null;
  const index = (process.env.LISTEN_FDNAMES ?? "").split(":").indexOf(name);
  return index < 0 ? null : FIRST_FD + index;
}
