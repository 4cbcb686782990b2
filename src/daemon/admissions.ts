/**
 * Answers libvirt's question whether a domain may start: by its annotation under `annotations: strict`, and by its
 * reservations under `admission: enforce`. A domain that was let in counts from then on, before it has started.
 */
import type { HookRequest } from "../hook/request.ts";
import { parseDomainXml } from "../libvirt/domain-xml.ts";
import type { DomainDefinition } from "../model/domain.ts";
import type { World } from "../model/world.ts";
import type { KnownDomain } from "../observe/world.ts";
import { describeShortfall, judgeAdmission, type Shortfall } from "../plan/admission.ts";
import type { LoadedConfig } from "../policy/load.ts";
import { type DomainMatch, matchPolicies } from "../policy/match.ts";
import type { EventLog } from "./events.ts";

export interface AdmissionsOptions {
  readonly log: EventLog;
  readonly now: () => number;
  readonly loaded: () => LoadedConfig;
  /** Whether the plan is put in force: what isn't enforced refuses nobody. */
  readonly enforcing: () => boolean;
  /** The world with these domains in it; null where nothing has been looked at yet. */
  readonly imagine: (domains: readonly KnownDomain[]) => World | null;
}

/**
 * Between `prepare` and `start` libvirt sets up disks, which may be slow; a start that died in between without
 * telling must not hold its reservation for ever. Milliseconds.
 */
const PENDING_LIMIT_MS = 120_000;

interface Pending {
  readonly known: KnownDomain;
  readonly untilMs: number;
}

export class Admissions {
  readonly #options: AdmissionsOptions;
  /** By name, domains that were let in and haven't started yet. */
  readonly #pending = new Map<string, Pending>();

  constructor(options: AdmissionsOptions) {
    this.#options = options;
  }

  /**
   * Judges a start. A mistake in here lets the domain in.
   * @returns why it may not start, for whoever starts it, or null
   * @throws LibvirtError if its XML can't be read
   */
  admit(request: HookRequest): string | null {
    const { loaded, log } = this.#options;
    const { config, policies } = loaded();
    const definition = parseDomainXml(request.xml, `domain ${request.domain}`);
    const match = matchPolicies(definition, policies, config);
    for (const problem of match.problems) {
      log.tell("warning", "annotation", `${problem.object}: ${problem.message}`, {
        domain: definition.name,
      });
    }
    if (match.refusal !== null) return match.refusal;
    try {
      return this.#judge(definition, match);
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      log.tell("error", "bug", `domain ${definition.name} is let in unjudged: ${text}`);
      return null;
    }
  }

  /** It has started, or has ended: it counts as any other from here on, or no more. */
  settle(domain: string): void {
    this.#pending.delete(domain);
  }

  #judge(definition: DomainDefinition, { policies, problems }: DomainMatch): string | null {
    const { enforcing, imagine, loaded, now } = this.#options;
    const { mode, survive } = loaded().config.admission;
    if (mode === "off") return null;
    const known: KnownDomain = {
      definition,
      phase: "starting",
      policies,
      problems,
      held: false,
      pausedByUs: null,
      exempt: null,
      migration: null,
      refusals: [],
    };
    const nowMs = now();
    for (const [name, { untilMs }] of this.#pending)
      if (untilMs <= nowMs || name === definition.name) this.#pending.delete(name);
    const starting = [...this.#pending.values()].map((pending) => pending.known);
    const world = imagine([...starting, known]);
    const shortfalls = world === null ? [] : judgeAdmission(world, definition.name, survive);
    const [first] = shortfalls;
    if (first !== undefined) {
      const refusal = this.#tell(definition.name, first, shortfalls.length, mode === "enforce");
      if (mode === "enforce" && enforcing()) return refusal;
    }
    this.#pending.set(definition.name, { known, untilMs: nowMs + PENDING_LIMIT_MS });
    return null;
  }

  #tell(name: string, first: Shortfall, count: number, enforced: boolean): string {
    const { enforcing, log } = this.#options;
    const more = count > 1 ? `; and ${count - 1} more` : "";
    const reason = `${describeShortfall(first, name)}${more}`;
    const refused = enforced && enforcing();
    log.tell(
      "warning",
      refused ? "domain-refused" : "domain-unfit",
      `domain ${name} ${refused ? "is refused" : "starts all the same"}: ${reason}`,
      { domain: name },
    );
    return `${reason} (admission: enforce; lower the reservation, or make room)`;
  }
}
