/** The host's traffic in uplinkd.yaml: its share of each uplink, and the classes of what it sends. */
import * as z from "zod";
import { MAX_HOST_MATCHES } from "../model/filter-priority.ts";
import {
  HOST_CLASSES,
  HOST_PROTOCOLS,
  type HostClass,
  type HostClassName,
  type HostMatch,
} from "../model/host-traffic.ts";
import type { Priority } from "../model/policy.ts";
import { formatPrefix, parsePrefix } from "../model/prefix.ts";
import { clip } from "../model/units.ts";
import { priority, rate, shares } from "./policy-file.ts";
import { strictMap } from "./yaml.ts";

const MOST_PORT = 65_535;
/** Of all classes together; each may become two of the kernel's filters, one for IPv4 and one for IPv6. */
const MOST_MATCHES = MAX_HOST_MATCHES / 2;

const PORT_ERROR = "must be a port or a range such as 49152-49215";
const ports = z
  .union([z.int(), z.string()], { error: PORT_ERROR })
  .transform((given, context): string => {
    const [first = -1, last = first, ...more] = String(given)
      .split("-")
      .map((part) => (/^\d{1,5}$/.test(part) ? Number(part) : Number.NaN));
    if (first >= 1 && last >= first && last <= MOST_PORT && more.length === 0)
      return first === last ? String(first) : `${first}-${last}`;
    context.addIssue({ code: "custom", message: PORT_ERROR });
    return z.NEVER;
  })
  .describe("A port, or a range such as 49152-49215.");

const prefix = z
  .string({ error: "must be an address or a prefix such as 10.1.0.0/16" })
  .transform((text, context): string => {
    const parsed = parsePrefix(text.trim());
    if (parsed !== null) return formatPrefix(parsed);
    context.addIssue({ code: "custom", message: `'${clip(text)}' is no address and no prefix` });
    return z.NEVER;
  })
  .describe("An IPv4 or IPv6 address or prefix, such as 10.1.0.0/16 or fd00::/8.");

const match = strictMap({
  protocol: z.enum(HOST_PROTOCOLS).optional().describe("'icmp' means IPv6's as well."),
  sourcePort: ports.optional(),
  destinationPort: ports.optional(),
  source: prefix.optional(),
  destination: prefix.optional(),
  vlan: z
    .int({ error: "must be a VLAN's number" })
    .min(1, { error: "must be at least 1" })
    .max(4094, { error: "must be at most 4094" })
    .optional()
    .describe("The VLAN in which it leaves by the bond."),
});

const share = {
  reservation: rate("Kept on each uplink; none by default.").optional(),
  limit: rate("Its limit on each uplink; none by default.").optional(),
  shares: shares.optional(),
  priority: priority.optional(),
};

const hostClass = strictMap({
  ...share,
  match: z
    .array(match)
    .min(1, { error: "needs at least one entry" })
    .describe("What the host's frames have to be like; one entry that fits is enough."),
});

/** The classes by their names. */
const classes = {
  management: hostClass.optional().describe("What the host is managed by: ssh, libvirt's control."),
  migration: hostClass.optional().describe("Memory and disks of domains that move."),
  storage: hostClass.optional().describe("The host's network storage."),
} satisfies Record<HostClassName, z.ZodType>;

/** Of a team's `host`. */
export const hostFileSchema = strictMap({
  reservation: rate("Kept for the host on each uplink.").optional(),
  limit: rate("The host's limit on each uplink; none by default.").optional(),
  shares: shares.optional(),
  priority: priority.optional(),
  ...classes,
}).describe(
  "What is not a VM's: the host itself and senders that are not registered. What none of its classes takes shares this.",
);

/** The classes of a scenario, where nothing is matched. */
const scenarioClass = strictMap({
  ...share,
  demand: rate("What it sends; its reservation by default.").optional(),
});
export const scenarioHostSchema = strictMap({
  reservation: rate("Kept for the host itself on each uplink.").optional(),
  demand: rate("What the host itself sends.").optional(),
  management: scenarioClass.optional(),
  migration: scenarioClass.optional(),
  storage: scenarioClass.optional(),
});

