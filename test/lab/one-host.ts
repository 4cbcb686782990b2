import { isSabotaged } from "./sabotage-kit.ts";

/**
 * Tests of one describe that share a host, since a daemon's start takes the lab's processors for seconds: each leaves it
 * as it found it. Where tests are sabotaged each has its own.
 */
export function shareHost(install: () => Promise<void>, end: () => Promise<void>): void {
  (isSabotaged ? beforeEach : before)(install);
  (isSabotaged ? afterEach : after)(end);
}
