/** Remembers when vNICs changed uplink, and whether they had to. Pure: memory in, memory out. */
import type { TeamConfig } from "../model/config.ts";
import type { Mac } from "../model/mac.ts";
import type { Plan } from "../model/plan.ts";
import { MOVE_WINDOW_MS, type Move, type World } from "../model/world.ts";

export type MoveMemory = ReadonlyMap<Mac, readonly Move[]>;

/** Bounds the memory of a vNIC whose uplinks come and go all the time. */
const MOST_MOVES = 32;

/**
 * Takes the moves of a plan that is being enforced.
 * @param before the plan before; null: what the kernel's filters say counts, as they were left by an earlier run
 */
export function observeMoves(
  memory: MoveMemory,
  world: World,
  before: Plan | null,
  plan: Plan,
): MoveMemory {
  const { nowMs } = world;
  const usable = new Set(
    plan.teams.flatMap((team) =>
      team.uplinks.filter((uplink) => uplink.usable).map((uplink) => uplink.name),
    ),
  );
  const was = new Map<Mac, string | null>();
  for (const { vnics } of world.domains)
    for (const { mac, kernel } of vnics) if (kernel !== null) was.set(mac, kernel.via);
  for (const { mac, via } of before?.vnics ?? []) was.set(mac, via);
  const keptMs = new Map(world.teams.map(({ config }) => [config.name, keptFor(config)]));
  const stories = storiesOf(plan);
  const next = new Map<Mac, readonly Move[]>();
  for (const { mac, via, team } of plan.vnics) {
    const from = was.get(mac) ?? null;
    const sinceMs = nowMs - (keptMs.get(team) ?? MOVE_WINDOW_MS);
    const known = memory.get(mac) ?? NOTHING;
    // The same list while nothing changes: the planner then sees that nothing did.
    const recent = known.some(({ atMs }) => atMs <= sinceMs)
      ? known.filter(({ atMs }) => atMs > sinceMs)
      : known;
    const story = stories.get(mac);
    const moves =
      from === null || via === null || from === via
        ? recent
        : [
            ...recent,
            { atMs: nowMs, voluntary: usable.has(from), ...(story === undefined ? {} : { story }) },
          ].slice(-MOST_MOVES);
    if (moves.length > 0) next.set(mac, moves);
  }
  return next;
}

const NOTHING: readonly Move[] = [];

/** As long as fabrics count, and as long as a vNIC stays after a move. */
function keptFor({ rebalance }: TeamConfig): number {
  return rebalance.mode === "off" ? MOVE_WINDOW_MS : Math.max(MOVE_WINDOW_MS, rebalance.coolDownMs);
}

function storiesOf(plan: Plan): ReadonlyMap<Mac, string> {
  const made = plan.teams.flatMap(({ balance }) => balance?.moves ?? []);
  return new Map(
    made.filter(({ state }) => state === "made").map(({ mac, reason }) => [mac, reason]),
  );
}
