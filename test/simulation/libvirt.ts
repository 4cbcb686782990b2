/**
 * A model of libvirt behind libvirt-dbus: domains, calls that take time and may fail, time out and take effect all
 * the same, and signals that come late, twice, in another order, or not at all.
 */
import type { ConnectionOptions, LibvirtCall } from "../../src/libvirt/connection.ts";
import type { Connection } from "../../src/libvirt/monitor.ts";
import type { Clock } from "../../src/model/clock.ts";
import { LibvirtError } from "../../src/model/errors.ts";
import { type Guest, xmlOf } from "./guest.ts";
import { Mover } from "./mover.ts";
import type { Random } from "./random.ts";

/** virDomainState and the reasons that matter, see src/libvirt/domain.ts. */
const RUNNING = 1;
const PAUSED = 3;
const USER = 1;
const MIGRATION = 2;
const STARTING_UP = 11;

/** Numbers of virDomainEventType and their details, see src/libvirt/event.ts. */
export const SIGNALS = {
  started: [2, 0],
  suspended: [3, 0],
  "suspended by migration": [3, 1],
  resumed: [4, 0],
  "resumed by migration": [4, 1],
  stopped: [5, 0],
  "stopped by migration": [5, 3],
} as const;

/** What is told of calls that change something, at the moment at which they do. */
export interface LibvirtWitness {
  readonly suspending: (guest: Guest, issuedAtMs: number) => "uplinkd" | "person";
  /** A migration is asked for. */
  readonly migrating: (guest: Guest, issuedAtMs: number) => void;
  /** It has come to its last moment here. */
  readonly leaving: (guest: Guest) => void;
  readonly resuming: (guest: Guest, issuedAtTurn: number) => void;
  /** A pause was asked for, and whoever asked has given up. */
  readonly unanswered: (guest: Guest) => void;
  /** A state was given out, or a signal arrived, that shows what is now. */
  readonly shown: (guest: Guest) => void;
}

/** How libvirt is doing. */
export type Health = "well" | "slow" | "dead" | "unreachable";

interface OpenConnection {
  readonly options: ConnectionOptions;
  readonly alive: () => boolean;
  closed: boolean;
  /** What waits for an answer that may take minutes. */
  readonly waiting: Set<() => void>;
}

export class LibvirtModel {
  readonly guests: readonly Guest[];
  readonly mover: Mover;
  health: Health = "well";
  /** libvirt-dbus sends nothing until it is called, as after libvirtd's restart. */
  silent = false;
  /** So many signals are lost, whatever else. */
  losing = 0;
  /** So many calls that change something fail. */
  refusing = 0;
  /** Part of the signals that come twice, or so late that later ones overtake them. */
  disorder = 0;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #witness: LibvirtWitness;
  #connections: OpenConnection[] = [];

  constructor(guests: readonly Guest[], clock: Clock, random: Random, witness: LibvirtWitness) {
    this.guests = guests;
    this.#clock = clock;
    this.#random = random;
    this.#witness = witness;
    this.mover = new Mover(clock, random);
  }

