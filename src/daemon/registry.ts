/** The domains that the daemon knows, in the order of their arrival. */
import type { Config } from "../model/config.ts";
import type { DomainDefinition, DomainPhase, Problem } from "../model/domain.ts";
import type { Mac } from "../model/mac.ts";
import type { NetworkPolicy, NetworkWish } from "../model/policy.ts";
import type { MigrationRecord, PauseRecord, Refusal } from "../model/world.ts";
import type { KnownDomain } from "../observe/world.ts";
import { matchesGlob, matchPolicies } from "../policy/match.ts";

/** What was done to domains, by us and by operators. */
export interface Deeds {
  readonly pauses: readonly PauseRecord[];
  readonly migrations: readonly MigrationRecord[];
  readonly refusals: readonly Refusal[];
  /** Names. */
  readonly holds: readonly string[];
}

const NO_REFUSALS: readonly Refusal[] = [];

interface Entry {
  readonly definition: DomainDefinition;
  readonly phase: DomainPhase;
  readonly policies: ReadonlyMap<Mac, NetworkPolicy>;
  readonly problems: readonly Problem[];
}

/** Ends that are remembered; what was read of a domain before its end arrives within seconds. */
const MAX_ENDS = 1000;
/** A guest may hot-plug NICs, but not without end: PCI has fewer slots than this. */
const MAX_VNICS_PER_DOMAIN = 64;

export class Registry {
  readonly #entries = new Map<string, Entry>();
  readonly #exempt = new Map<string, string>();
  /** How often each domain has ended, the latest last. */
  readonly #ends = new Map<string, number>();
  #policies: ReadonlyMap<string, NetworkWish> = new Map();
  #config: Config;

  constructor(config: Config, policies: ReadonlyMap<string, NetworkWish>) {
    this.#config = config;
    this.#policies = policies;
  }

  /** Takes new policies for all domains. */
  reload(config: Config, policies: ReadonlyMap<string, NetworkWish>): void {
    this.#config = config;
    this.#policies = policies;
    for (const [uuid, entry] of this.#entries) this.#put(uuid, entry.definition, entry.phase);
  }

  /**
   * Adds a domain or takes its new definition.
   * @returns its effective policies, and why a strict configuration refuses it, or null
   */
  put(definition: DomainDefinition, phase: DomainPhase): { readonly refusal: string | null } {
    return this.#put(definition.uuid, definition, phase);
  }

  setPhase(uuid: string, phase: DomainPhase): void {
    const entry = this.#entries.get(uuid);
    if (entry !== undefined) this.#entries.set(uuid, { ...entry, phase });
  }

  remove(uuid: string): boolean {
    this.#exempt.delete(uuid);
    const ends = this.endsOf(uuid) + 1;
    this.#ends.delete(uuid);
    this.#ends.set(uuid, ends);
    const [oldest] = this.#ends.keys();
    if (this.#ends.size > MAX_ENDS && oldest !== undefined) this.#ends.delete(oldest);
    return this.#entries.delete(uuid);
  }

  /** How often a domain has ended so far: what was read of it before another end is no longer so. */
  endsOf(uuid: string): number {
    return this.#ends.get(uuid) ?? 0;
  }

  has(uuid: string): boolean {
    return this.#entries.has(uuid);
  }

  phaseOf(uuid: string): DomainPhase | null {
    return this.#entries.get(uuid)?.phase ?? null;
  }

  nameOf(uuid: string): string | null {
    return this.#entries.get(uuid)?.definition.name ?? null;
  }

  /** The uuid of the domain with this name, or null. */
  findByName(name: string): string | null {
    for (const [uuid, entry] of this.#entries) if (entry.definition.name === name) return uuid;
    return null;
  }

  uuids(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /** No pause of ours for this domain until its team is whole again. */
  exempt(uuid: string, reason: string): void {
    this.#exempt.set(uuid, reason);
  }

  clearExemptions(): void {
    this.#exempt.clear();
  }

  /** All domains, as the world is built from them. */
  list({ pauses, migrations, refusals, holds }: Deeds): KnownDomain[] {
    return [...this.#entries].map(([uuid, entry]) => ({
      ...entry,
      definition: { ...entry.definition, owner: this.#ownerOf(entry.definition) },
      held: holds.includes(entry.definition.name),
      pausedByUs: pauses.find((pause) => pause.uuid === uuid) ?? null,
      exempt: this.#exempt.get(uuid) ?? null,
      migration: migrations.find((migration) => migration.uuid === uuid) ?? null,
      // Nearly always none, and then the same array: what is the same in two worlds isn't planned again.
      refusals: refusals.some((refusal) => refusal.uuid === uuid)
        ? refusals.filter((refusal) => refusal.uuid === uuid)
        : NO_REFUSALS,
    }));
  }

  /** What its metadata says wins over the configuration's patterns. */
  #ownerOf({ name, owner }: DomainDefinition): string | null {
    const stated = this.#config.owners.find(({ domain }) => matchesGlob(domain, name));
    return owner ?? stated?.manager ?? null;
  }

  #put(uuid: string, definition: DomainDefinition, phase: DomainPhase): { refusal: string | null } {
    const bounded = { ...definition, vnics: definition.vnics.slice(0, MAX_VNICS_PER_DOMAIN) };
    const match = matchPolicies(bounded, this.#policies, this.#config);
    // matchPolicies repeats the definition's own problems.
    this.#entries.set(uuid, {
      definition: { ...bounded, problems: [] },
      phase,
      policies: match.policies,
      problems: match.problems,
    });
    return { refusal: match.refusal };
  }
}
