/** What its policy does to a domain that lacks something after a loss, as far as it depends on nothing but the domain. */
import { FAILOVER_ACTIONS, type FailoverAction } from "../model/policy.ts";
import type { DomainState } from "../model/world.ts";
import type { Member } from "./roster.ts";

/** From here on a fate isn't known from the domain alone: where it can be moved to depends on more. */
export const TO_BE_JUDGED = FAILOVER_ACTIONS.indexOf("migrate");

/** A place in FAILOVER_ACTIONS: what is done if this vNIC lacks something, and no other of its domain does. */
export function fateOf({ domain, vnic }: Member): number {
  const { action } = vnic.policy.failover;
  return FAILOVER_ACTIONS.indexOf(whyMild(domain, action) === null ? action : "throttle");
}

/** Why nothing stronger than throttling may be done to a domain, or null. */
export function whyMild(domain: DomainState, action: FailoverAction): string | null {
  if (action === "throttle") return null;
  if (domain.held) return "held by an operator";
  if (domain.exempt !== null) return domain.exempt;
  if (action === "discard") return null;
  if (domain.owner !== null) return `${domain.owner} manages it`;
  // A person's pause is left alone, and what hasn't started can't be stopped.
  if (domain.pausedByUs === null && domain.phase !== "running") return `it is ${domain.phase}`;
  return null;
}
