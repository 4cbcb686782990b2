/**
 * Moves domains to other hosts as planned, journaled before the act, and aborts what the plan no longer wants. libvirtd
 * itself carries a migration out, so it outlives this daemon: one that is found under way is followed to its end.
 */
import type { Destination, MigrationRules } from "../model/config.ts";
import { LibvirtError, StateError, type UplinkError } from "../model/errors.ts";
import type { MigrationPlan, Plan } from "../model/plan.ts";
import { formatDuration, formatRate } from "../model/units.ts";
import type { DomainState, World } from "../model/world.ts";
import type { EventLog } from "./events.ts";
import type { Journal, JournalContents, MigrationEntry } from "./journal.ts";
import type { LibvirtPort } from "./ports.ts";

export interface MigrationsOptions {
  readonly journal: Journal;
  readonly libvirt: Pick<LibvirtPort, "stateOf" | "migrate" | "jobOf" | "abortJob">;
  readonly log: EventLog;
  readonly now: () => number;
  /** As configured now. */
  readonly rules: () => MigrationRules;
  /** One has begun or ended: the plan is another. */
  readonly changed: (why: string) => void;
}

/** After a refusal that says nothing of the destination, libvirt isn't asked again so soon. */
const BACKOFF_MS = 10_000;
/** A call without an answer may still be begun: libvirt-dbus takes calls in turn, libvirt waits 30 s for a job's end. */
const LATE_MS = 60_000;
/** What an abort takes at most, until MigrateToURI3 answers. */
const ABORT_MS = 60_000;

export class Migrations {
  readonly #options: MigrationsOptions;
  /** Domains whose migration waits for its answer. */
  readonly #calling = new Set<string>();
  /** Domains of which something is being asked: one question at a time. */
  readonly #asking = new Set<string>();
  readonly #notBeforeMs = new Map<string, number>();
  /** What is being aborted, and whether its destination is to blame. */
  readonly #aborting = new Map<string, { readonly why: string; readonly blamed: boolean }>();

  constructor(options: MigrationsOptions) {
    this.#options = options;
  }

