/** How often a vNIC may change uplink without need. */
import { MOVE_WINDOW_MS, type VnicState } from "../model/world.ts";

/**
 * Voluntary moves of one vNIC in MOVE_WINDOW_MS. Fabrics take five moves of a MAC in 180 s for a duplicate address and
 * freeze it (RFC 7432, 15.1): two leave room for the losses that come between them.
 */
const MOST_VOLUNTARY_MOVES = 2;

/** World time from which on it may move again; null: it may now. */
export function heldUntilMs({ recentMoves }: VnicState, nowMs: number): number | null {
  // Most have none: asked for every vNIC of every plan.
  if (recentMoves.length < MOST_VOLUNTARY_MOVES) return null;
  const counted = recentMoves.filter(
    (move) => move.voluntary && move.atMs > nowMs - MOVE_WINDOW_MS,
  );
  const oldest = counted.at(-MOST_VOLUNTARY_MOVES);
  return oldest === undefined ? null : oldest.atMs + MOVE_WINDOW_MS;
}
