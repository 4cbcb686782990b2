/** Puts the plan in force: for the whole host, for one team, or for one domain as a canary. */
import type { EnableAnswer, EnablePart } from "../control/api.ts";
import type { Problem } from "../model/domain.ts";
import { ConflictError } from "../model/errors.ts";
import { describeScope, type Scope, WHOLE_HOST } from "../model/scope.ts";
import type { Confirmation } from "./confirmation.ts";
import type { ControlLoop } from "./loop.ts";

export interface EnablingOptions {
  readonly loop: Pick<ControlLoop, "drift" | "enable" | "imagine" | "mode" | "scope">;
  readonly confirmation: Pick<Confirmation, "begin" | "confirm" | "dueMs">;
  /** The file that keeps everything off: `/etc/uplinkd/disabled`. */
  readonly flagFile: string;
}

/**
 * Enables a part, or all.
 * @param confirmWithinMs rolled back after so long unless confirmed; null: for good
 * @throws ConflictError for another part than the one that is enabled; StateError if it can't be written down
 */
export async function enablePart(
  { confirmation, flagFile, loop }: EnablingOptions,
  confirmWithinMs: number | null,
  part: EnablePart,
): Promise<EnableAnswer> {
  const scope = scopeOf(part, loop);
  const isNew = loop.mode !== "enforcing" || !sameScope(loop.scope, scope);
  if (loop.mode === "enforcing" && isNew && scope.kind !== "host") {
    // Taking away what is left out is release's work: it puts back what carries no mark of ours, too.
    const message = `is not the part that is enabled, which is ${describeScope(loop.scope)}`;
    throw new ConflictError(describeScope(scope), `${message}: \`uplinkctl release\` first`);
  }
  if (confirmWithinMs === null) confirmation.confirm();
  // What is enforced for good is not put at risk by asking again.
  else if (isNew || confirmation.dueMs !== null) confirmation.begin(confirmWithinMs);
  await loop.enable(scope);
  const problems: Problem[] = loop.drift.map((drift) => ({
    object: drift.object,
    message: drift.message,
    remedy: "see `uplinkctl status` and `uplinkctl events`",
  }));
  if (loop.mode !== "enforcing") {
    problems.push({
      object: "uplinkd",
      message: `changes nothing: it was started with --observe, or ${flagFile} exists`,
      remedy: "systemctl restart uplinkd without it",
    });
  }
  return { mode: loop.mode, scope, confirmByMs: confirmation.dueMs, problems };
}

function scopeOf(part: EnablePart, loop: EnablingOptions["loop"]): Scope {
  if (part.kind !== "domain") return part.kind === "host" ? WHOLE_HOST : part;
  // Asked again, the canary's own world has no other teams to look at.
  if (loop.scope.kind === "domain" && loop.scope.domain === part.domain) return loop.scope;
  const domain = loop.imagine([])?.domains.find(({ name }) => name === part.domain);
  const teams = new Set(domain?.vnics.flatMap(({ team }) => (team === null ? [] : [team])));
  if (teams.size === 0) {
    throw new ConflictError(
      `domain ${part.domain}`,
      "has no vNIC that can be shaped; `uplinkctl explain` says why",
    );
  }
  return { kind: "domain", domain: part.domain, teams: [...teams] };
}

function sameScope(one: Scope, other: Scope): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