  /**
   * Begins what is due, aborts what is no longer wanted, and looks how those are that nobody waits for.
   * @returns settles before a migration ends, which `changed` tells; true if the loop should run again
   */
  async carryOut(world: World, plan: Plan): Promise<boolean> {
    const { journal, rules } = this.#options;
    this.#forgive(plan);
    const states = new Map(world.domains.map((domain) => [domain.name, domain]));
    const calls: Promise<boolean>[] = [];
    for (const wish of plan.domains) {
      const domain = states.get(wish.domain);
      if (domain === undefined || (this.#notBeforeMs.get(domain.uuid) ?? 0) > world.nowMs) continue;
      const entry = this.#entryOf(domain.uuid);
      const { migration } = wish;
      if (migration !== null && entry === null && wish.dueAtMs <= world.nowMs) {
        const reason = wish.reasons.join("; ");
        calls.push(this.#ask(domain, () => this.#begin(world, domain, migration, reason)));
      } else if (migration === null && entry !== null && domain.migration !== null) {
        const blamed = world.nowMs >= entry.sinceMs + rules().timeoutMs;
        const why = wish.reasons[0] ?? "it is no longer wanted";
        calls.push(this.#ask(domain, () => this.#abort(entry, why, blamed)));
      }
    }
    for (const entry of journal.contents.migrations)
      calls.push(this.#ask({ name: entry.domain, uuid: entry.uuid }, () => this.#look(entry)));
    const outcomes = await Promise.all(calls);
    return outcomes.some((changed) => changed);
  }

  /** libvirt says that a domain has ended here: what became of its migration is known from the answer, or here. */
  noteStopped(uuid: string): void {
    const entry = this.#entryOf(uuid);
    if (entry !== null && !this.#calling.has(uuid)) this.#tellGone(entry);
    const { refusals } = this.#options.journal.contents;
    const others = refusals.filter((refusal) => refusal.uuid !== uuid);
    if (others.length < refusals.length) this.#write({ refusals: others });
    this.#notBeforeMs.delete(uuid);
  }

  /**
   * Settles what an earlier run of the daemon, or of libvirt, left.
   * @throws LibvirtError if libvirt can't be asked; to be tried again
   */
  async settle(): Promise<void> {
    for (const entry of this.#options.journal.contents.migrations) await this.#look(entry);
  }

  /** Aborts all, for a release. */
  async abortAll(): Promise<readonly UplinkError[]> {
    const failed: UplinkError[] = [];
    for (const entry of this.#options.journal.contents.migrations) {
      try {
        await this.#abort(entry, "uplinkd is released", false);
      } catch (error) {
        failed.push(asError(entry.domain, error));
      }
    }
    return failed;
  }

  async #ask(
    { name, uuid }: Pick<DomainState, "name" | "uuid">,
    call: () => Promise<boolean>,
  ): Promise<boolean> {
    if (this.#asking.has(uuid)) return false;
    this.#asking.add(uuid);
    try {
      return await call();
    } catch (error) {
      const failure = asError(name, error);
      this.#notBeforeMs.set(uuid, this.#options.now() + BACKOFF_MS);
      this.#options.log.tell(
        "error",
        "action-failed",
        `domain ${name}: ${failure.object}: ${failure.message}; tried again in ${BACKOFF_MS / 1000}s`,
        { domain: name },
      );
      return false;
    } finally {
      this.#asking.delete(uuid);
    }
  }

  async #begin(
    world: World,
    domain: DomainState,
    { destination: wanted, bandwidthBitsPerSecond }: MigrationPlan,
    reason: string,
  ): Promise<boolean> {
    const { journal, libvirt, log, now, rules, changed } = this.#options;
    const destination = world.config.destinations.find(({ name }) => name === wanted);
    if (destination === undefined) return false;
    const { name, uuid } = domain;
    if ((await libvirt.stateOf(uuid)) !== "running") return false;
    // Somebody's backup or save: libvirt would let us wait for its end, and call that a failure.
    if ((await libvirt.jobOf(uuid)) !== "none") {
      this.#notBeforeMs.set(uuid, now() + BACKOFF_MS);
      return false;
    }
    // The plan may be from before the last one began, or before an operator took the domain.
    if (journal.contents.holds.includes(name)) return false;
    if (journal.contents.migrations.length >= rules().concurrent) return false;
    const entry: MigrationEntry = {
      domain: name,
      uuid,
      destination: wanted,
      sinceMs: now(),
      bandwidthBitsPerSecond,
      reason,
      outcome: "intended",
    };
    journal.write({ migrations: [...journal.contents.migrations, entry] });
    this.#calling.add(uuid);
    log.tell(
      "warning",
      "domain-migrating",
      `domain ${name} is moved to ${wanted} with at most ${formatRate(bandwidthBitsPerSecond)}: ${reason}`,
      { domain: name, destination: wanted },
    );
    // Nothing waits for its end: it may have to be aborted.
    void this.#carry(entry, destination).then(() => changed(`domain ${name} was moved, or not`));
    return true;
  }

  /** From the call to its answer; never rejects. */
  async #carry(entry: MigrationEntry, destination: Destination): Promise<void> {
    const { libvirt, log, now, rules } = this.#options;
    const { domain, uuid, bandwidthBitsPerSecond } = entry;
    const { uri, migrateUri } = destination;
    const timeoutMs = rules().timeoutMs + ABORT_MS;
    try {
      await libvirt.migrate(uuid, { uri, migrateUri, bandwidthBitsPerSecond, timeoutMs });
    } catch (error) {
      await this.#fail(entry, error);
      return;
    } finally {
      this.#calling.delete(uuid);
    }
    this.#forget(uuid);
    const tookMs = Math.round((now() - entry.sinceMs) / 100) * 100;
    log.tell(
      "notice",
      "domain-migrated",
      `domain ${domain} runs on ${destination.name} now, after ${formatDuration(tookMs)}`,
      { domain, destination: destination.name },
    );
  }

  /** What libvirt answered to a migration, other than that it is done. */
  async #fail(entry: MigrationEntry, error: unknown): Promise<void> {
    const { libvirt, log } = this.#options;
    const failure = asError(entry.domain, error);
    if (failure instanceof LibvirtError && failure.mayHappenYet) {
      log.tell(
        "warning",
        "migration-unanswered",
        `domain ${entry.domain}: whether it goes to ${entry.destination} isn't known: ${failure.message}`,
        { domain: entry.domain },
      );
      return;
    }
    let state: Awaited<ReturnType<typeof libvirt.stateOf>>;
    try {
      state = await libvirt.stateOf(entry.uuid);
    } catch {
      // It was answered: whenever it can be looked at, there is nothing to wait for any more.
      this.#record({ ...entry, outcome: "seen" });
      return;
    }
    if (state === "absent") this.#tellGone(entry);
    else this.#tellStayed(entry, failure.message, failure.retry !== "resync");
  }

  async #abort(entry: MigrationEntry, why: string, blamed: boolean): Promise<boolean> {
    const { libvirt, log, now } = this.#options;
    this.#notBeforeMs.set(entry.uuid, now() + BACKOFF_MS);
    const isUnderWay = (await libvirt.jobOf(entry.uuid)) === "migration";
    if (this.#entryOf(entry.uuid)?.sinceMs !== entry.sinceMs) return false;
    // What nobody waits for and isn't there is over, or never began: then there is nothing to abort.
    if (!isUnderWay && !this.#calling.has(entry.uuid)) return await this.#look(entry);
    if (!this.#aborting.has(entry.uuid)) {
      log.tell("warning", "migration-aborted", `domain ${entry.domain}: ${why}`, {
        domain: entry.domain,
      });
    }
    this.#aborting.set(entry.uuid, { why, blamed });
    if (isUnderWay) await libvirt.abortJob(entry.uuid);
    return false;
  }

  /** How a migration is that nobody waits for. */
  async #look(entry: MigrationEntry): Promise<boolean> {
    const { libvirt, log, now } = this.#options;
    if (this.#calling.has(entry.uuid)) return false;
    const state = await libvirt.stateOf(entry.uuid);
    const job = state === "absent" ? "none" : await libvirt.jobOf(entry.uuid);
    // Somebody else has looked meanwhile, and another may have begun since.
    if (this.#entryOf(entry.uuid) !== entry) return false;
    if (state === "absent") {
      this.#tellGone(entry);
      return true;
    }
    if (job === "migration") {
      if (entry.outcome === "seen") return false;
      this.#record({ ...entry, outcome: "seen" });
      log.tell(
        "info",
        "migration-adopted",
        `domain ${entry.domain} is still being moved to ${entry.destination} by us`,
        { domain: entry.domain },
      );
      return false;
    }
    // A host's clock that was set back must not keep it for longer.
    const mayBeginYet = entry.sinceMs <= now() && now() < entry.sinceMs + LATE_MS;
    if (entry.outcome === "intended" && mayBeginYet) return false;
    // Who wrote the intent and died may never have asked: then it is asked again.
    const wasTried = entry.outcome === "seen";
    this.#tellStayed(entry, "it came to nothing while nobody waited for it", wasTried);
    return true;
  }

  #tellGone(entry: MigrationEntry): void {
    this.#forget(entry.uuid);
    this.#options.log.tell(
      "notice",
      "domain-left",
      `domain ${entry.domain} is no longer here: it was moved to ${entry.destination}, or has ended`,
      { domain: entry.domain, destination: entry.destination },
    );
  }

  /** @param blamed the destination isn't asked again for a while */
  #tellStayed(entry: MigrationEntry, why: string, blamed: boolean): void {
    const { journal, log, now, rules } = this.#options;
    const aborted = this.#aborting.get(entry.uuid);
    const reason = aborted?.why ?? why;
    const { refusals } = journal.contents;
    const { uuid, destination } = entry;
    const refusal = { uuid, destination, untilMs: now() + rules().retryMs, reason };
    const others = refusals.filter(
      (other) => other.uuid !== uuid || other.destination !== destination,
    );
    this.#forget(uuid, (aborted?.blamed ?? blamed) ? { refusals: [...others, refusal] } : {});
    log.tell(
      "warning",
      "domain-stayed",
      `domain ${entry.domain} was not moved to ${destination}, and goes on here: ${reason}`,
      { domain: entry.domain, destination },
    );
  }

  /** Refusals end with the outage, and with their time. */
  #forgive(plan: Plan): void {
    const { journal, now } = this.#options;
    const { refusals } = journal.contents;
    if (refusals.length === 0) return;
    const isWhole = plan.teams.every((team) => team.condition === "ok");
    const left = isWhole ? [] : refusals.filter(({ untilMs }) => untilMs > now());
    if (left.length < refusals.length) this.#write({ refusals: left });
  }

  #entryOf(uuid: string): MigrationEntry | null {
    return this.#options.journal.contents.migrations.find((entry) => entry.uuid === uuid) ?? null;
  }

  #record(entry: MigrationEntry): void {
    const { migrations } = this.#options.journal.contents;
    this.#write({
      migrations: migrations.map((other) => (other.uuid === entry.uuid ? entry : other)),
    });
  }

  #forget(uuid: string, change: Partial<JournalContents> = {}): void {
    const { migrations } = this.#options.journal.contents;
    this.#aborting.delete(uuid);
    this.#write({ migrations: migrations.filter((entry) => entry.uuid !== uuid), ...change });
  }

  /** Writes what has happened already: that stands, whether the disk takes it or not. */
  #write(change: Partial<JournalContents>): void {
    const { journal, log } = this.#options;
    const error = journal.note(change);
    if (error !== null) log.tell("error", "state-unwritable", `${error.object}: ${error.message}`);
  }
}

function asError(domain: string, error: unknown): UplinkError {
  if (error instanceof Error && "kind" in error) return error as UplinkError;
  return new StateError(`domain ${domain}`, error instanceof Error ? error.message : String(error));
}
