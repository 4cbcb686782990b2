/** The shape of scenario files, as zod schemas; what a shape can't tell is scenario.ts's. */
import * as z from "zod";
import { isUnicast, type Mac, parseMac } from "../model/mac.ts";
import { clip, parsePercent } from "../model/units.ts";
import type { BondMode } from "../model/world.ts";
import { scenarioHostSchema } from "./host-file.ts";
import { name, policyFileSchema, rate } from "./policy-file.ts";
import { strictMap, unit } from "./yaml.ts";

const MODES = [
  "active-backup",
  "balance-rr",
  "balance-xor",
  "broadcast",
  "802.3ad",
  "balance-tlb",
  "balance-alb",
] as const satisfies readonly BondMode[];

const { priority, bandwidth, inbound, placement, failover } = policyFileSchema.shape;
const wish = { priority, bandwidth, inbound, placement, failover };
const network = strictMap({ policy: name.optional(), ...wish });

const mac = z
  .string({ error: 'must be a MAC address such as "52:54:00:00:00:01"' })
  .transform((text, context): Mac => {
    const parsed = parseMac(text);
    if (parsed !== null && isUnicast(parsed)) return parsed;
    const fault = parsed === null ? "is not a MAC address" : "is no single NIC's MAC address";
    context.addIssue({ code: "custom", message: `'${clip(text)}' ${fault}` });
    return z.NEVER;
  });

const uplink = strictMap({
  name,
  speed: rate("Its speed; a scenario has no driver to ask."),
  label: name.optional(),
  carrier: z.boolean().optional(),
});

const vnic = strictMap({
  mac,
  demand: rate("What it wants to send; absent: all that it may have.").optional(),
  home: name.optional(),
  network: network.optional(),
  policy: name.optional(),
  ...wish,
});

/** A whole file: one team, policies, domains. */
export const scenarioSchema = strictMap({
  team: strictMap({
    bond: name.optional(),
    mode: z.enum(MODES).optional(),
    steering: z.enum(["redirect", "hash"]).optional(),
    active: name.optional(),
    headroom: unit(parsePercent, { description: "Left unused.", examples: ["5%"] }).optional(),
    uplinks: z.array(uplink).min(1, { error: "needs at least one uplink" }),
    host: scenarioHostSchema.optional(),
  }),
  policies: z.record(z.string(), strictMap(wish)).optional(),
  domains: z
    .array(
      strictMap({
        name,
        network: network.optional(),
        policy: name.optional(),
        ...wish,
        vnics: z.array(vnic).optional(),
      }),
    )
    .optional(),
});

export type Scenario = z.output<typeof scenarioSchema>;
export type ScenarioDomain = NonNullable<Scenario["domains"]>[number];
/** What `network` holds, and the keys beside it. */
export type ScenarioNetwork = z.output<typeof network>;
export type ScenarioVnic = NonNullable<ScenarioDomain["vnics"]>[number];
