/** Names of errors as the kernel and strace(1) write them. */
import { constants } from "node:os";
import { getSystemErrorMessage } from "node:util";

export const EPERM = 1;
export const ENOENT = 2;
export const EINTR = 4;
export const EAGAIN = 11;
export const ENODEV = 19;
export const EINVAL = 22;
export const ENOBUFS = 105;

const NAMES: ReadonlyMap<number, string> = new Map(
  // EWOULDBLOCK and EOPNOTSUPP are second names of others; the first one that is listed stays.
  Object.entries(constants.errno)
    .reverse()
    .map(([name, value]) => [value, name]),
);

/** `ENOENT` for 2; `errno 524` where Node knows no name. */
export function errnoName(errno: number): string {
  return NAMES.get(errno) ?? `errno ${errno}`;
}

/** The C library's words: `no such file or directory`. */
export function errnoMessage(errno: number): string {
  return NAMES.has(errno) ? getSystemErrorMessage(-errno) : `errno ${errno}`;
}
