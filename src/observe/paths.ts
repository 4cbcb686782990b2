/**
 * From what probes brought back to a verdict on each uplink's path. Pure: memory and one look in, memory and changes out.
 *
 * Nobody is blamed for what everybody lacks: an uplink is accused only while another one has what it lacks, in the same
 * look. What counts as having it: a target's answer; else, in the same VLAN, hearing and being heard by an uplink
 * that has it. Where no target answers anybody, uplinks are judged by each other's probes alone: of two that don't hear
 * each other, the one is at fault that hears nothing else either, or that isn't heard where others are.
 */
import { type PathState, type ProbeRules, targetName } from "../model/probe.ts";

/** What came in by one uplink since the look before. */
export interface Look {
  /** It can be asked at all: up, carrier, in the bond. */
  readonly linked: boolean;
  /**
   * It has asked and was asked in the round that this look is at. Without that it isn't judged, nor is anybody by it: it
   * may hear a flood, and can't have heard the others' probes yet.
   */
  readonly asked: boolean;
  /** Names of the targets that answered by it, see targetName. */
  readonly answered: ReadonlySet<string>;
  /** Of the probes of other uplinks that came in by it, see peerName. */
  readonly heard: ReadonlySet<string>;
  /** A flood of another host came in: there is something to hear. */
  readonly floods: boolean;
}

export interface PathMemory {
  /** unproven: its link came up, and nothing has shown yet that there is a path behind it. */
  readonly state: "unlinked" | "unproven" | "healthy" | "dead";
  readonly reason: string;
  /** Looks in a row in which it was accused. */
  readonly accused: number;
  /** Looks in a row in which it had all that it must have. */
  readonly good: number;
  /** Looks since it heard a flood. */
  readonly quiet: number;
  /** The last look's. */
  readonly answered: ReadonlySet<string>;
}

export interface TeamPaths {
  readonly uplinks: ReadonlyMap<string, PathMemory>;
  /** Looks in a row in which each target answered nobody. */
  readonly silent: ReadonlyMap<string, number>;
  /** Looks in a row in which nobody heard anything. */
  readonly blind: number;
}

export const NO_PATHS: TeamPaths = { uplinks: new Map(), silent: new Map(), blind: 0 };

export type PathChange =
  | {
      readonly kind: "path";
      readonly uplink: string;
      readonly dead: boolean;
      readonly reason: string;
    }
  | { readonly kind: "target"; readonly target: string; readonly silent: boolean }
  /** Nothing at all is heard by any uplink any more: nothing is moved. */
  | { readonly kind: "blind"; readonly blind: boolean };

/** How an uplink's probe in a VLAN is called in Look.heard. */
export function peerName(uplink: string, vlanId: number): string {
  return `${vlanId} ${uplink}`;
}

/** What the planner is to know. */
export function stateOfPath({ state, reason }: PathMemory): PathState {
  return state === "healthy" ? { healthy: true, reason: "" } : { healthy: false, reason };
}

/** Whether the next look should come soon: something is missing, and it isn't decided yet. */
export function isInDoubt(paths: TeamPaths, { losses }: ProbeRules): boolean {
  if (paths.blind > 0 && paths.blind < losses) return true;
  return [...paths.uplinks.values()].some(
    ({ state, accused }) => state === "healthy" && accused > 0 && accused < losses,
  );
}

/** Links alone, without a look: who has lost his must prove himself when it is back. */
export function observeLinks(before: TeamPaths, linked: ReadonlyMap<string, boolean>): TeamPaths {
  const uplinks = new Map<string, PathMemory>();
  for (const [name, isLinked] of linked) {
    const memory = before.uplinks.get(name);
    if (!isLinked) uplinks.set(name, fresh("unlinked", "no link"));
    else if (memory === undefined) uplinks.set(name, fresh("healthy", ""));
    else if (memory.state === "unlinked") uplinks.set(name, fresh("unproven", UNPROVEN));
    else uplinks.set(name, memory);
  }
  return { ...before, uplinks };
}

/**
 * Judges by a look at all uplinks of a team, each of which was asked half an interval ago.
 * @param looks of each of the team's uplinks
 */
