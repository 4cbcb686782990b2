/**
 * Pauses and resumes domains as planned, journaled before the act. A domain is resumed only while it is paused by
 * us and nobody has touched it since; whatever a person does to it wins.
 */
import { LibvirtError, StateError, type UplinkError } from "../model/errors.ts";
import type { DomainPlan, Plan } from "../model/plan.ts";
import { PRIORITIES } from "../model/policy.ts";
import type { DomainState, World } from "../model/world.ts";
import type { EventLog } from "./events.ts";
import type { Journal, JournalContents, PauseEntry } from "./journal.ts";
import type { LibvirtPort } from "./ports.ts";
import type { Registry } from "./registry.ts";

export interface PausesOptions {
  readonly journal: Journal;
  readonly registry: Registry;
  readonly libvirt: Pick<LibvirtPort, "suspend" | "resume" | "stateOf">;
  readonly log: EventLog;
  readonly now: () => number;
}

/** After a refusal libvirt isn't asked again about the same domain for this long. */
const BACKOFF_MS = 10_000;
/**
 * A pause that libvirt was asked for without an answer may still come so much later: a call waits for a domain's
 * other job for 30 s (QEMU_JOB_WAIT_TIME), and then for QEMU's monitor.
 */
const LATE_MS = 60_000;

export class Pauses {
  readonly #options: PausesOptions;
  /** Domains with a call of ours under way. */
  readonly #busy = new Set<string>();
  readonly #notBeforeMs = new Map<string, number>();
  /** Domains whose resume libvirt was asked for without an answer: if they run, it may have been that. */
  readonly #unanswered = new Set<string>();
  /** When we last asked for each domain's resume. */
  readonly #resumedAtMs = new Map<string, number>();

  constructor(options: PausesOptions) {
    this.#options = options;
    const { exemptions } = options.journal.contents;
    for (const { uuid, reason } of exemptions) options.registry.exempt(uuid, reason);
  }

