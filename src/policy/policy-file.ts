/** A named policy's file: policies/NAME.yaml, the same fields as the annotation's. */
import { basename } from "node:path";
import * as z from "zod";
import { PolicyError } from "../model/errors.ts";
import type { Bandwidth, Failover, Inbound, NetworkWish, Placement } from "../model/policy.ts";
import {
  FAILOVER_ACTIONS,
  LEAST_INBOUND_BURST,
  LEAST_INBOUND_BURST_BYTES,
  PRIORITIES,
} from "../model/policy.ts";
import { parseDuration, parseRate, parseSize } from "../model/units.ts";
import { parseYaml, strictMap, unit, type YamlResult } from "./yaml.ts";

export const priority = z
  .enum(PRIORITIES)
  .describe("Who is served first when there is not enough, and degraded last when a NIC fails.");

export const action = z
  .enum(FAILOVER_ACTIONS)
  .describe("What may be done to a domain that needs more than a degraded team can give it.");

/** `shares`: HTB honours ratios up to about 16:1; the bounds keep quanta sane (see docs). */
export const shares = z
  .int({ error: "must be a whole number from 1 to 1000" })
  .min(1, { error: "must be at least 1" })
  .max(1000, { error: "must be at most 1000" })
  .describe("Weight within one priority for what is left above the reservations; 1 to 1000.");

export const rate = (description: string) =>
  unit(parseRate, { description, examples: ["500mbit", "2.5gbit"] });

export const duration = (description: string) =>
  unit(parseDuration, { description, examples: ["10s", "5m"] });

/** An interface's, a label's, a domain's or a destination's name: no space, since annotations separate by it. */
export const name = z
  .string({ error: "must be a name" })
  .regex(/^[^\s/]{1,64}$/, { error: "must be a name of 1 to 64 characters without spaces" });

/** A list of names, or several in one text with spaces between them, as the annotation has them. */
const names = (description: string) =>
  z
    .union([z.string(), z.array(name)])
    .describe(description)
    .transform((value, context) => {
      const list = typeof value === "string" ? value.split(/\s+/).filter(Boolean) : value;
      for (const entry of list) {
        const checked = name.safeParse(entry);
        if (!checked.success)
          context.addIssue({ code: "custom", message: `'${entry}' is no name` });
      }
      if (new Set(list).size < list.length)
        context.addIssue({ code: "custom", message: "names the same thing twice" });
      return list;
    });

/** The shape of a policy file; also the source of policies/schema/policy.json. */
export const policyFileSchema = strictMap({
  description: z.string().max(500).optional().describe("For people; not used."),
  priority: priority.optional(),
  bandwidth: strictMap({
    reservation: rate("Kept even when the uplink is full; none by default.").optional(),
    limit: rate("Never above; by default the uplink's capacity.").optional(),
    shares: shares.optional(),
    burst: unit(parseSize, {
      description: "How much may pass at once before the rate holds; by default chosen by rate.",
      examples: ["1mb", "64kib"],
    }).optional(),
  })
    .describe("A vNIC's share of the uplink that it sends by.")
    .optional(),
  inbound: strictMap({
    limit: rate("Never above; no limit by default."),
    burst: unit(parseSize, {
      description: "How much may pass at once before the rate holds; by default chosen by rate.",
      examples: ["4mb", "256kib"],
    }).optional(),
  })
    .describe("What may reach the guest from the wire: it can be limited, never guaranteed.")
    .optional(),
  placement: strictMap({
    prefer: names("Uplinks, by interface name or by label, first choice first.").optional(),
    apart: names("Domains that should not share an uplink with this one.").optional(),
  })
    .describe("Which uplink a vNIC is placed on.")
    .optional(),
  failover: strictMap({
    action: action.optional(),
    grace: duration("How long its demand must exceed its grant before the action.").optional(),
    maxPause: duration("The longest pause; by default that of uplinkd.yaml.").optional(),
    destination: names(
      "Names of destinations in uplinkd.yaml, in order; by default all.",
    ).optional(),
  })
    .describe("What becomes of a domain when its promise can't be kept.")
    .optional(),
}).meta({ title: "uplinkd policy", description: "A named policy of uplinkd: policies/NAME.yaml" });

type PolicyFile = z.output<typeof policyFileSchema>;

/**
 * Parses a named policy. Pure.
 * @param file its path, whose last part without `.yaml` is the policy's name
 * @returns its name and what it says, or everything that is wrong with it
 */
export function parsePolicyFile(
  file: string,
  text: string,
): YamlResult<{ readonly name: string; readonly wish: NetworkWish }> {
  const policyName = basename(file).replace(/\.ya?ml$/, "");
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(policyName)) {
    const message = "its name can't be a policy's; use letters, digits, '.', '_' and '-'";
    return {
      ok: false,
      errors: [new PolicyError({ file, line: 0, column: 0, path: "" }, message)],
    };
  }
  const parsed = parseYaml(file, text, policyFileSchema);
  if (!parsed.ok) return parsed;
  const errors = contradictions(parsed.value).map(
    ({ path, message }) => new PolicyError(parsed.at(path), message),
  );
  if (errors.length > 0) return { ok: false, errors };
  return { ok: true, at: parsed.at, value: { name: policyName, wish: toWish(parsed.value) } };
}

/** What the schema can't see: values that are right by themselves and wrong together. */
function contradictions(file: PolicyFile): { path: string[]; message: string }[] {
  const found: { path: string[]; message: string }[] = [];
  const { reservation, limit } = file.bandwidth ?? {};
  if (limit === 0) found.push({ path: ["bandwidth", "limit"], message: "must be above zero" });
  else if (reservation !== undefined && limit !== undefined && limit < reservation)
    found.push({ path: ["bandwidth", "limit"], message: "is below the reservation" });
  if (file.inbound?.limit === 0)
    found.push({ path: ["inbound", "limit"], message: "must be above zero" });
  const burst = file.inbound?.burst;
  if (burst !== undefined && burst < LEAST_INBOUND_BURST_BYTES)
    found.push({ path: ["inbound", "burst"], message: LEAST_INBOUND_BURST });
  return found;
}

/** What the fields of a policy say, without those that it leaves out. */
export function toWish(file: PolicyFile): NetworkWish {
  const { bandwidth, inbound, placement, failover } = file;
  return {
    ...(file.priority === undefined ? {} : { priority: file.priority }),
    ...(bandwidth === undefined ? {} : { bandwidth: toBandwidth(bandwidth) }),
    ...(inbound === undefined ? {} : { inbound: toInbound(inbound) }),
    ...(placement === undefined ? {} : { placement: toPlacement(placement) }),
    ...(failover === undefined ? {} : { failover: toFailover(failover) }),
  };
}

function toBandwidth(file: NonNullable<PolicyFile["bandwidth"]>): Partial<Bandwidth> {
  return present({
    reservationBitsPerSecond: file.reservation,
    limitBitsPerSecond: file.limit,
    shares: file.shares,
    burstBytes: file.burst,
  });
}

function toInbound(file: NonNullable<PolicyFile["inbound"]>): Inbound {
  return { limitBitsPerSecond: file.limit, burstBytes: file.burst ?? null };
}

function toPlacement(file: NonNullable<PolicyFile["placement"]>): Partial<Placement> {
  return present({ prefer: file.prefer, apart: file.apart });
}

function toFailover(file: NonNullable<PolicyFile["failover"]>): Partial<Failover> {
  return present({
    action: file.action,
    graceMs: file.grace,
    maxPauseMs: file.maxPause,
    destinations: file.destination,
  });
}

/** Without the fields that the file doesn't have, so that merging keeps what stands below them. */
function present<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
