/**
 * What only uplinkd knows, on disk: how things were before its first change, which domains it paused, whether it
 * was released. Written whole, synced, and renamed into place before the act that it tells of.
 */
import * as z from "zod";
import { StateError } from "../model/errors.ts";
import type {
  ActivePort,
  BondOption,
  KernelObject,
  PortQueue,
  Promiscuity,
} from "../model/kernel.ts";
import { type Scope, WHOLE_HOST } from "../model/scope.ts";
import type { MigrationRecord, PauseRecord, Refusal } from "../model/world.ts";
import { DiskFile, type StateFile } from "./state-file.ts";

/** Settings that carry no owner's mark in the kernel. */
export type UnmarkedObject = PortQueue | Promiscuity | BondOption | ActivePort;

/** Whether an object is one whose former value has to be saved. */
export function isUnmarked(object: KernelObject): object is UnmarkedObject {
  switch (object.kind) {
    case "port-queue":
    case "promiscuity":
    case "bond-option":
    case "active-port":
      return true;
    default:
      return false;
  }
}

/**
 * The journal's format. It rises only where an older daemon would do harm with what it doesn't know: it then refuses to
 * start, and what is enforced stays. What may be left unread is added without.
 */
const VERSION = 1;

export interface PauseEntry extends PauseRecord {
  /** intended: written before the act, its outcome isn't known. */
  readonly outcome: "intended" | "done";
}

export interface MigrationEntry extends MigrationRecord {
  /** intended: written before libvirt was asked. seen: libvirt has been seen at it. */
  readonly outcome: "intended" | "seen";
}

/** Enabled on probation. */
export interface Unconfirmed {
  /** When it is rolled back unless confirmed, Unix milliseconds. */
  readonly untilMs: number;
  readonly before: "observing" | "released";
}

export interface JournalContents {
  readonly version: typeof VERSION;
  /** Kernel state doesn't survive a boot, so what was saved of it doesn't either. */
  readonly bootId: string;
  /** Nothing is enforced: taken away by an operator, or never enabled yet. */
  readonly released: boolean;
  /** Released in order to look only; without it, released for good. */
  readonly observing: boolean;
  readonly unconfirmed: Unconfirmed | null;
  /** Why the journal before this one couldn't be used, until an operator has enabled or released; null: it could. */
  readonly lost: string | null;
  /** What of the host is enabled. */
  readonly scope: Scope;
  readonly before: readonly UnmarkedObject[];
  /** Devices that got their clsact from us. */
  readonly clsactCreated: readonly string[];
  readonly pauses: readonly PauseEntry[];
  /** Under way to other hosts. */
  readonly migrations: readonly MigrationEntry[];
  /** What destinations didn't take, until they may be asked again. */
  readonly refusals: readonly Refusal[];
  /** Names of domains that an operator holds. */
  readonly holds: readonly string[];
  /** Uplinks that an operator took out of service. */
  readonly drains: readonly DrainEntry[];
  /** Domains that aren't paused again before their team is whole, by uuid, and why. */
  readonly exemptions: readonly { readonly uuid: string; readonly reason: string }[];
}

export interface DrainEntry {
  readonly uplink: string;
  readonly sinceMs: number;
}

/** What another version has added to it is kept, so that an older daemon in between loses nothing. */
const contentsSchema = z.looseObject({
  version: z.literal(VERSION),
  bootId: z.string(),
  released: z.boolean(),
  // Journals of 0.1.0 don't have these two.
  observing: z.boolean().default(false),
  unconfirmed: z
    .object({ untilMs: z.number(), before: z.enum(["observing", "released"]) })
    .nullable()
    .default(null),
  lost: z.string().nullable().default(null),
  scope: z
    .discriminatedUnion("kind", [
      z.object({ kind: z.literal("host") }),
      z.object({ kind: z.literal("team"), team: z.string() }),
      z.object({ kind: z.literal("domain"), domain: z.string(), teams: z.array(z.string()) }),
    ])
    .default({ kind: "host" }),
  before: z.array(
    z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("port-queue"), device: z.string(), queueId: z.number() }),
      z.object({ kind: z.literal("promiscuity"), device: z.string(), on: z.boolean() }),
      z.object({ kind: z.literal("bond-option"), bond: z.string(), updelayMs: z.number() }),
      z.object({ kind: z.literal("active-port"), bond: z.string(), port: z.string().nullable() }),
    ]),
  ),
  clsactCreated: z.array(z.string()),
  pauses: z.array(
    z.object({
      domain: z.string(),
      uuid: z.string(),
      sinceMs: z.number(),
      reason: z.string(),
      demandBitsPerSecond: z.record(z.string(), z.number()),
      outcome: z.enum(["intended", "done"]),
    }),
  ),
  holds: z.array(z.string()),
  // Journals of 0.1.0's first weeks have neither of these.
  migrations: z
    .array(
      z.object({
        domain: z.string(),
        uuid: z.string(),
        destination: z.string(),
        sinceMs: z.number(),
        bandwidthBitsPerSecond: z.number(),
        reason: z.string(),
        outcome: z.enum(["intended", "seen"]),
      }),
    )
    .default([]),
  refusals: z
    .array(
      z.object({
        uuid: z.string(),
        destination: z.string(),
        untilMs: z.number(),
        reason: z.string(),
      }),
    )
    .default([]),
  // Journals of 0.1.0's first days have none of these.
  drains: z.array(z.object({ uplink: z.string(), sinceMs: z.number() })).default([]),
  exemptions: z.array(z.object({ uuid: z.string(), reason: z.string() })).default([]),
});

