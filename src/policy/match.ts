/** From an annotation and the named policies to each vNIC's policy. Pure. */
import type { Cap, Config } from "../model/config.ts";
import type { DomainDefinition, Problem, VnicDefinition } from "../model/domain.ts";
import type { Mac } from "../model/mac.ts";
import {
  FAILOVER_ACTIONS,
  FALLBACK_POLICY,
  type FailoverAction,
  mergePolicy,
  type NetworkPolicy,
  type NetworkWish,
  PRIORITIES,
} from "../model/policy.ts";
import { clip, formatRate } from "../model/units.ts";

export interface DomainMatch {
  /** Each vNIC's effective policy. */
  readonly policies: ReadonlyMap<Mac, NetworkPolicy>;
  /** The annotation's own problems and those found here. */
  readonly problems: readonly Problem[];
  /** Under `annotations: strict`, why the domain must not start; null where it may. */
  readonly refusal: string | null;
}

/**
 * Finds the effective policy of each vNIC of a domain. From the lowest: the fallback, the named policy (of the
 * interface, else of the domain, else `default`), the domain's own values, the interface's own values; libvirt's
 * `<bandwidth>` is the limit where neither of the last two gives one. Then the first cap that matches holds.
 */
export function matchPolicies(
  domain: DomainDefinition,
  policies: ReadonlyMap<string, NetworkWish>,
  config: Pick<Config, "annotations" | "caps">,
): DomainMatch {
  const cap = config.caps.find((entry) => matchesGlob(entry.domain, domain.name)) ?? null;
  const problems = new ProblemList(`domain ${clip(domain.name)}`, domain.problems);
  const effective = new Map<Mac, NetworkPolicy>();
  for (const vnic of domain.vnics) {
    const wished = wishFor(domain, vnic, policies, problems);
    const capped = cap === null ? wished : applyCap(wished, cap, problems);
    effective.set(vnic.mac, holdToLimit(capped, vnic.mac, problems));
  }
  const [first] = problems.all;
  const strict = config.annotations === "strict" && first !== undefined;
  return {
    policies: effective,
    problems: problems.all,
    refusal: strict ? `${first.object}: ${first.message} (annotations: strict)` : null,
  };
}

/**
 * Whether a name matches a pattern in which `*` stands for any text and `?` for one character. Linear in
 * practice and quadratic at worst, unlike a regular expression made from the same pattern.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let resume = 0;
  while (t < text.length) {
    if (pattern[p] === "*") {
      star = p++;
      resume = t;
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === text[t])) {
      p++;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++resume;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

/** Collects problems; what holds for several vNICs of a domain is said once. */
class ProblemList {
  readonly all: Problem[];
  readonly #object: string;

  constructor(object: string, known: readonly Problem[]) {
    this.#object = object;
    this.all = [...known];
  }

  add(message: string, remedy: string, object = this.#object): void {
    if (this.all.some((seen) => seen.object === object && seen.message === message)) return;
    this.all.push({ object, message, remedy });
  }
}

function wishFor(
  domain: DomainDefinition,
  vnic: VnicDefinition,
  policies: ReadonlyMap<string, NetworkWish>,
  problems: ProblemList,
): NetworkPolicy {
  const forDomain = domain.annotation?.domain ?? {};
  const forInterface = domain.annotation?.interfaces.get(vnic.mac) ?? {};
  const asked = forInterface.policy ?? forDomain.policy ?? "default";
  const named = namedPolicy(asked, policies, problems);
  let policy = mergePolicy(FALLBACK_POLICY, named);
  policy = mergePolicy(policy, { ...forDomain, policy: policy.policy });
  policy = mergePolicy(policy, { ...forInterface, policy: policy.policy });

  const stated =
    forInterface.bandwidth?.limitBitsPerSecond ?? forDomain.bandwidth?.limitBitsPerSecond;
  if (stated !== undefined || vnic.libvirtLimitBitsPerSecond === null) return policy;
  return withBandwidth(policy, { limitBitsPerSecond: vnic.libvirtLimitBitsPerSecond });
}

function namedPolicy(
  asked: string,
  policies: ReadonlyMap<string, NetworkWish>,
  problems: ProblemList,
): NetworkWish {
  const found = policies.get(asked);
  if (found !== undefined) return { ...found, policy: asked };
  // A host without a policy named default is no mistake: the fallback has its name.
  if (asked !== "default") {
    const known = [...policies.keys()].sort();
    problems.add(
      `there is no policy '${clip(asked)}'; it has 'default'`,
      known.length === 0
        ? "add it as /etc/uplinkd/policies/NAME.yaml"
        : `known policies: ${known.slice(0, 20).join(", ")}`,
    );
  }
  return { ...policies.get("default"), policy: "default" };
}

function applyCap(policy: NetworkPolicy, cap: Cap, problems: ProblemList): NetworkPolicy {
  const by = `the cap for '${clip(cap.domain)}'`;
  const remedy = "ask for less in the annotation, or raise the cap in uplinkd.yaml";
  let capped = policy;
  if (PRIORITIES.indexOf(policy.priority) < PRIORITIES.indexOf(cap.maxPriority)) {
    problems.add(`priority ${policy.priority} is above ${by}; it has ${cap.maxPriority}`, remedy);
    capped = { ...capped, priority: cap.maxPriority };
  }
  const most = cap.maxReservationBitsPerSecond;
  const { reservationBitsPerSecond } = policy.bandwidth;
  if (most !== null && reservationBitsPerSecond > most) {
    const asked = formatRate(reservationBitsPerSecond);
    problems.add(`reservation ${asked} is above ${by}; it has ${formatRate(most)}`, remedy);
    capped = withBandwidth(capped, { reservationBitsPerSecond: most });
  }
  const { action } = policy.failover;
  const allowed = mildestInstead(action, cap.actions);
  if (allowed === "migrate" && !cap.actions.includes("pause"))
    capped = { ...capped, failover: { ...capped.failover, neverPause: true } };
  if (allowed !== action) {
    problems.add(`failover action ${action} is not among ${by}; it has ${allowed}`, remedy);
    capped = { ...capped, failover: { ...capped.failover, action: allowed } };
  }
  return capped;
}

/** The asked action where it is allowed, else the next milder one that is; throttling is always allowed. */
function mildestInstead(asked: FailoverAction, allowed: readonly FailoverAction[]): FailoverAction {
  for (let index = FAILOVER_ACTIONS.indexOf(asked); index > 0; index--) {
    const action = FAILOVER_ACTIONS[index];
    if (action !== undefined && allowed.includes(action)) return action;
  }
  return "throttle";
}

/** "Never above" wins over "at least": they contradict only when they come from different sources. */
function holdToLimit(policy: NetworkPolicy, mac: Mac, problems: ProblemList): NetworkPolicy {
  const { reservationBitsPerSecond: reserved, limitBitsPerSecond: limit } = policy.bandwidth;
  if (limit === null || reserved <= limit) return policy;
  problems.add(
    `vNIC ${mac}: reservation ${formatRate(reserved)} is above the limit ${formatRate(limit)}, which holds`,
    "raise the limit or lower the reservation",
  );
  return withBandwidth(policy, { reservationBitsPerSecond: limit });
}

function withBandwidth(
  policy: NetworkPolicy,
  bandwidth: Partial<NetworkPolicy["bandwidth"]>,
): NetworkPolicy {
  return { ...policy, bandwidth: { ...policy.bandwidth, ...bandwidth } };
}