export function observePaths(
  before: TeamPaths,
  looks: ReadonlyMap<string, Look>,
  rules: ProbeRules,
): { readonly paths: TeamPaths; readonly changes: readonly PathChange[] } {
  const linked = new Map([...looks].map(([name, look]) => [name, look.linked]));
  const { uplinks } = observeLinks(before, linked);
  const scene = sceneOf(looks, uplinks, rules);
  const changes: PathChange[] = [];
  const next = new Map<string, PathMemory>();
  for (const [name, memory] of uplinks) next.set(name, judge(name, memory, scene));
  convict(next, scene, changes);
  const silent = new Map<string, number>();
  for (const target of scene.targets.keys()) {
    const was = before.silent.get(target) ?? 0;
    const is = scene.answered.has(target) ? 0 : was + 1;
    silent.set(target, is);
    if (is === rules.losses) changes.push({ kind: "target", target, silent: true });
    if (is === 0 && was >= rules.losses) changes.push({ kind: "target", target, silent: false });
  }
  const blind = scene.nothing ? before.blind + 1 : 0;
  if (blind === rules.losses) changes.push({ kind: "blind", blind: true });
  if (blind === 0 && before.blind >= rules.losses) changes.push({ kind: "blind", blind: false });
  return { paths: { uplinks: next, silent, blind }, changes };
}

const UNPROVEN = "nothing has come by it since its link came back";
const NOTHING: ReadonlySet<string> = new Set();

function fresh(state: PathMemory["state"], reason: string): PathMemory {
  return { state, reason, accused: 0, good: 0, quiet: Number.POSITIVE_INFINITY, answered: NOTHING };
}

/** One look, with what follows from it for all. */
interface Scene {
  readonly rules: ProbeRules;
  /** VLAN by target's name. */
  readonly targets: ReadonlyMap<string, number>;
  /** Of the uplinks with a link that were asked. */
  readonly looks: ReadonlyMap<string, Look>;
  /** Looks since each heard a flood, this one counted. */
  readonly quiet: ReadonlyMap<string, number>;
  /** What each reaches, by an answer of its own or through an uplink that has one. */
  readonly reached: ReadonlyMap<string, ReadonlySet<string>>;
  /** By anybody. */
  readonly answered: ReadonlySet<string>;
  readonly nothing: boolean;
}

function sceneOf(
  all: ReadonlyMap<string, Look>,
  memories: ReadonlyMap<string, PathMemory>,
  rules: ProbeRules,
): Scene {
  const looks = new Map([...all].filter(([, look]) => look.linked && look.asked));
  const targets = new Map(rules.targets.map((target) => [targetName(target), target.vlanId]));
  const answered = new Set(
    [...looks.values()].flatMap((look) => [...look.answered].filter((name) => targets.has(name))),
  );
  const quiet = new Map(
    [...looks].map(([name, { floods }]) => [
      name,
      floods ? 0 : (memories.get(name)?.quiet ?? Number.POSITIVE_INFINITY) + 1,
    ]),
  );
  const nothing = [...looks.values()].every(
    (look) => look.answered.size === 0 && look.heard.size === 0 && !look.floods,
  );
  return { rules, targets, looks, quiet, reached: reach(looks, targets), answered, nothing };
}

/** Spreads answers along uplinks that hear each other, until nothing is added. */
function reach(
  looks: ReadonlyMap<string, Look>,
  targets: ReadonlyMap<string, number>,
): ReadonlyMap<string, ReadonlySet<string>> {
  const reached = new Map([...looks].map(([name, { answered }]) => [name, new Set(answered)]));
  for (let grows = true; grows; ) {
    grows = false;
    for (const [name, own] of reached) {
      for (const [other, theirs] of reached) {
        for (const target of theirs) {
          const vlanId = targets.get(target) ?? 0;
          if (own.has(target) || !hearEachOther(looks, name, other, vlanId)) continue;
          own.add(target);
          grows = true;
        }
      }
    }
  }
  return reached;
}

function hearEachOther(
  looks: ReadonlyMap<string, Look>,
  one: string,
  other: string,
  vlanId: number,
): boolean {
  return (
    looks.get(one)?.heard.has(peerName(other, vlanId)) === true &&
    looks.get(other)?.heard.has(peerName(one, vlanId)) === true
  );
}

/** Counts for and against one uplink; what follows from that is convict's. */
function judge(name: string, memory: PathMemory, scene: Scene): PathMemory {
  const look = scene.looks.get(name);
  if (look === undefined) return memory;
  const { answered } = look;
  const quiet = scene.quiet.get(name) ?? Number.POSITIVE_INFINITY;
  const accusation = accuse(name, scene);
  if (accusation !== null) {
    const accused = memory.accused + 1;
    return { ...memory, answered, quiet, good: 0, accused, reason: accusation };
  }
  const isGood =
    isProven(name, scene) || (memory.state === "unproven" && !isConclusive(name, scene));
  // Without a word from anybody, what was counted before is worth nothing either.
  const accused = isGood || scene.nothing ? 0 : memory.accused;
  return { ...memory, answered, quiet, good: isGood ? memory.good + 1 : 0, accused };
}

