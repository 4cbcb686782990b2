/** Keeps the registry what libvirt says: adoption at start, events, and a full look whenever some may be missing. */
import type { LibvirtCaller } from "../libvirt/connection.ts";
import {
  abortJob,
  listActiveDomains,
  migrateDomain,
  phaseOf,
  readDomain,
  readDomainState,
  readJob,
  resumeDomain,
  suspendDomain,
} from "../libvirt/domain.ts";
import type { LibvirtEvent } from "../libvirt/event.ts";
import { UplinkError } from "../model/errors.ts";
import type { EventLog } from "./events.ts";
import type { Migrations } from "./migrations.ts";
import type { Pauses } from "./pauses.ts";
import type { DomainRunState, LibvirtPort } from "./ports.ts";
import type { Registry } from "./registry.ts";

export interface DomainsOptions {
  readonly caller: LibvirtCaller;
  readonly registry: Registry;
  readonly pauses: Pick<Pauses, "noteResumed" | "noteStopped" | "settle">;
  readonly migrations: Pick<Migrations, "noteStopped" | "settle">;
  readonly log: EventLog;
  readonly now: () => number;
  /** Something changed: run the loop. */
  readonly changed: (why: string) => void;
}

/** A start that libvirt has announced by its hook may take this long before libvirt lists the domain. */
const STARTING_LIMIT_MS = 120_000;
/** libvirt-dbus works on four calls at a time; more only wait there. */
const READ_AT_ONCE = 8;

export class Domains {
  readonly #options: DomainsOptions;
  readonly #announcedAtMs = new Map<string, number>();
  #complete = false;
  #syncing: Promise<void> | null = null;
  #again = false;

  constructor(options: DomainsOptions) {
    this.#options = options;
  }

  /** Whether libvirt has told of all domains at least once: before, nothing may be taken for gone. */
  get complete(): boolean {
    return this.#complete;
  }

  handle(event: LibvirtEvent): void {
    const { log, registry, pauses, migrations, changed } = this.#options;
    switch (event.type) {
      case "up":
        log.tell("notice", "libvirt-up", "libvirt answers");
        return;
      case "down":
        log.tell(
          "warning",
          "libvirt-down",
          `libvirt doesn't answer (${event.why}); enforcement goes on`,
        );
        return;
      case "resync":
        this.sync();
        return;
      case "changed":
        this.#refresh(event.uuid, event.what);
        return;
      case "lifecycle":
        if (event.event === "stopped") {
          pauses.noteStopped(event.uuid);
          migrations.noteStopped(event.uuid);
          // Events come later than hooks: this may be the end before the start that is under way.
          const phase = registry.phaseOf(event.uuid);
          if (phase === "starting" || phase === "incoming") this.#refresh(event.uuid, event.event);
          else if (registry.remove(event.uuid)) changed(`domain stopped (${event.detail})`);
          return;
        }
        if (event.event === "resumed" && event.detail === "unpaused") {
          void pauses.noteResumed(event.uuid).then((isTaken) => {
            if (isTaken) changed("a person resumed a domain");
          });
        }
        if (event.detail === "migrated") this.#switchOver(event.uuid, event.event);
        if (event.event !== "defined" && event.event !== "undefined") {
          this.#refresh(event.uuid, event.event);
        }
    }
  }