  /** For a daemon: connects it. @param alive false once it has crashed; then nothing reaches it any more */
  connect(options: ConnectionOptions, alive: () => boolean): Promise<Connection> {
    const own: OpenConnection = { options, alive, closed: false, waiting: new Set() };
    const connection: Connection = {
      call: (call) => this.#call(own, call),
      close: () => this.#close(own, "closed"),
      get closed() {
        return own.closed;
      },
    };
    return new Promise((resolve, reject) => {
      this.#clock.after(this.#random.between(1, 5), () => {
        if (!alive()) return;
        if (this.health === "unreachable") {
          reject(new LibvirtError("bus", "can't connect: no such file or directory"));
          return;
        }
        this.#connections.push(own);
        resolve(connection);
      });
    });
  }

  /** The bus ends all connections. */
  disconnect(): void {
    for (const connection of this.#connections) this.#close(connection, "the bus closed it");
    this.#connections = [];
  }

  /** A lifecycle event of virDomainEventType. */
  emit(guest: Guest, signal: keyof typeof SIGNALS): void {
    const [event, detail] = SIGNALS[signal];
    this.#send("org.libvirt.Connect", "DomainEvent", "/org/libvirt/QEMU", guest, [
      pathOf(guest),
      event,
      detail,
    ]);
  }

  /** A change of a domain's annotation or devices. */
  emitChange(guest: Guest, member: "MetadataChange" | "DeviceAdded" | "DeviceRemoved"): void {
    const body = member === "MetadataChange" ? [2, "urn:uplinkd:domain:1"] : ["net1"];
    this.#send("org.libvirt.Domain", member, pathOf(guest), guest, body);
  }

  #send(iface: string, member: string, path: string, guest: Guest, body: readonly unknown[]): void {
    if (this.silent || this.health === "dead") return;
    if (this.losing > 0) {
      this.losing -= 1;
      return;
    }
    const turn = guest.personTurns;
    const copies = this.#random.chance(this.disorder / 2) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const late = this.#random.chance(this.disorder) ? this.#random.between(50, 2000) : 1;
      this.#clock.after(late, () => {
        for (const { options, alive, closed } of [...this.#connections]) {
          if (closed || !alive()) continue;
          if (turn === guest.personTurns) this.#witness.shown(guest);
          options.onSignal({ path, interface: iface, member, body });
        }
      });
    }
  }

  #close(connection: OpenConnection, why: string): void {
    if (connection.closed) return;
    connection.closed = true;
    this.#connections = this.#connections.filter((other) => other !== connection);
    if (!connection.alive()) return;
    connection.options.onClose(why);
    for (const giveUp of connection.waiting) giveUp();
  }

  /** A call reaches libvirt after a while, acts, and answers after another, unless the caller has given up. */
  #call(connection: OpenConnection, call: LibvirtCall): Promise<unknown> {
    const timeoutMs = call.timeoutMs ?? connection.options.callTimeoutMs;
    const slow = this.health === "slow";
    // A job that holds the domain's lock may hold a call up for long after its caller has given up.
    const arrivesMs = this.#random.between(0, slow ? this.#random.pick([500, 5000, 40_000]) : 5);
    const answersMs = arrivesMs + this.#random.between(0, slow ? 5000 : 5);
    const guest = this.guests.find(
      (one) => call.path === `/org/libvirt/QEMU/domain/${pathId(one)}`,
    );
    const turn = guest?.personTurns ?? 0;
    const issuedAtMs = this.#clock.now();
    if (connection.closed) {
      return Promise.reject(new LibvirtError(call.object, `${call.member} failed: closed`));
    }
    return new Promise((resolve, reject) => {
      const fail = (why: string, mayHappenYet = false) => {
        // Who is paused right after that was paused by it for all that can be known, and is resumed rather than forgotten.
        if (guest !== undefined && call.member === "Suspend") this.#witness.unanswered(guest);
        const message = `${call.member} failed: ${why}`;
        reject(new LibvirtError(call.object, message, "backoff", { mayHappenYet }));
      };
      let answer: () => void = () => undefined;
      if (this.health !== "dead" && call.member === "MigrateToURI3" && guest !== undefined) {
        this.#migrate(connection, guest, { issuedAtMs, arrivesMs, timeoutMs }, resolve, fail);
        return;
      }
      if (this.health !== "dead") {
        this.#clock.after(arrivesMs, () => {
          // Another call wakes it.
          this.silent = false;
          try {
            const value = this.#act(call, guest, turn, issuedAtMs);
            answer = () => resolve(value);
          } catch (error) {
            answer = () => fail(error instanceof Error ? error.message : String(error));
          }
        });
      }
      const ended = () => !connection.alive();
      if (this.health === "dead" || answersMs > timeoutMs) {
        this.#clock.after(
          timeoutMs,
          () => !ended() && fail(`no answer within ${timeoutMs} ms`, true),
        );
      } else {
        this.#clock.after(answersMs, () => {
          if (ended()) return;
          if (connection.closed) fail("the connection was closed", true);
          else answer();
        });
      }
    });
  }

  /** Answers when the migration has ended, which may be long after the caller has gone. */
  #migrate(
    connection: OpenConnection,
    guest: Guest,
    times: { readonly issuedAtMs: number; readonly arrivesMs: number; readonly timeoutMs: number },
    resolve: (value: undefined) => void,
    fail: (why: string, mayHappenYet?: boolean) => void,
  ): void {
    let isOver = false;
    const over = (tell: () => void) => {
      if (isOver) return;
      isOver = true;
      connection.waiting.delete(giveUp);
      if (connection.alive()) tell();
    };
    const giveUp = () => over(() => fail("the connection was closed", true));
    connection.waiting.add(giveUp);
    this.#clock.after(times.timeoutMs, () => over(() => fail("no answer in time", true)));
    this.#clock.after(times.arrivesMs, () => {
      if (this.#refuses() || guest.state !== "running") {
        over(() => fail("cannot acquire state change lock"));
        return;
      }
      this.mover.begin(
        guest,
        () => this.#witness.leaving(guest),
        (error) => over(() => (error === null ? resolve(undefined) : fail(error))),
      );
      this.#witness.migrating(guest, times.issuedAtMs);
    });
  }

  /** @throws Error as libvirt-dbus answers */
  #act(call: LibvirtCall, guest: Guest | undefined, turn: number, issuedAtMs: number): unknown {
    if (call.member === "ListDomains") return this.#active().map(pathOf);
    if (call.member === "GetAllDomainStats") {
      return this.#active().map((one) => {
        this.#witness.shown(one);
        const [state, reason] = stateOf(one);
        return [one.name, { "state.state": state, "state.reason": reason }];
      });
    }
    if (guest === undefined || guest.state === "off") throw new Error("Domain not found");
    switch (call.member) {
      case "GetXMLDesc":
        return xmlOf(guest);
      case "GetState":
        this.#witness.shown(guest);
        return [...stateOf(guest)];
      case "Suspend":
        if (this.#refuses()) throw new Error("cannot acquire state change lock");
        if (guest.state !== "running") {
          // Whoever was quicker than the call: that it wasn't the call, nothing tells.
          if (guest.state === "paused") this.#witness.unanswered(guest);
          return undefined;
        }
        guest.pausedBy = this.#witness.suspending(guest, issuedAtMs);
        guest.state = "paused";
        guest.pausedAtMs = this.#clock.now();
        this.emit(guest, "suspended");
        return undefined;
      case "GetJobStats":
        return this.mover.isMoving(guest) ? [2, { operation: 5 }] : [0, {}];
      case "AbortJob":
        this.mover.abort(guest);
        return undefined;
      case "Resume":
        if (this.#refuses()) throw new Error("cannot acquire state change lock");
        if (guest.state !== "paused") throw new Error("Requested operation is not valid");
        this.#witness.resuming(guest, turn);
        guest.state = "running";
        guest.pausedBy = null;
        this.emit(guest, "resumed");
        return undefined;
      default:
        throw new Error(`no such method ${call.member}`);
    }
  }

  #refuses(): boolean {
    if (this.refusing === 0) return false;
    this.refusing -= 1;
    return true;
  }

  #active(): readonly Guest[] {
    return this.guests.filter((guest) => guest.state !== "off");
  }
}

function pathOf(guest: Guest): string {
  return `/org/libvirt/QEMU/domain/${pathId(guest)}`;
}

function pathId(guest: Guest): string {
  return `_${guest.uuid.replaceAll("-", "_")}`;
}

function stateOf(guest: Guest): readonly [number, number] {
  switch (guest.state) {
    case "starting":
      return [PAUSED, STARTING_UP];
    case "incoming":
      return [PAUSED, MIGRATION];
    case "paused":
      return [PAUSED, USER];
    case "running":
    case "off":
      return [RUNNING, 1];
  }
}
