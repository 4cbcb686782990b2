/** The shape of a team's `probes` in uplinkd.yaml. Defaults are in config.ts. */
import * as z from "zod";
import { isHostAddress, parseAddress } from "../model/address.ts";
import { duration } from "./policy-file.ts";
import { strictMap } from "./yaml.ts";

/** Linux: IFNAMSIZ is 16 with the closing zero. */
const interfaceName = z.string().regex(/^[^\s/:]{1,15}$/, { error: "is no interface name" });

const vlanId = z
  .int({ error: "must be a VLAN's number" })
  .min(0, { error: "must be 0, for untagged, or a VLAN's number" })
  .max(4094, { error: "must be at most 4094" });

const address = z.string({ error: "must be an IP address" }).refine(
  (text) => {
    const bytes = parseAddress(text);
    return bytes !== null && isHostAddress(bytes);
  },
  { error: "is no IPv4 or IPv6 address of a host, such as 192.0.2.1" },
);

const ipv4 = address.refine((text) => !text.includes(":"), { error: "must be an IPv4 address" });

/** What an uplink is probed by. */
export const probesFileSchema = strictMap({
  interval: duration("Between two rounds while all is well.").optional(),
  losses: z
    .int({ error: "must be a whole number" })
    .min(2, { error: "must be at least 2: one frame may always be lost" })
    .max(10, { error: "must be at most 10" })
    .optional()
    .describe("Looks in a row, half an interval apart, that find nothing before a path is dead."),
  targets: z
    .array(
      z.union([
        address,
        strictMap({
          address: address.describe("Of a gateway, or of another host that is always there."),
          vlan: vlanId.optional().describe("The VLAN in which it is asked; untagged by default."),
          sources: z
            .array(
              strictMap({
                uplink: interfaceName.describe("Its name."),
                address: ipv4.describe("Unused by anybody else."),
              }),
            )
            .optional()
            .describe("An address of its own for an uplink to ask from; 0.0.0.0 by default."),
        }),
      ]),
    )
    .max(8, { error: "has more than 8 targets" })
    .optional()
    .describe("Whose answers prove an uplink's path."),
  require: z
    .enum(["any", "all"])
    .optional()
    .describe("'all': an uplink has to reach each target that another one reaches."),
  between: z
    .union([z.literal("off"), z.array(vlanId).min(1, { error: "names no VLAN" })])
    .optional()
    .describe("VLANs by which uplinks probe each other; by default those of the targets."),
}).describe("Health probes, which find a dead path behind a link that is up.");

interface Contradiction {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** Below, switches and gateways would begin to count; above, nobody would call it a probe. */
const PROBE_LEAST_MS = 200;
const PROBE_MOST_MS = 60e3;

/** What is right in each key and wrong together; paths within `probes`. */
export function probeContradictions(probed: z.output<typeof probesFileSchema>): Contradiction[] {
  const found: Contradiction[] = [];
  const wrong = outside(probed.interval);
  if (wrong !== null) found.push({ path: ["interval"], message: wrong });
  const seen = new Set<string>();
  const owners = new Map<string, string>();
  for (const [index, target] of (probed.targets ?? []).entries()) {
    const { address: text, vlan = 0 } = typeof target === "string" ? { address: target } : target;
    if (isRepeated(seen, `${vlan} ${parseAddress(text)?.join()}`))
      found.push({ path: ["targets", index], message: "is there twice" });
    const own = typeof target === "string" ? [] : (target.sources ?? []);
    if (text.includes(":") && own.length > 0)
      found.push({
        path: ["targets", index, "sources"],
        message: "are for IPv4; IPv6 is asked from the link-local address of the probes' MAC",
      });
    for (const [position, { uplink, address: source }] of own.entries()) {
      const owner = owners.get(`${vlan} ${source}`);
      // A gateway that sees one address on two MACs takes it for a conflict.
      if (owner !== undefined && owner !== uplink)
        found.push({
          path: ["targets", index, "sources", position],
          message: `${source} is ${owner}'s already`,
        });
      owners.set(`${vlan} ${source}`, uplink);
    }
  }
  if (probed.between === "off" && (probed.targets ?? []).length === 0)
    found.push({
      path: ["between"],
      message: "is off and there are no targets: nothing is probed",
    });
  return found;
}

function isRepeated(seen: Set<string>, word: string): boolean {
  const before = seen.size;
  return seen.add(word).size === before;
}

function outside(ms: number | undefined): string | null {
  if (ms === undefined || (ms >= PROBE_LEAST_MS && ms <= PROBE_MOST_MS)) return null;
  return ms < PROBE_LEAST_MS
    ? `must be at least ${PROBE_LEAST_MS}ms`
    : `must be at most ${PROBE_MOST_MS / 1000}s`;
}
