/** Which team carries a vNIC, by what its XML says it is attached to. Pure. */
import type { Attachment, VnicDefinition } from "../model/domain.ts";
import type { LinkState } from "../model/link.ts";
import type { TeamState } from "../model/world.ts";

interface LinkIndex {
  readonly teams: readonly TeamState[];
  readonly byName: ReadonlyMap<string, LinkState>;
  readonly byIndex: ReadonlyMap<number, LinkState>;
  /** Bonds and VLAN interfaces that are a bridge's ports, by the bridge's number: a host has thousands of taps besides. */
  readonly uplinksOf: ReadonlyMap<number | null, readonly LinkState[]>;
}

export interface Resolved {
  readonly team: TeamState | null;
  /** Of the VLAN interface between vNIC and bond; 0 for none. */
  readonly vlanId: number;
  /** Why no team carries it. */
  readonly why: string;
}

/** Prepares to look attachments up among these links. */
export function attachmentResolver(
  teams: readonly TeamState[],
  byName: ReadonlyMap<string, LinkState>,
  byIndex: ReadonlyMap<number, LinkState>,
): (attachment: Attachment) => Resolved {
  const candidates = [...byName.values()].filter(
    (link) => link.bond !== null || link.vlanId !== null,
  );
  const uplinksOf = Map.groupBy(candidates, (link) => link.masterIfindex);
  return (attachment) => resolveTeam(attachment, { teams, byName, byIndex, uplinksOf });
}

/** The bridge that its XML names, if its tap is no port of any: whoever made the bridge anew has left it out. */
export function detachedBridge(
  { attachment, tap }: Pick<VnicDefinition, "attachment" | "tap">,
  byName: ReadonlyMap<string, LinkState>,
): string | null {
  if (attachment.kind !== "bridge" && attachment.kind !== "network") return null;
  const isAlone = tap !== null && byName.get(tap)?.masterIfindex === null;
  return isAlone ? attachment.bridge : null;
}

/**
 * The team on whose bond a bridge or a macvtap stands, at once or by a VLAN interface (`bond0.10`). What doesn't pass the
 * bond, or is switched by another program, can't be shaped: the reason says so.
 */
function resolveTeam(attachment: Attachment, index: LinkIndex): Resolved {
  switch (attachment.kind) {
    case "bridge":
      return resolveBridge(attachment.bridge, index);
    case "network":
      return attachment.bridge === null
        ? unshaped(
            `network ${attachment.network} has no bridge and no device that uplinkd knows of`,
          )
        : resolveBridge(attachment.bridge, index);
    case "direct": {
      const link = index.byName.get(attachment.device);
      if (link === undefined) return unshaped(`there is no ${attachment.device} for its macvtap`);
      const found = teamBelow([link], index);
      return found ?? unshaped(`its macvtap is on ${attachment.device}, which is no team's bond`);
    }
    case "other":
      return unshaped(
        OTHERS.get(attachment.type) ?? `an interface of type ${attachment.type} passes no bond`,
      );
  }
}

const OTHERS: ReadonlyMap<string, string> = new Map([
  ["hostdev", "SR-IOV: its frames go from the NIC's virtual function to the wire, past the bond"],
  ["vdpa", "vDPA: its frames go from the NIC to the guest, past the bond"],
  ["vhostuser", "vhost-user: another program switches its frames, past the kernel"],
  ["user", "user networking: QEMU sends its frames as the host's own"],
]);

function resolveBridge(bridge: string, index: LinkIndex): Resolved {
  const link = index.byName.get(bridge);
  if (link === undefined) return unshaped(`there is no bridge ${bridge}`);
  if (link.kind === "openvswitch")
    return unshaped(`bridge ${bridge} is Open vSwitch's, which bonds and shapes by itself`);
  const ports = index.uplinksOf.get(link.ifindex) ?? [];
  return teamBelow(ports, index) ?? unshaped(`bridge ${bridge} has no team's bond as a port`);
}

/** The first team whose bond is one of these links, or the link below a VLAN interface among them. */
function teamBelow(links: readonly LinkState[], { teams, byIndex }: LinkIndex): Resolved | null {
  const teamOf = (link: LinkState | undefined) =>
    teams.find((team) => team.config.bond === link?.name) ?? null;
  for (const link of links) {
    const team = teamOf(link);
    if (team !== null) return { team, vlanId: 0, why: "" };
    const below = link.vlanId === null ? undefined : byIndex.get(link.lowerIfindex ?? 0);
    const carried = teamOf(below);
    if (carried !== null) return { team: carried, vlanId: link.vlanId ?? 0, why: "" };
  }
  return null;
}

function unshaped(why: string): Resolved {
  return { team: null, vlanId: 0, why };
}
