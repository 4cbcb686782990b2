/** Which frames on a bond are the host's own: its addresses there, and what brings in others' frames. Pure. */
import type { TeamConfig } from "../model/config.ts";
import type { LinkState } from "../model/link.ts";
import type { Mac } from "../model/mac.ts";
import type { TeamState } from "../model/world.ts";

type HostPlace = Pick<TeamState, "hostMacs" | "passedOnFrom">;

/** Nothing is looked for where nothing is told apart by it. */
export function findHost(
  { hostClasses, sources }: TeamConfig,
  bond: LinkState | undefined,
  links: readonly LinkState[],
): HostPlace {
  const isAsked =
    hostClasses.length > 0 || sources.forged !== "off" || sources.unregistered !== "off";
  if (bond === undefined || !isAsked) return { hostMacs: [], passedOnFrom: [] };
  const own = ownLinks(bond, links);
  const macs = links.flatMap(({ ifindex, mac }) => (own.has(ifindex) && mac !== null ? [mac] : []));
  const others = links.filter(
    ({ name, masterIfindex }) =>
      name !== "lo" &&
      (masterIfindex === null || own.has(masterIfindex)) &&
      masterIfindex !== bond.ifindex,
  );
  return {
    hostMacs: [...new Set<Mac>(macs)],
    passedOnFrom: others.map(({ name, ifindex, masterIfindex, kind }) => {
      // A VLAN on the bond is a port of its own bridge, and brings in what comes from outside.
      const isBridged = masterIfindex !== null && !own.has(ifindex);
      return { name, ifindex, ...(isBridged ? { bridged: kind === "tun" ? "tap" : "other" } : {}) };
    }),
  };
}

/**
 * Interfaces whose address the host sends by the bond with: the bond, VLANs on it, the bridges that one of them is a
 * port of, VLANs on those, and so on.
 */
function ownLinks(bond: LinkState, links: readonly LinkState[]): ReadonlySet<number> {
  const bridges = new Set(
    links.filter(({ kind }) => kind === "bridge").map((link) => link.ifindex),
  );
  const own = new Set<number>();
  const found = [bond];
  for (let link = found.pop(); link !== undefined; link = found.pop()) {
    if (own.has(link.ifindex)) continue;
    const { ifindex, masterIfindex } = link;
    own.add(ifindex);
    for (const other of links) {
      const isAbove = other.kind === "vlan" && other.lowerIfindex === ifindex;
      if (isAbove || (other.ifindex === masterIfindex && bridges.has(other.ifindex)))
        found.push(other);
    }
  }
  return own;
}