  /**
   * Starts what is due, at most one call a domain at a time.
   * @returns settles when all calls have ended; true if anything changed, so that the loop should run again
   */
  async carryOut(world: World, plan: Plan): Promise<boolean> {
    this.#options.journal.catchUp();
    if (plan.teams.every((team) => team.condition === "ok")) this.#forgive();
    const states = new Map(world.domains.map((domain) => [domain.name, domain]));
    const calls = inOrder(world, plan.domains).flatMap((wish) => {
      const domain = states.get(wish.domain);
      if (domain === undefined || wish.dueAtMs > world.nowMs || this.#busy.has(domain.uuid))
        return [];
      if ((this.#notBeforeMs.get(domain.uuid) ?? 0) > world.nowMs) return [];
      const isPaused = this.#entryOf(domain.uuid)?.outcome === "done";
      if (wish.action === "pause" && !isPaused && domain.phase === "running") {
        return [this.#guard(domain, () => this.#pause(domain, wish))];
      }
      if (wish.action === "resume" && domain.pausedByUs !== null) {
        return [this.#guard(domain, () => this.#resume(domain, wish))];
      }
      return [];
    });
    const outcomes = await Promise.all(calls);
    return outcomes.some((changed) => changed);
  }

  /**
   * libvirt says that a domain was resumed. Unless that was us, a person did it: it is theirs from now on. What is said of
   * a resume of our own may come late, when we have paused it again.
   * @returns settles once that is known; true if it was taken over
   */
  async noteResumed(uuid: string): Promise<boolean> {
    const entry = this.#entryOf(uuid);
    if (entry === null || this.#busy.has(uuid)) return false;
    const resumedAtMs = this.#resumedAtMs.get(uuid) ?? Number.NEGATIVE_INFINITY;
    if (this.#options.now() < resumedAtMs + LATE_MS) {
      try {
        if ((await this.#options.libvirt.stateOf(uuid)) !== "running") return false;
      } catch {
        // Once libvirt can be asked again, all are looked at: see settle.
        return false;
      }
      if (this.#entryOf(uuid) !== entry || this.#busy.has(uuid)) return false;
    }
    this.#leave(entry);
    return true;
  }

  /** To who has resumed it, as long as its team is not whole. */
  #leave({ uuid, domain }: PauseEntry): void {
    this.#forget(uuid, "a person resumed it");
    this.#options.log.tell(
      "notice",
      "domain-taken-over",
      `domain ${domain} was resumed by somebody else: left alone until its team is whole`,
      { domain },
    );
  }

  /** libvirt says that a domain has ended. */
  noteStopped(uuid: string): void {
    const { exemptions } = this.#options.journal.contents;
    if (this.#entryOf(uuid) !== null || exemptions.some((entry) => entry.uuid === uuid))
      this.#forget(uuid);
    this.#notBeforeMs.delete(uuid);
    this.#resumedAtMs.delete(uuid);
  }

  /**
   * Settles what an earlier run of the daemon left: looks at each domain that the journal says was paused.
   * @throws LibvirtError if libvirt can't be asked; to be tried again
   */
  async settle(): Promise<void> {
    const { journal, libvirt, log } = this.#options;
    for (const entry of journal.contents.pauses) {
      if (this.#busy.has(entry.uuid)) continue;
      const state = await libvirt.stateOf(entry.uuid);
      if (state === "paused") {
        // A host's clock that was set back meanwhile must not make the pause longer than is allowed.
        const sinceMs = Math.min(entry.sinceMs, this.#options.now());
        if (entry.outcome === "intended" || sinceMs !== entry.sinceMs)
          this.#record({ ...entry, sinceMs, outcome: "done" });
        log.tell(
          "info",
          "pause-adopted",
          `domain ${entry.domain} is still paused by us: ${entry.reason}`,
          {
            domain: entry.domain,
          },
        );
        continue;
      }
      if (state === "running" && this.#mayComeYet(entry)) continue;
      const isPersons = state === "running" && entry.outcome === "done";
      this.#forget(entry.uuid, isPersons ? "a person resumed it" : null);
      if (isPersons) {
        log.tell(
          "notice",
          "domain-taken-over",
          `domain ${entry.domain} was resumed by somebody else while uplinkd was away`,
          { domain: entry.domain },
        );
      }
    }
  }

  /** Resumes everything that we paused, for a release. */
  async resumeAll(): Promise<readonly UplinkError[]> {
    const failed: UplinkError[] = [];
    for (const entry of this.#options.journal.contents.pauses) {
      try {
        if ((await this.#options.libvirt.stateOf(entry.uuid)) === "paused") {
          this.#busy.add(entry.uuid);
          await this.#options.libvirt.resume(entry.uuid);
        }
        this.#forget(entry.uuid);
      } catch (error) {
        failed.push(asError(entry.domain, error));
      } finally {
        this.#busy.delete(entry.uuid);
      }
    }
    return failed;
  }

  async #guard(domain: DomainState, call: () => Promise<boolean>): Promise<boolean> {
    this.#busy.add(domain.uuid);
    try {
      return await call();
    } catch (error) {
      const failure = asError(domain.name, error);
      this.#notBeforeMs.set(domain.uuid, this.#options.now() + BACKOFF_MS);
      this.#options.log.tell(
        "error",
        "action-failed",
        `domain ${domain.name}: ${failure.object}: ${failure.message}; tried again in ${BACKOFF_MS / 1000}s`,
        { domain: domain.name },
      );
      return false;
    } finally {
      this.#busy.delete(domain.uuid);
    }
  }

  async #pause(domain: DomainState, wish: DomainPlan): Promise<boolean> {
    const { journal, libvirt, log, now, registry } = this.#options;
    const reason = wish.reasons.join("; ");
    const entry: PauseEntry = {
      domain: domain.name,
      uuid: domain.uuid,
      sinceMs: now(),
      reason,
      demandBitsPerSecond: Object.fromEntries(
        domain.vnics.flatMap((vnic) =>
          vnic.latchedDemandBitsPerSecond === null
            ? []
            : [[vnic.mac, vnic.latchedDemandBitsPerSecond]],
        ),
      ),
      outcome: "intended",
    };
    // A domain that somebody else has paused is not ours to pause, nor to resume later.
    if ((await libvirt.stateOf(domain.uuid)) !== "running") return false;
    // While libvirt was asked an operator may have taken it.
    if (journal.contents.holds.includes(domain.name)) return false;
    this.#record(entry);
    try {
      await libvirt.suspend(domain.uuid);
    } catch (error) {
      if ((await libvirt.stateOf(domain.uuid)) !== "paused") {
        if (!(error instanceof LibvirtError && error.mayHappenYet)) this.#forget(domain.uuid);
        throw error;
      }
    }
    this.#record({ ...entry, outcome: "done" });
    registry.setPhase(domain.uuid, "paused");
    log.tell("warning", "domain-paused", `domain ${domain.name} paused: ${reason}`, {
      domain: domain.name,
    });
    return true;
  }

  async #resume(domain: DomainState, wish: DomainPlan): Promise<boolean> {
    const { libvirt, log, registry } = this.#options;
    const state = await libvirt.stateOf(domain.uuid);
    const entry = this.#entryOf(domain.uuid);
    if (state === "running" && entry !== null && this.#mayComeYet(entry)) return false;
    if (state === "running" && entry?.outcome === "done" && !this.#unanswered.has(domain.uuid)) {
      // Somebody was quicker; that its signal came meanwhile was taken for our own resume's.
      this.#leave(entry);
      return true;
    }
    if (state === "paused") await this.#askResume(domain.uuid);
    const reason = wish.reasons.join("; ");
    // Why it was resumed although it may not fit must not make it fall again at once.
    const isOverdue = reason.includes("longest pause");
    this.#forget(domain.uuid, isOverdue ? "it was paused as long as allowed" : null);
    if (state !== "paused") return true;
    registry.setPhase(domain.uuid, "running");
    log.tell("notice", "domain-resumed", `domain ${domain.name} resumed: ${reason}`, {
      domain: domain.name,
    });
    return true;
  }

  async #askResume(uuid: string): Promise<void> {
    this.#resumedAtMs.set(uuid, this.#options.now());
    try {
      await this.#options.libvirt.resume(uuid);
    } catch (error) {
      if (error instanceof LibvirtError && error.mayHappenYet) this.#unanswered.add(uuid);
      throw error;
    }
  }

  /** Whether a pause that was asked for, and that nobody has seen, may still come. */
  #mayComeYet(entry: PauseEntry): boolean {
    return entry.outcome === "intended" && this.#options.now() < entry.sinceMs + LATE_MS;
  }

  #entryOf(uuid: string): PauseEntry | null {
    return this.#options.journal.contents.pauses.find((entry) => entry.uuid === uuid) ?? null;
  }

  /** @throws StateError: then the act that it was to tell of must not happen */
  #record(entry: PauseEntry): void {
    const others = this.#options.journal.contents.pauses.filter(
      (other) => other.uuid !== entry.uuid,
    );
    this.#options.journal.write({ pauses: [...others, entry] });
  }

  /** Everything is whole: who was left alone during the last outage is one of many in the next. */
  #forgive(): void {
    const { journal, registry } = this.#options;
    registry.clearExemptions();
    if (journal.contents.exemptions.length > 0) this.#write({ exemptions: [] });
  }

  /** @param exemption why it isn't paused again before its team is whole; null: it may be */
  #forget(uuid: string, exemption: string | null = null): void {
    const { journal, registry } = this.#options;
    this.#unanswered.delete(uuid);
    const pauses = journal.contents.pauses.filter((entry) => entry.uuid !== uuid);
    const others = journal.contents.exemptions.filter((entry) => entry.uuid !== uuid);
    const own = exemption === null ? [] : [{ uuid, reason: exemption }];
    if (exemption !== null) registry.exempt(uuid, exemption);
    this.#write({ pauses, exemptions: [...others, ...own] });
  }

  /** Writes what has happened already: that stands, whether the disk takes it or not. */
  #write(change: Partial<JournalContents>): void {
    const { journal, log } = this.#options;
    const error = journal.note(change);
    if (error !== null) log.tell("error", "state-unwritable", `${error.object}: ${error.message}`);
  }
}

/** Pauses first, lowest priority first; then resumes, highest priority first. */
function inOrder(world: World, wishes: readonly DomainPlan[]): readonly DomainPlan[] {
  const ranks = new Map(
    world.domains.map(({ name, vnics }) => [
      name,
      Math.min(...vnics.map((vnic) => PRIORITIES.indexOf(vnic.policy.priority))),
    ]),
  );
  const placeOf = ({ action, domain }: DomainPlan) => {
    const rank = ranks.get(domain) ?? 0;
    return action === "resume" ? PRIORITIES.length + rank : -rank;
  };
  return wishes.toSorted((a, b) => placeOf(a) - placeOf(b));
}

function asError(domain: string, error: unknown): UplinkError {
  if (error instanceof Error && "kind" in error) return error as UplinkError;
  return new StateError(`domain ${domain}`, error instanceof Error ? error.message : String(error));
}
