/**
 * Which of a world's domains want looking at beside their vNICs' plans: of ten thousand mostly none. Found in one pass;
 * of a domain that is the same object as in an earlier world it is known.
 */
import type { DomainPlan } from "../model/plan.ts";
import type { DomainState } from "../model/world.ts";

type Domains = readonly DomainState[];

/** One entry a domain. */
interface Survey {
  readonly flags: Uint8Array;
  /** All of them together. */
  readonly anyFlag: number;
  /** The plan to do nothing to it. */
  readonly nothing: readonly DomainPlan[];
}

/** It has a vNIC that isn't shaped, or whose tap isn't in its bridge. */
const TROUBLED = 1;
/** We have paused it, or it is being moved to another host. */
const HANDLED = 2;

/** Lists of domains are never changed; what was found is forgotten with them. */
const FOUND = new WeakMap<Domains, Survey>();

/** Those that have a vNIC that isn't shaped, or whose tap isn't in its bridge. */
export function listTroubled(domains: Domains): DomainState[] {
  return select(domains, TROUBLED);
}

/** Those that we have paused, and those that are being moved to another host. */
export function listHandled(domains: Domains): DomainState[] {
  return select(domains, HANDLED);
}

/** For each domain, in order, the plan to do nothing to it, which mostly is what is planned. */
export function listNothing(domains: Domains): readonly DomainPlan[] {
  return surveyDomains(domains).nothing;
}

/** Looks at a world's domains. @param earlier those of an earlier world */
export function surveyDomains(domains: Domains, earlier: Domains = []): Survey {
  const found = FOUND.get(domains);
  if (found !== undefined) return found;
  const known = FOUND.get(earlier);
  const survey = (known && surveyAgain(domains, earlier, known)) ?? surveyAnew(domains);
  FOUND.set(domains, survey);
  return survey;
}

/** What was found of an earlier world, where of each domain that stands at its place the same is to be said; else null. */
function surveyAgain(domains: Domains, earlier: Domains, known: Survey): Survey | null {
  if (domains.length !== earlier.length) return null;
  for (let index = 0; index < domains.length; index += 1) {
    const [domain, old] = [domains[index] as DomainState, earlier[index] as DomainState];
    if (domain !== old && (domain.name !== old.name || lookAt(domain) !== known.flags[index]))
      return null;
  }
  return known;
}

function surveyAnew(domains: Domains): Survey {
  const flags = new Uint8Array(domains.length);
  const nothing = new Array<DomainPlan>(domains.length);
  let anyFlag = 0;
  for (let index = 0; index < flags.length; index += 1) {
    const domain = domains[index] as DomainState;
    const flag = lookAt(domain);
    flags[index] = flag;
    anyFlag |= flag;
    nothing[index] = planNothing(domain.name);
  }
  return { flags, anyFlag, nothing };
}

function lookAt({ pausedByUs, migration, vnics }: DomainState): number {
  const handled = pausedByUs !== null || migration !== null ? HANDLED : 0;
  const troubled = vnics.some(
    ({ unshapedReason, detachedFrom }) => unshapedReason !== null || detachedFrom !== undefined,
  );
  return handled | (troubled ? TROUBLED : 0);
}

function planNothing(domain: string): DomainPlan {
  return { domain, action: "none", dueAtMs: 0, migration: null, reasons: NO_REASONS };
}

const NO_REASONS: readonly string[] = [];

function select(domains: Domains, flag: number): DomainState[] {
  const { flags, anyFlag } = surveyDomains(domains);
  if ((anyFlag & flag) === 0) return [];
  return domains.filter((_domain, index) => ((flags[index] as number) & flag) !== 0);
}
