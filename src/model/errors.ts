/**
 * Errors as data: each names the object, the cause and whether trying again can help. They are logged once,
 * at the loop. An unmet reservation is no error but a result in the plan.
 */

/** never: the input has to change. backoff: try again later. resync: read the world anew, then plan. */
export type Retry = "never" | "backoff" | "resync";

/** The base of all errors that uplinkd raises on purpose. */
export abstract class UplinkError extends Error {
  abstract readonly kind: string;
  abstract readonly retry: Retry;
  /** What it is about: a file, a device, a domain. */
  readonly object: string;

  constructor(object: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.object = object;
    this.name = new.target.name;
  }
}

/** A policy, configuration, scenario or annotation that can't be used as it is written. */
export class PolicyError extends UplinkError {
  readonly kind = "policy";
  readonly retry = "never";
  readonly file: string;
  /** 1-based; 0 where the place is not known. */
  readonly line: number;
  readonly column: number;
  /** The path of keys to the value: `failover.grace`. */
  readonly path: string;

  constructor(at: { file: string; line: number; column: number; path: string }, message: string) {
    super(at.file, message);
    this.file = at.file;
    this.line = at.line;
    this.column = at.column;
    this.path = at.path;
  }

  /** `FILE:LINE:COLUMN: path: message`, as compilers write it. */
  describe(): string {
    const where = this.line > 0 ? `${this.file}:${this.line}:${this.column}` : this.file;
    return `${where}: ${this.path === "" ? "" : `${this.path}: `}${this.message}`;
  }
}

/** Everything that is wrong with a set of files, so that a person mends it in one go. Never empty. */
export class PolicyErrors extends UplinkError {
  readonly kind = "policy";
  readonly retry = "never";
  readonly errors: readonly PolicyError[];

  constructor(object: string, errors: readonly PolicyError[]) {
    super(object, errors.map((error) => error.describe()).join("\n"));
    this.errors = errors;
  }
}

/** The kernel refused a request, or its answer could not be read. */
export class NetlinkError extends UplinkError {
  readonly kind = "netlink";
  readonly retry: Retry;
  /** A positive errno, or 0 where the message itself was malformed. */
  readonly errno: number;
  /** The kernel's own words (NLMSGERR_ATTR_MSG), or "". */
  readonly extAck: string;

  constructor(
    object: string,
    errno: number,
    extAck: string,
    message: string,
    retry: Retry = "resync",
  ) {
    super(object, message);
    this.errno = errno;
    this.extAck = extAck;
    this.retry = retry;
  }
}

/** A raw socket could not be had: without it nothing is announced, and all else goes on. */
export class PacketError extends UplinkError {
  readonly kind = "packet";
  readonly retry = "never";
}

/** libvirt, libvirt-dbus or the bus refused, or did not answer. */
export class LibvirtError extends UplinkError {
  readonly kind = "libvirt";
  readonly retry: Retry;
  /** It was asked and gave no answer: what was asked for may be done yet. */
  readonly mayHappenYet: boolean;

  constructor(
    object: string,
    message: string,
    retry: Retry = "backoff",
    options: ErrorOptions & { readonly mayHappenYet?: boolean } = {},
  ) {
    super(object, message, options);
    this.retry = retry;
    this.mayHappenYet = options.mayHappenYet === true;
  }
}

/** A hook request that could not be understood. The VM starts all the same. */
export class HookError extends UplinkError {
  readonly kind = "hook";
  readonly retry = "never";
}

/** Something that is not ours stands where we would have to write. */
export class ConflictError extends UplinkError {
  readonly kind = "conflict";
  readonly retry = "backoff";
}

/** Our state on disk could not be read or written. */
export class StateError extends UplinkError {
  readonly kind = "state";
  readonly retry = "backoff";
}

/** A bug of ours: something that the code relies on does not hold. */
export class InvariantError extends UplinkError {
  readonly kind = "invariant";
  readonly retry = "resync";
}