export type HostFile = z.output<typeof hostFileSchema>;
export type ScenarioHost = z.output<typeof scenarioHostSchema>;

/** Who comes first where the file doesn't say: whoever mends things, and never a move before a guest. */
const DEFAULT_PRIORITIES: Readonly<Record<HostClassName, Priority>> = {
  management: "critical",
  migration: "low",
  storage: "normal",
};
const DEFAULT_SHARES = 100;

/** The classes that a file has, every default filled in, in the order of HOST_CLASSES. */
export function buildHostClasses(file: HostFile | ScenarioHost | undefined): HostClass[] {
  return HOST_CLASSES.flatMap((name): HostClass[] => {
    const given = file?.[name];
    if (given === undefined) return [];
    return [
      {
        name,
        reservationBitsPerSecond: given.reservation ?? 0,
        limitBitsPerSecond: given.limit ?? null,
        shares: given.shares ?? DEFAULT_SHARES,
        priority: given.priority ?? DEFAULT_PRIORITIES[name],
        matches: "match" in given ? given.match.map(buildMatch) : [],
      },
    ];
  });
}

function buildMatch(file: z.output<typeof match>): HostMatch {
  return {
    protocol: file.protocol ?? null,
    sourcePorts: file.sourcePort ?? null,
    destinationPorts: file.destinationPort ?? null,
    source: file.source ?? null,
    destination: file.destination ?? null,
    vlanId: file.vlan ?? null,
  };
}

/** What the shape alone can't tell, by the path within `host`. */
export function hostContradictions(
  host: HostFile | ScenarioHost,
): { readonly path: readonly PropertyKey[]; readonly message: string }[] {
  const entries = HOST_CLASSES.map((name) => host[name]).reduce(
    (sum, given) => sum + (given !== undefined && "match" in given ? given.match.length : 0),
    0,
  );
  const tooMany = `its classes have ${entries} entries, at most ${MOST_MATCHES} are compared`;
  if (entries > MOST_MATCHES) return [{ path: [], message: tooMany }];
  return HOST_CLASSES.flatMap((name) => {
    const given = host[name];
    if (given === undefined) return [];
    const wrong = limitFault(given);
    const found = wrong === null ? [] : [{ path: [name, "limit"], message: wrong }];
    const matches = "match" in given ? given.match : [];
    return [
      ...found,
      ...matches.flatMap((entry, index) => {
        const message = matchFault(entry);
        return message === null ? [] : [{ path: [name, "match", index], message }];
      }),
    ];
  });
}

/** A limit that can't be; null where it can. */
export function limitFault(given: {
  readonly reservation?: number | undefined;
  readonly limit?: number | undefined;
}): string | null {
  const { reservation, limit } = given;
  if (limit === undefined || limit >= (reservation ?? 1)) return null;
  return reservation ? "is below the reservation" : "must be above zero";
}

function matchFault(entry: z.output<typeof match>): string | null {
  if (Object.values(entry).every((value) => value === undefined))
    return "matches everything: the host's own share is for that";
  const { protocol, sourcePort, destinationPort, source, destination } = entry;
  const hasPort = sourcePort !== undefined || destinationPort !== undefined;
  if (hasPort && protocol !== "tcp" && protocol !== "udp")
    return "a port needs `protocol: tcp` or `protocol: udp`";
  // A frame's ports are dissected either as ports or as a range's (__skb_flow_dissect_ports before 6.14): one end of two is lost.
  const kinds = new Set([sourcePort, destinationPort].flatMap((port) => port?.includes("-") ?? []));
  if (kinds.size > 1)
    return "has one port and one range, which kernels don't compare together: give one of them";
  if (
    source !== undefined &&
    destination !== undefined &&
    source.includes(":") !== destination.includes(":")
  )
    return "an IPv4 and an IPv6 address never stand in one packet";
  return null;
}