export class Journal {
  readonly #path: string;
  readonly #file: StateFile;
  #contents: JournalContents;
  /** The disk has something older. */
  #behind = false;

  private constructor(path: string, file: StateFile, contents: JournalContents) {
    this.#path = path;
    this.#file = file;
    this.#contents = contents;
  }

  /**
   * Reads the journal; one that can't be used is said, and stays in its place until an operator's next word is written.
   * Whether its host was released isn't known then: it counts as looked at only, since a host that somebody has
   * released must not be enforced again by a disk's fault.
   * @param bootId of the running kernel (/proc/sys/kernel/random/boot_id)
   * @throws StateError for one of a newer format, which is left as it is
   */
  static open(
    path: string,
    bootId: string,
    report: (error: StateError) => void,
    file: StateFile = new DiskFile(path),
  ): Journal {
    const fresh = emptyContents(bootId);
    const lose = (why: string) => {
      report(new StateError(path, why));
      return new Journal(path, file, { ...fresh, released: true, observing: true, lost: why });
    };
    let text: string | null;
    try {
      text = file.read();
    } catch (error) {
      return lose(`can't be read: ${messageOf(error)}`);
    }
    if (text === null) return new Journal(path, file, fresh);
    try {
      const json: unknown = JSON.parse(text);
      refuseNewer(path, json);
      const contents: JournalContents = contentsSchema.parse(json);
      if (contents.bootId === bootId) return new Journal(path, file, contents);
      return new Journal(path, file, { ...contents, bootId, before: [], clsactCreated: [] });
    } catch (error) {
      if (error instanceof StateError) throw error;
      const aside = `${path}.unreadable`;
      try {
        file.keepAs(aside);
      } catch (linkError) {
        report(new StateError(path, `can't be kept as ${aside}: ${messageOf(linkError)}`));
      }
      return lose(
        `is damaged and kept as ${aside}; a domain that was paused by uplinkd may need \
'virsh resume': ${messageOf(error)}`,
      );
    }
  }

  get contents(): JournalContents {
    return this.#contents;
  }

  /**
   * Replaces the contents, durably. When it returns they will survive a crash; when it throws, the old ones stand.
   * @throws StateError if the disk is full or gone
   */
  write(change: Partial<JournalContents>): void {
    const next = { ...this.#contents, ...change };
    try {
      this.#file.replace(`${JSON.stringify(next, null, 1)}\n`);
    } catch (error) {
      throw new StateError(
        this.#path,
        `can't be written: ${messageOf(error)}; free space on its disk`,
        {
          cause: error,
        },
      );
    }
    this.#contents = next;
    this.#behind = false;
  }

  /**
   * Replaces the contents to tell of what has happened already: that stands whether the disk takes it or not. What
   * it didn't take is written with the next change, or by {@link catchUp}.
   * @returns why the disk has something older, or null
   */
  note(change: Partial<JournalContents>): StateError | null {
    try {
      this.write(change);
      return null;
    } catch (error) {
      if (!(error instanceof StateError)) throw error;
      this.#contents = { ...this.#contents, ...change };
      this.#behind = true;
      return error;
    }
  }

  /** Writes what the disk didn't take before. */
  catchUp(): void {
    if (this.#behind) this.note({});
  }
}

/** @throws StateError */
function refuseNewer(path: string, json: unknown): void {
  if (typeof json !== "object" || json === null || !("version" in json)) return;
  const { version } = json;
  if (typeof version !== "number" || version <= VERSION) return;
  throw new StateError(
    path,
    `has format ${version} of a newer uplinkd, this one knows ${VERSION}: install that one again, \
or release the host with release.sh beside it and remove the file; what is enforced stays until then`,
  );
}

function emptyContents(bootId: string): JournalContents {
  return {
    version: VERSION,
    bootId,
    released: false,
    observing: false,
    unconfirmed: null,
    lost: null,
    scope: WHOLE_HOST,
    before: [],
    clsactCreated: [],
    pauses: [],
    migrations: [],
    refusals: [],
    holds: [],
    drains: [],
    exemptions: [],
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
