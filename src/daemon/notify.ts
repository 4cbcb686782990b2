/** sd_notify(3): tells systemd that we are ready, and that we still turn. */
import { AF_UNIX, close, SOCK_DGRAM, send, socket, unixAddress } from "../native/libc.ts";

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

/** sd_listen_fds(3): the first descriptor that systemd passes. */
const FIRST_FD = 3;

/** A listening socket that systemd passed on under this name (FileDescriptorName=), or null. */
export function inheritedSocket(name: string): number | null {
  if (Number(process.env.LISTEN_PID ?? "") !== process.pid) return null;
  const index = (process.env.LISTEN_FDNAMES ?? "").split(":").indexOf(name);
  return index < 0 ? null : FIRST_FD + index;
}
