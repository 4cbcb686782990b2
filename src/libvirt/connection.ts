/**
 * One connection to the system bus, and calls of libvirt-dbus over it. It isn't mended: once closed, every call
 * fails and the monitor opens a new one.
 */
import { createClient, type DBusError, type Message, type MessageBus } from "dbus-native";
import { LibvirtError, type Retry } from "../model/errors.ts";
import { clip } from "../model/units.ts";

/** The name on the bus that libvirt-dbus owns; calling it starts the service. */
export const LIBVIRT_SERVICE = "org.libvirt";
const BUS_SERVICE = "org.freedesktop.DBus";
/** Where dbus-daemon listens on every distribution (D-Bus specification, Well-known Message Bus Instances). */
const SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket";
/** dbus-daemon ends connections with more than 128 replies outstanding (max_replies_per_connection). */
const MAX_CALLS_IN_FLIGHT = 64;
/** 64 in flight and these wait; beyond that something is wrong and waiting makes it worse. */
const MAX_CALLS_WAITING = 4096;
/** Larger than any list or XML that libvirt gives out (4 MiB a string), smaller than the library's 128 MiB. */
const MAX_MESSAGE_BYTES = 16 << 20;

/** One method call. */
export interface LibvirtCall {
  /** What an error is about: `domain web1`. */
  readonly object: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** D-Bus signature of `body`. */
  readonly signature?: string;
  readonly body?: readonly unknown[];
  readonly timeoutMs?: number;
}

/** Whatever can call libvirt: a connection, or the monitor by the one that it has. */
export interface LibvirtCaller {
  /**
   * @returns the method's one result, undefined for none; not yet checked
   * @throws LibvirtError, always within the call's time limit
   */
  readonly call: (call: LibvirtCall) => Promise<unknown>;
}

/** A signal of libvirt-dbus itself, or the bus's word on who owns its name. */
export interface LibvirtSignal {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly body: readonly unknown[];
}

export interface ConnectionOptions {
  /** D-Bus address; by default the system bus. */
  readonly address?: string | undefined;
  /** For the connect, the handshake and the match rules together. */
  readonly connectTimeoutMs: number;
  /** For calls that name none, waiting for a free slot included. */
  readonly callTimeoutMs: number;
  readonly onSignal: (signal: LibvirtSignal) => void;
  /** Called once, however it ended. */
  readonly onClose: (why: string) => void;
}

const MATCH_RULES = [
  `type='signal',sender='${BUS_SERVICE}',member='NameOwnerChanged',arg0='${LIBVIRT_SERVICE}'`,
  `type='signal',sender='${LIBVIRT_SERVICE}',interface='org.libvirt.Connect',member='DomainEvent'`,
  // Without path: every domain.
  ...["MetadataChange", "DeviceAdded", "DeviceRemoved"].map(
    (member) =>
      `type='signal',sender='${LIBVIRT_SERVICE}',interface='org.libvirt.Domain',member='${member}'`,
  ),
];

export class LibvirtConnection implements LibvirtCaller {
  readonly #options: ConnectionOptions;
  readonly #bus: MessageBus;
  readonly #waiting: (() => void)[] = [];
  #inFlight = 0;
  #closedBecause: string | null = null;
  /** Unique name of libvirt-dbus; null while nobody owns its name. */
  #owner: string | null = null;

  private constructor(options: ConnectionOptions, bus: MessageBus) {
    this.#options = options;
    this.#bus = bus;
  }

  /**
   * Connects, and asks for the signals.
   * @throws LibvirtError within connectTimeoutMs
   */
  static async open(options: ConnectionOptions): Promise<LibvirtConnection> {
    const { DBUS_SYSTEM_BUS_ADDRESS = SYSTEM_BUS } = process.env;
    const address = options.address ?? DBUS_SYSTEM_BUS_ADDRESS;
    let bus: MessageBus;
    try {
      // `direct`: no Hello of the library's own, whose time limit would be thrown past every caller.
      bus = createClient({ busAddress: address, direct: true, maxMessageSize: MAX_MESSAGE_BYTES });
    } catch (error) {
      throw new LibvirtError(`bus ${clip(address)}`, messageOf(error), "never", { cause: error });
    }
    const connection = new LibvirtConnection(options, bus);
    const timer = setTimeout(
      () => connection.#end(`no answer within ${options.connectTimeoutMs} ms`),
      options.connectTimeoutMs,
    );
    try {
      await connection.#introduce();
      return connection;
    } catch (error) {
      connection.#end(messageOf(error));
      const why = connection.#closedBecause ?? messageOf(error);
      throw new LibvirtError(`bus ${clip(address)}`, `can't connect: ${why}`, "backoff", {
        cause: error,
      });
    } finally {
      clearTimeout(timer);
    }
  }

  get closed(): boolean {
    return this.#closedBecause !== null;
  }

