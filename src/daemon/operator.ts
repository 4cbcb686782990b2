/**
 * What operators tell us to keep off: domains that are held, uplinks that are drained. Written to the journal before
 * it takes effect, so that it outlives the daemon and the domain.
 */
import type { DrainAnswer, HoldAnswer } from "../control/api.ts";
import { ConflictError } from "../model/errors.ts";
import { judgeDrain } from "../plan/drain.ts";
import type { EventLog } from "./events.ts";
import type { Journal } from "./journal.ts";
import type { ControlLoop, Run } from "./loop.ts";
import type { Registry } from "./registry.ts";

export interface OperatorOptions {
  readonly journal: Journal;
  readonly registry: Pick<Registry, "findByName">;
  readonly log: EventLog;
  readonly now: () => number;
  readonly loop: Pick<ControlLoop, "drift" | "imagine" | "last" | "mode">;
  /** Puts it in force: a run of the loop with what follows from it. */
  readonly enforce: () => Promise<void>;
}

export class Operator {
  readonly #options: OperatorOptions;

  constructor(options: OperatorOptions) {
    this.#options = options;
  }

  /**
   * Keeps uplinkd off a domain: it is shaped, and neither paused nor discarded; what we have paused is resumed.
   * @returns null where no such domain runs
   * @throws StateError if it can't be written down
   */
  async hold(domain: string): Promise<HoldAnswer | null> {
    const { enforce, journal, log, registry } = this.#options;
    const { holds } = journal.contents;
    if (!holds.includes(domain)) {
      if (registry.findByName(domain) === null) return null;
      journal.write({ holds: [...holds, domain] });
      log.tell("notice", "domain-held", `domain ${domain} is held by an operator`, { domain });
      await enforce();
    }
    return { domain, held: true };
  }

  /** @returns null where no such domain runs, nor is held */
  async unhold(domain: string): Promise<HoldAnswer | null> {
    const { enforce, journal, log, registry } = this.#options;
    const { holds } = journal.contents;
    if (holds.includes(domain)) {
      journal.write({ holds: holds.filter((name) => name !== domain) });
      log.tell("notice", "domain-unheld", `domain ${domain} is no longer held`, { domain });
      await enforce();
    } else if (registry.findByName(domain) === null) return null;
    return { domain, held: false };
  }

  /**
   * Takes an uplink out of service: everything that it carries moves away, and it stays ready for what falls back.
   * @param uplink of a team
   * @param force although reservations break
   * @throws ConflictError with the reasons why not; StateError if it can't be written down
   */
  async drain(uplink: string, force: boolean): Promise<DrainAnswer> {
    const { enforce, journal, log, loop, now } = this.#options;
    if (loop.mode !== "enforcing")
      throw new ConflictError(`uplink ${uplink}`, `nothing is moved: uplinkd is ${loop.mode}`);
    const { drains } = journal.contents;
    if (drains.some((drain) => drain.uplink === uplink)) return this.#describe(uplink, []);
    const world = loop.imagine([]);
    const team = world?.teams.find(({ uplinks }) => uplinks.some(({ name }) => name === uplink));
    const reasons =
      world === null || team === undefined
        ? ["no team that is managed has it"]
        : judgeDrain(world, team, uplink);
    if (reasons.length > 0 && !force) {
      const text = summary(reasons);
      throw new ConflictError(
        `uplink ${uplink}`,
        `not drained: ${text}; --force drains it all the same`,
      );
    }
    journal.write({ drains: [...drains, { uplink, sinceMs: now() }] });
    const although = reasons.length > 0 ? `, although ${summary(reasons)}` : "";
    log.tell("notice", "uplink-drained", `uplink ${uplink} is drained by an operator${although}`, {
      uplink,
    });
    await enforce();
    // Another look tells whether bonding has moved its active port.
    await enforce();
    return this.#describe(uplink, reasons);
  }

  /** Puts an uplink back into service. */
  async undrain(uplink: string): Promise<DrainAnswer> {
    const { enforce, journal, log } = this.#options;
    const { drains } = journal.contents;
    if (drains.some((drain) => drain.uplink === uplink)) {
      journal.write({ drains: drains.filter((drain) => drain.uplink !== uplink) });
      log.tell("notice", "uplink-undrained", `uplink ${uplink} is in service again`, { uplink });
      await enforce();
    }
    return this.#describe(uplink, []);
  }

  #describe(uplink: string, reasons: readonly string[]): DrainAnswer {
    const { journal, loop } = this.#options;
    const drained = journal.contents.drains.some((drain) => drain.uplink === uplink);
    const isActive = loop.last?.world.teams.some(({ bond }) => bond?.activePort === uplink);
    return {
      uplink,
      drained,
      problems: [
        ...(drained && isActive ? ["it is still the bond's active port"] : []),
        ...loop.drift.map(({ object, message }) => `${object}: ${message}`),
      ],
      carries: loop.last === null ? [] : carriedBy(uplink, loop.last),
      reasons,
    };
  }
}

/** Domains whose frames an uplink carries by plan. */
function carriedBy(uplink: string, { plan }: Run): readonly string[] {
  const carried = plan.vnics.filter((vnic) => vnic.via === uplink);
  return [...new Set(carried.map((vnic) => vnic.domain))];
}

/** So many reasons are told; the rest is counted. */
const MAX_REASONS = 5;

function summary(reasons: readonly string[]): string {
  const rest = reasons.length - MAX_REASONS;
  return reasons.slice(0, MAX_REASONS).join("; ") + (rest > 0 ? `; and ${rest} more` : "");
}
