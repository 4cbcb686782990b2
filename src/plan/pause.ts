/** How long a pause of ours may last. */
import type { DomainState, World } from "../model/world.ts";

/** The least of what the configuration and the policies of its vNICs allow, milliseconds. */
export function maxPauseMs(world: World, domain: DomainState): number {
  let least = world.config.maxPauseMs;
  for (const { policy } of domain.vnics) {
    least = Math.min(least, policy.failover.maxPauseMs ?? least);
  }
  return least;
}

/** When a domain that we paused is resumed in any case, world time; null: we haven't paused it. */
export function pauseEndsAtMs(world: World, domain: DomainState): number | null {
  return domain.pausedByUs === null ? null : domain.pausedByUs.sinceMs + maxPauseMs(world, domain);
}
