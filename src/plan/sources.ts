/**
 * Source addresses held to who sends them: by which tap each vNIC's frames are believed to come, and what becomes of
 * frames that claim another's address, or one that is no vNIC's. An interface that isn't known to be a running guest's,
 * or no guest's at all, is judged by nothing here: a guest that has just come must not wait for us.
 */
import type { TeamConfig } from "../model/config.ts";
import type { KernelObject } from "../model/kernel.ts";
import { DEFAULT_MINOR } from "../model/layout.ts";
import type { Mac } from "../model/mac.ts";
import type { TeamState } from "../model/world.ts";
import { freeHandle } from "./identity.ts";
import type { Roster } from "./roster.ts";

/** What came in by no interface that we know: the host's own frames, and those of macvtaps. */
const MACVTAP = -1;
const ANYBODY = 0;

/** What of a team's plan matters here. */
export interface SourcesInput {
  readonly team: TeamState;
  readonly roster: Roster;
  /** 0 where a vNIC has no class of its own. */
  readonly minors: Int32Array;
  /** See findTaps. */
  readonly taps: Float64Array | null;
}

type Put = (object: KernelObject) => void;

/** Whether anything is done about source addresses. */
export function judgesSources({ sources }: TeamConfig): boolean {
  return sources.forged !== "off" || sources.unregistered !== "off";
}

/**
 * The interface by which each vNIC's frames come onto the team's bridge: its number, -1 for a macvtap's, 0 where there is
 * none (yet). Null where nothing is done about source addresses.
 */
export function findTaps(team: TeamState, { members }: Roster): Float64Array | null {
  if (!judgesSources(team.config)) return null;
  const bridged = new Map(
    team.passedOnFrom.flatMap(({ name, ifindex, bridged: kind }) =>
      kind === undefined ? [] : [[name, ifindex] as const],
    ),
  );
  return Float64Array.from(members, ({ vnic }) =>
    vnic.isMacvtap ? MACVTAP : (bridged.get(vnic.tap ?? "") ?? ANYBODY),
  );
}

/** Who is believed to send with a vNIC's address; see VnicFilter. */
export function senderOf({ team, roster, taps }: SourcesInput, index: number) {
  const tap = taps?.[index] ?? ANYBODY;
  if (team.config.sources.forged === "off" || tap === ANYBODY) return undefined;
  return tap === MACVTAP ? null : (roster.members[index]?.vnic.tap ?? undefined);
}

/**
 * Makes the filters of frames with another vNIC's address, or with none.
 * @param queueId of what isn't a vNIC's, see CatchAllFilter
 */
export function putSourceFilters(input: SourcesInput, queueId: number, put: Put): void {
  const { bond, config, passedOnFrom } = input.team;
  if (bond === null) return;
  const { forged, unregistered } = config.sources;
  if (forged !== "off")
    put({ kind: "catch-all", device: bond.name, minor: DEFAULT_MINOR, queueId, senders: true });
  putDeclared(input, queueId, put);
  const isJudged = judgedInterfaces(input);
  for (const { name, ifindex } of passedOnFrom) {
    const place = { device: bond.name, from: name, handle: ifindex } as const;
    const judged = isJudged(ifindex);
    if (config.hostClasses.length > 0 || (judged && unregistered !== "off"))
      put({ kind: "passed-on", ...place, ...verdict(judged && unregistered === "drop") });
    if (judged && forged !== "off")
      put({ kind: "forged", ...place, ...verdict(forged === "drop") });
  }
}

/** Bridge ports that are no taps, and taps of guests that run here with a class of their own. */
function judgedInterfaces({ team, roster, minors, taps }: SourcesInput) {
  if (taps === null) return () => false;
  const judged = new Set(
    team.passedOnFrom.flatMap(({ ifindex, bridged }) => (bridged === "other" ? [ifindex] : [])),
  );
  for (const [index, { domain }] of roster.members.entries())
    if (domain.phase !== "incoming" && minors[index] !== 0) judged.add(taps[index] as number);
  return (ifindex: number) => judged.has(ifindex);
}

/**
 * Makes the filters of addresses that guests declare besides their own. A vNIC's own address is nobody else's to declare.
 * @param queueId of what isn't a vNIC's
 */
function putDeclared(input: SourcesInput, queueId: number, put: Put): void {
  const { team, roster, minors, taps } = input;
  if (taps === null || team.bond === null) return;
  const declaring = roster.members.flatMap(({ domain, vnic }, index) =>
    (vnic.policy.addresses?.length ?? 0) > 0 && domain.phase !== "incoming" ? [index] : [],
  );
  if (declaring.length === 0) return;
  const own = new Set<Mac>(roster.members.map(({ vnic }) => vnic.mac));
  const used = new Set<number>();
  for (const index of declaring) {
    const { tap = null, policy } = roster.members[index]?.vnic ?? {};
    const ifindex = taps[index] as number;
    const minor = minors[index] as number;
    if (tap === null || ifindex <= ANYBODY || minor === 0) continue;
    for (const mac of policy?.addresses ?? []) {
      if (own.has(mac)) continue;
      const handle = freeHandle(mac, ifindex, used);
      put({ kind: "declared", device: team.bond.name, from: tap, mac, handle, minor, queueId });
    }
  }
}

function verdict(drops: boolean): { readonly drops?: true } {
  return drops ? { drops } : {};
}