  async call(call: LibvirtCall): Promise<unknown> {
    const timeoutMs = call.timeoutMs ?? this.#options.callTimeoutMs;
    const startedAt = performance.now();
    await this.#slot(call, timeoutMs);
    try {
      const leftMs = Math.ceil(Math.max(1, timeoutMs - (performance.now() - startedAt)));
      return await this.#invoke(
        {
          destination: LIBVIRT_SERVICE,
          path: call.path,
          interface: call.interface,
          member: call.member,
          ...(call.signature !== undefined && {
            signature: call.signature,
            body: [...(call.body ?? [])],
          }),
        },
        leftMs,
      );
    } catch (error) {
      throw toLibvirtError(call, error);
    } finally {
      this.#inFlight--;
      this.#waiting.shift()?.();
    }
  }

  /** Ends the connection; calls under way fail. */
  close(): void {
    this.#end("closed");
  }

  async #introduce(): Promise<void> {
    const { connection } = this.#bus;
    connection.on("error", (error: Error) => this.#end(error.message));
    connection.on("close", () => this.#end("the bus closed the connection"));
    connection.on("message", (message) => this.#receive(message));
    const askBus = (member: string, text?: string) =>
      this.#invoke(
        {
          destination: BUS_SERVICE,
          path: "/org/freedesktop/DBus",
          interface: BUS_SERVICE,
          member,
          ...(text !== undefined && { signature: "s", body: [text] }),
        },
        this.#options.connectTimeoutMs,
      );
    const name = await askBus("Hello");
    if (typeof name === "string") this.#bus.name = name;
    for (const rule of MATCH_RULES) await askBus("AddMatch", rule);
    // An error says that nobody owns it, as before the first call that starts it.
    const owner = await askBus("GetNameOwner", LIBVIRT_SERVICE).catch(() => null);
    if (this.#owner === null && typeof owner === "string") this.#owner = owner;
    if (this.#closedBecause !== null) throw new Error(this.#closedBecause);
  }

  /** Any local user may send us a signal; only the bus's and libvirt-dbus's own count. */
  #receive(message: Message): void {
    const { path = "", interface: iface = "", member = "", body = [], sender } = message;
    if (message.type !== 4 || this.#closedBecause !== null) return;
    if (sender === BUS_SERVICE) {
      if (member !== "NameOwnerChanged" || body[0] !== LIBVIRT_SERVICE) return;
      this.#owner = typeof body[2] === "string" && body[2] !== "" ? body[2] : null;
    } else if (sender === undefined || sender !== this.#owner) {
      return;
    }
    this.#options.onSignal({ path, interface: iface, member, body });
  }

  async #invoke(message: Message, timeoutMs: number): Promise<unknown> {
    if (this.#closedBecause !== null) throw new Error(this.#closedBecause);
    return await this.#bus.invoke<unknown>(message, { timeout: timeoutMs });
  }

  async #slot(call: LibvirtCall, timeoutMs: number): Promise<void> {
    if (this.#closedBecause === null && this.#inFlight < MAX_CALLS_IN_FLIGHT) {
      this.#inFlight++;
      return;
    }
    if (this.#closedBecause !== null || this.#waiting.length >= MAX_CALLS_WAITING) {
      throw toLibvirtError(call, new Error(this.#closedBecause ?? "too many calls wait already"));
    }
    await new Promise<void>((resolve, reject) => {
      const proceed = () => {
        clearTimeout(timer);
        this.#inFlight++;
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(proceed), 1);
        reject(toLibvirtError(call, new Error(`no free call slot within ${timeoutMs} ms`)));
      }, timeoutMs);
      this.#waiting.push(proceed);
    });
  }

  #end(why: string): void {
    if (this.#closedBecause !== null) return;
    this.#closedBecause = why;
    // Not end(): a bus that is stopped would never answer it. The library then fails every call under way, and
    // those that wait for a slot follow one by one.
    this.#bus.connection.stream.destroy();
    this.#options.onClose(why);
  }
}

/** Errors that say what to do; libvirt-dbus tells its own apart by their text only. */
const EXPLANATIONS: readonly {
  readonly pattern: RegExp;
  readonly retry: Retry;
  readonly remedy: string;
}[] = [
  {
    pattern: /ServiceUnknown/,
    retry: "backoff",
    remedy: "install libvirt-dbus, or start it: systemctl start libvirt-dbus",
  },
  {
    pattern: /AccessDenied/,
    retry: "backoff",
    remedy: "uplinkd's D-Bus policy file is not installed, or the bus has not read it",
  },
  {
    pattern: /Failed to connect socket|Cannot recv data|End of file while reading/,
    retry: "backoff",
    remedy: "libvirtd or virtqemud is not running",
  },
  {
    pattern: /Domain not found|no domain with matching/,
    retry: "resync",
    remedy: "it is no longer defined",
  },
  {
    pattern: /domain is not running|Requested operation is not valid/,
    retry: "resync",
    remedy: "its state has changed meanwhile",
  },
];

function toLibvirtError(call: LibvirtCall, error: unknown): LibvirtError {
  const text = messageOf(error);
  const name = (error as Partial<DBusError> | null)?.dbusName ?? "";
  const known = EXPLANATIONS.find(({ pattern }) => pattern.test(name) || pattern.test(text));
  const remedy = known === undefined ? "" : ` (${known.remedy})`;
  return new LibvirtError(
    call.object,
    `${call.member} failed: ${clip(withoutHookCommand(text), 300)}${remedy}`,
    known?.retry ?? "backoff",
    // Only an answer has a name; the bus itself gives one for a service that gave none.
    { cause: error, mayHappenYet: name === "" || name.endsWith(".NoReply") },
  );
}

/**
 * What a hook said, of a libvirt error that also repeats how it was called (virCommandWait): its environment and path may
 * take up all the room that a message has, and a destination's refusal is to be read to its end. Without the line's end that
 * a hook's words come with, too.
 */
export function withoutHookCommand(text: string): string {
  return text
    .replace(/internal error: Child process \(.*\) unexpected exit status \d+: /su, "")
    .trimEnd();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
