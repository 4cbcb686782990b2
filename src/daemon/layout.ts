/** What a newer version has put into the kernel is left to it. */
import type { Config } from "../model/config.ts";
import { StateError } from "../model/errors.ts";
import { FILTER_PRIORITY } from "../model/filter-priority.ts";
import type { KernelMap } from "../model/kernel.ts";
import { LAYOUT } from "../model/layout.ts";
import type { KernelPort } from "./ports.ts";
import { devicesOf, findTeams } from "./teams.ts";

/**
 * Looks, before the first change, for objects of a layout that this version doesn't know.
 * @throws StateError where there are any: they are enforced as they are, and this version can't take them over
 */
export function refuseNewerLayout(
  kernel: Pick<KernelPort, "readLinks" | "readKernel">,
  config: Config,
): void {
  const links = kernel.readLinks();
  const teams = findTeams(config, links).map((team) => devicesOf(team, links));
  const found = findNewerLayout(kernel.readKernel(teams).objects);
  if (found === null) return;
  throw new StateError(
    found.device,
    `has objects of layout ${found.layout} of a newer uplinkd, this one knows ${LAYOUT}: install that one again, \
or release the host with release.sh in the state directory; what is enforced stays until then`,
  );
}

/** The bond's catch-all as a newer version marks it; null: there is none. */
export function findNewerLayout(
  objects: KernelMap,
): { readonly device: string; readonly layout: number } | null {
  for (const object of objects.values()) {
    if (object.kind !== "unknown-filter" || object.hook !== "egress") continue;
    if (object.priority !== FILTER_PRIORITY.catchAll || object.filterKind !== "matchall") continue;
    if (object.handle > LAYOUT) return { device: object.device, layout: object.handle };
  }
  return null;
}