  /**
   * The last moment of a migration: at once, since until then frames of the guest from where it runs now are dropped
   * here as reflections. What libvirt says when it is read, right afterwards, holds.
   */
  #switchOver(uuid: string, event: string): void {
    const { registry, changed } = this.#options;
    const phase = registry.phaseOf(uuid);
    // From here it leaves when it is suspended, and here it runs, again or at last, when it is resumed.
    if (event === "suspended" && phase === "running") registry.setPhase(uuid, "incoming");
    else if (event === "resumed" && phase === "incoming") registry.setPhase(uuid, "running");
    else return;
    changed(`domain ${registry.nameOf(uuid) ?? uuid}: ${event} by its migration`);
  }

  /** Looks at everything; while one look is under way another is asked for at most once. */
  sync(): void {
    if (this.#syncing !== null) {
      this.#again = true;
      return;
    }
    this.#syncing = this.#sync()
      .catch((error: unknown) => this.#report("libvirt's domains", error))
      .finally(() => {
        this.#syncing = null;
        if (!this.#again) return;
        this.#again = false;
        this.sync();
      });
  }

  async #sync(): Promise<void> {
    const { caller, registry, pauses, migrations, changed } = this.#options;
    const known = new Set(registry.uuids());
    const listed = await listActiveDomains(caller);
    for (let at = 0; at < listed.length; at += READ_AT_ONCE) {
      await Promise.all(listed.slice(at, at + READ_AT_ONCE).map((uuid) => this.#read(uuid)));
    }
    const now = this.#options.now();
    for (const uuid of known) {
      if (listed.includes(uuid)) {
        this.#announcedAtMs.delete(uuid);
        continue;
      }
      const phase = registry.phaseOf(uuid);
      if (phase === "starting" || phase === "incoming") {
        const since = this.#announcedAtMs.get(uuid) ?? now;
        this.#announcedAtMs.set(uuid, since);
        if (now < since + STARTING_LIMIT_MS) continue;
      }
      this.#announcedAtMs.delete(uuid);
      registry.remove(uuid);
      pauses.noteStopped(uuid);
      migrations.noteStopped(uuid);
    }
    await pauses.settle();
    await migrations.settle();
    this.#complete = true;
    changed("libvirt was looked at");
  }

  /** Reads one domain; one that is gone meanwhile is not an error. */
  async #read(uuid: string): Promise<void> {
    const { caller, registry, log } = this.#options;
    const ends = registry.endsOf(uuid);
    try {
      const { definition, state } = await readDomain(caller, uuid);
      // A hook has told of its end meanwhile: this is how it was before.
      if (registry.endsOf(uuid) !== ends) return;
      const phase = phaseOf(state);
      if (phase === null) {
        registry.remove(uuid);
        return;
      }
      // The hook has said that it arrives from elsewhere; libvirt calls that starting at first.
      const arriving = phase === "starting" && registry.phaseOf(uuid) === "incoming";
      registry.put(definition, arriving ? "incoming" : phase);
    } catch (error) {
      if (!(error instanceof UplinkError)) throw error;
      log.tell("debug", "domain-unread", `domain ${uuid}: ${error.message}`);
    }
  }

  #refresh(uuid: string, why: string): void {
    const { registry, changed } = this.#options;
    this.#read(uuid)
      .then(() => changed(`domain ${registry.nameOf(uuid) ?? uuid}: ${why}`))
      .catch((error: unknown) => this.#report(`domain ${uuid}`, error));
  }

  #report(object: string, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.#options.log.tell("warning", "libvirt-failed", `${object}: ${message}`);
  }
}

/** What is done to domains, by this caller. */
export function libvirtPort(caller: LibvirtCaller): LibvirtPort {
  return {
    suspend: (uuid) => suspendDomain(caller, uuid),
    resume: (uuid) => resumeDomain(caller, uuid),
    stateOf: (uuid) => runStateOf(caller, uuid),
    migrate: (uuid, call) => migrateDomain(caller, uuid, call),
    jobOf: (uuid) => readJob(caller, uuid),
    abortJob: (uuid) => abortJob(caller, uuid),
  };
}

/** Whether a domain runs, is paused, or is gone, asked afresh. */
async function runStateOf(caller: LibvirtCaller, uuid: string): Promise<DomainRunState> {
  const listed = await listActiveDomains(caller);
  if (!listed.includes(uuid)) return "absent";
  const { state } = await readDomainState(caller, uuid);
  if (state === "paused") return "paused";
  return state === "running" || state === "blocked" ? "running" : "other";
}
