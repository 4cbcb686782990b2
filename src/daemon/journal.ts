/**
 * What only uplinkd knows, on disk: how things were before its first change, which domains it paused, whether it
 * was released. Written whole, synced, and renamed into place before the act that it tells of.
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { StateError } from "../model/errors.ts";
import type { ActivePort, BondOption, PortQueue, Promiscuity } from "../model/kernel.ts";
import type { PauseRecord } from "../model/world.ts";

/** Settings that carry no owner's mark in the kernel. */
export type UnmarkedObject = PortQueue | Promiscuity | BondOption | ActivePort;

export interface PauseEntry extends PauseRecord {
  /** intended: written before the act, its outcome isn't known. */
  readonly outcome: "intended" | "done";
}

export interface JournalContents {
  readonly version: 1;
  /** Kernel state doesn't survive a boot, so what was saved of it doesn't either. */
  readonly bootId: string;
  readonly released: boolean;
  readonly before: readonly UnmarkedObject[];
  /** Devices that got their clsact from us. */
  readonly clsactCreated: readonly string[];
  readonly pauses: readonly PauseEntry[];
  /** Names of domains that an operator holds. */
  readonly holds: readonly string[];
}

const contentsSchema = z.object({
  version: z.literal(1),
  bootId: z.string(),
  released: z.boolean(),
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
});

export class Journal {
  readonly #path: string;
  #contents: JournalContents;

  private constructor(path: string, contents: JournalContents) {
    this.#path = path;
    this.#contents = contents;
  }

  /**
   * Reads the journal; one that can't be read is kept aside and said, never thrown away.
   * @param bootId of the running kernel (/proc/sys/kernel/random/boot_id)
   */
  static open(path: string, bootId: string, report: (error: StateError) => void): Journal {
    const fresh = emptyContents(bootId);
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) {
        report(new StateError(path, `can't be read: ${messageOf(error)}`));
      }
      return new Journal(path, fresh);
    }
    try {
      const contents: JournalContents = contentsSchema.parse(JSON.parse(text));
      if (contents.bootId === bootId) return new Journal(path, contents);
      return new Journal(path, { ...contents, bootId, before: [], clsactCreated: [] });
    } catch (error) {
      const aside = `${path}.unreadable`;
      report(
        new StateError(
          path,
          `is damaged and kept as ${aside}; a domain that was paused by uplinkd may need \
'virsh resume': ${messageOf(error)}`,
        ),
      );
      try {
        renameSync(path, aside);
      } catch (renameError) {
        report(new StateError(path, `can't be kept aside: ${messageOf(renameError)}`));
      }
      return new Journal(path, fresh);
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
    const temporary = `${this.#path}.new`;
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o750 });
      writeFileSync(temporary, `${JSON.stringify(next, null, 1)}\n`, { mode: 0o600, flush: true });
      renameSync(temporary, this.#path);
      syncDirectory(dirname(this.#path));
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
  }
}

/** A rename is durable once its directory is. */
function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function emptyContents(bootId: string): JournalContents {
  return {
    version: 1,
    bootId,
    released: false,
    before: [],
    clsactCreated: [],
    pauses: [],
    holds: [],
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