/** Declares dead who was accused often enough, and healthy who was good often enough. */
function convict(memories: Map<string, PathMemory>, scene: Scene, changes: PathChange[]): void {
  const { losses } = scene.rules;
  for (const [uplink, memory] of memories) {
    if (memory.state !== "dead" && memory.state !== "unproven") continue;
    if (memory.good < losses) continue;
    memories.set(uplink, { ...memory, state: "healthy", reason: "", accused: 0 });
    changes.push({ kind: "path", uplink, dead: false, reason: "" });
  }
  const healthy = [...memories].filter(([, { state }]) => state === "healthy");
  const guilty = healthy.filter(([, { accused }]) => accused >= losses);
  // When all look dead it is the probes that are wrong, or there is nowhere to go: one that has only just come is no better
  // if it lacks the same.
  const isBetter = (uplink: string, { accused }: PathMemory): boolean =>
    accused < losses && scene.looks.has(uplink) && accuse(uplink, scene) === null;
  if (!healthy.some(([uplink, memory]) => isBetter(uplink, memory))) return;
  for (const [uplink, memory] of guilty) {
    memories.set(uplink, { ...memory, state: "dead", good: 0 });
    changes.push({ kind: "path", uplink, dead: true, reason: memory.reason });
  }
}

/** What speaks against an uplink in this look: something that it lacks and another has; null for nothing. */
function accuse(name: string, scene: Scene): string | null {
  const { rules, reached, answered } = scene;
  const own = reached.get(name) ?? NOTHING;
  if (answered.size > 0) {
    const lacking = [...answered].filter((target) => !own.has(target));
    const lacksEnough = rules.require === "all" ? lacking.length > 0 : own.size === 0;
    if (!lacksEnough) return null;
    const witness = [...reached].find(([, theirs]) => lacking.some((target) => theirs.has(target)));
    return `no answer by it from ${lacking.join(", ")}, which ${witness?.[0]} has`;
  }
  if (rules.betweenVlanIds.length === 0) return null;
  if (!isHeard(name, scene)) {
    const witness = findListener(name, scene, scene.rules.losses);
    if (witness !== null) return `its probes arrive nowhere, and ${witness} hears others`;
  }
  if (!hears(name, scene)) {
    // In this very look: what was flooded a while ago would have come in by both.
    const witness = findListener(name, scene, 1);
    if (witness !== null) return `nothing comes in by it, and ${witness} hears others`;
  }
  return null;
}

/** Whether it has all that it must have in this look. */
function isProven(name: string, scene: Scene): boolean {
  const { rules, reached, answered } = scene;
  const own = reached.get(name) ?? NOTHING;
  if (own.size > 0)
    return rules.require === "any" || [...answered].every((target) => own.has(target));
  if (answered.size > 0) return false;
  return isHeard(name, scene) && hears(name, scene);
}

/** Whether others have anything that this one could be measured by. */
function isConclusive(name: string, { looks, rules }: Scene): boolean {
  return [...looks].some(
    ([other, look]) =>
      other !== name &&
      (look.answered.size > 0 ||
        (rules.betweenVlanIds.length > 0 && (look.floods || look.heard.size > 0))),
  );
}

function isHeard(name: string, { looks, rules }: Scene): boolean {
  return [...looks.values()].some(({ heard }) =>
    rules.betweenVlanIds.some((vlanId) => heard.has(peerName(name, vlanId))),
  );
}

function hears(name: string, { looks }: Scene): boolean {
  const look = looks.get(name);
  return look !== undefined && (look.heard.size > 0 || look.floods);
}

/** Another uplink that hears something which isn't this one's: a flood in the last `within` looks, or a third uplink now. */
function findListener(name: string, { looks, quiet, rules }: Scene, within: number): string | null {
  const own = new Set(rules.betweenVlanIds.map((vlanId) => peerName(name, vlanId)));
  for (const [other, { heard }] of looks) {
    if (other === name) continue;
    const hearsThird = [...heard].some((peer) => !own.has(peer));
    if (hearsThird || (quiet.get(other) ?? Number.POSITIVE_INFINITY) < within) return other;
  }
  return null;
}
