/**
 * The shapes of the API's documents: published as JSON schemas and in the API's description, and what tests judge
 * the daemon's answers and uplinkctl's --json by. Each is bound to its type, so that neither gets a key alone.
 */
import * as z from "zod";
import { SOURCE_MODES } from "../model/config.ts";
import type { Problem } from "../model/domain.ts";
import type { UplinkEvent } from "../model/event.ts";
import { HOST_CLASSES } from "../model/host-traffic.ts";
import type { Mac } from "../model/mac.ts";
import type { Balance } from "../model/plan.ts";
import { FAILOVER_ACTIONS, type NetworkPolicy, PRIORITIES } from "../model/policy.ts";
import type { Scope } from "../model/scope.ts";
import type { SimulationDocument } from "../model/simulation.ts";
import {
  type Contest,
  type DaemonStatus,
  type DomainStatus,
  type Drift,
  GUARANTEES,
  type HostClassStatus,
  type ProbeStatus,
  type SourcesStatus,
  type Status,
  type TeamStatus,
  type UplinkStatus,
  type VnicStatus,
} from "../model/status.ts";
import type {
  ConfirmAnswer,
  DrainAnswer,
  EnableAnswer,
  ErrorAnswer,
  EventPage,
  Explanation,
  HoldAnswer,
  ReleaseAnswer,
} from "./api.ts";

const rate = z.number().min(0).describe("Bits per second.");
const unixMs = z.number().describe("Unix time in milliseconds.");
const reasons = z.array(z.string()).describe("For people.");
const mode = z
  .enum(["enforcing", "observing", "released"])
  .describe("observing: plans and shows, changes nothing. released: the host is as it was.");

export const problemDocument: z.ZodType<Problem> = z.object({
  object: z.string().describe("What it is about: domain web1."),
  message: z.string(),
  remedy: z.string().describe("What to do about it, or empty."),
});

const scope: z.ZodType<Scope> = z
  .union([
    z.object({ kind: z.literal("host") }),
    z.object({ kind: z.literal("team"), team: z.string() }),
    z.object({ kind: z.literal("domain"), domain: z.string(), teams: z.array(z.string()) }),
  ])
  .describe("What of the host is enabled: all, or a part as a canary.");

const daemon: z.ZodType<DaemonStatus> = z.object({
  version: z.string(),
  pid: z.int(),
  startedAtMs: unixMs,
  mode,
  scope,
  libvirt: z.enum(["up", "down"]),
  lastResyncMs: unixMs.nullable().describe("When everything was last read anew and compared."),
  confirmByMs: unixMs.nullable().describe("When it is rolled back unless confirmed."),
});

const probe: z.ZodType<ProbeStatus> = z.object({
  mac: z.string(),
  path: z.enum(["unlinked", "unproven", "healthy", "dead"]),
  targets: z.array(z.object({ address: z.string(), vlanId: z.int(), answers: z.boolean() })),
  sentFrames: z.number(),
  heardAtMs: unixMs.nullable(),
});

const uplink: z.ZodType<UplinkStatus> = z.object({
  name: z.string(),
  usable: z.boolean(),
  drained: z.boolean().describe("Taken out of service by an operator."),
  carrier: z.boolean(),
  probe: probe.nullable().describe("null: it isn't probed."),
  speedBitsPerSecond: rate.nullable(),
  capacityBitsPerSecond: rate.describe("Speed less headroom; 0 where not usable."),
  committedBitsPerSecond: rate.describe("Reservations of what sends there now."),
  sentBitsPerSecond: rate.nullable().describe("Measured; null: not measured yet."),
  demandBitsPerSecond: rate.nullable().describe("The same with what was dropped."),
  backlogBytes: z.number().nullable(),
  drops: z.number().nullable(),
  reason: z.string(),
});

/** Its brand is of our own types only. */
const mac = z.string() as unknown as z.ZodType<Mac>;

const balance: z.ZodType<Balance> = z.object({
  mode: z.enum(["suggest", "on"]),
  evenUtilisation: z.number().describe("Part of the capacity of the usable uplinks."),
  uplinks: z.array(z.object({ name: z.string(), utilisation: z.number() })),
  moves: z.array(
    z.object({
      domain: z.string(),
      mac,
      from: z.string(),
      to: z.string(),
      loadBitsPerSecond: rate,
      state: z.enum(["suggested", "waiting", "made"]),
      reason: z.string(),
    }),
  ),
  reason: z.string(),
});

const hostClass: z.ZodType<HostClassStatus> = z.object({
  name: z.enum(["default", ...HOST_CLASSES]).describe("default has what no other takes."),
  classId: z.string(),
  priority: z.enum(PRIORITIES),
  reservationBitsPerSecond: rate.describe("As configured, on each uplink."),
  limitBitsPerSecond: rate.nullable(),
  shares: z.int(),
  grantedBitsPerSecond: rate.describe("Where that is least, of the usable uplinks."),
  sentBitsPerSecond: rate.nullable().describe("By all uplinks."),
  drops: z.number(),
});

const sourceMode = z.enum(SOURCE_MODES);

const sources: z.ZodType<SourcesStatus> = z.object({
  forged: sourceMode.describe("Frames with another vNIC's source address."),
  unregistered: sourceMode.describe("Frames with a source address that is no vNIC's."),
  interfaces: z.array(
    z.object({
      device: z.string(),
      domain: z.string().nullable().describe("Whose tap it is; null: no domain's."),
      forgedFrames: z.number(),
      unregisteredFrames: z.number(),
    }),
  ),
});

const team: z.ZodType<TeamStatus> = z.object({
  name: z.string(),
  bond: z.string(),
  mode: z
    .enum([
      "balance-rr",
      "active-backup",
      "balance-xor",
      "broadcast",
      "802.3ad",
      "balance-tlb",
      "balance-alb",
    ])
    .nullable()
    .describe("null where there is no such bond."),
  condition: z.enum(["ok", "degraded", "isolated", "refused", "barred"]),
  activePort: z.string().nullable(),
  uplinks: z.array(uplink),
  host: z.array(hostClass),
  loadWindowMs: z.number().describe("What loads are averaged over."),
  balance: balance.nullable().describe("null: `rebalance` is off."),
  sources: sources.nullable().describe("null: nothing is done about source addresses."),
  reasons,
  conflicts: z.array(
    z.object({
      device: z.string(),
      found: z.string(),
      message: z.string(),
      remedy: z.string(),
      blocking: z.boolean(),
    }),
  ),
});

const vnic: z.ZodType<VnicStatus> = z.object({
  mac: z.string(),
  tap: z.string().nullable(),
  team: z.string().nullable(),
  policy: z.string(),
  priority: z.enum(PRIORITIES),
  home: z.string().nullable(),
  via: z.string().nullable().describe("Where it sends now; differs from home while that is lost."),
  classId: z.string().nullable().describe("HTB class as tc prints it: 7570:10."),
  recentMoves: z.int(),
  reservationBitsPerSecond: rate.describe("As promised."),
  limitBitsPerSecond: rate.nullable(),
  inboundLimitBitsPerSecond: rate
    .exactOptional()
    .describe("Of what reaches it from the wire; absent: not limited. Never a guarantee."),
  inboundBytes: z
    .number()
    .exactOptional()
    .describe("What came for it from the wire since the limit was made, dropped or not."),
  inboundDrops: z.number().exactOptional().describe("Packets of it that were above the limit."),
  shares: z.int(),
  grantedBitsPerSecond: rate.describe("The rate of its class where it sends now."),
  expectedBitsPerSecond: rate.describe("What it gets now, everyone's demand considered."),
  sentBitsPerSecond: rate.nullable(),
  demandBitsPerSecond: rate.nullable().describe("The same with what was dropped."),
  backlogBytes: z.number(),
  drops: z.number().describe("Packets that its class dropped."),
  survivesOneLoss: z.boolean(),
  guarantee: z.enum(GUARANTEES).nullable(),
  unshapedReason: z.string().nullable(),
});

const domain: z.ZodType<DomainStatus> = z.object({
  name: z.string(),
  phase: z.enum(["starting", "running", "paused", "incoming"]),
  action: z.enum(["none", ...FAILOVER_ACTIONS, "resume"]),
  pausedByUs: z.boolean(),
  held: z.boolean(),
  owner: z.string().nullable(),
  migration: z
    .object({ destination: z.string(), sinceMs: unixMs, bandwidthBitsPerSecond: rate })
    .nullable()
    .describe("A migration by uplinkd that is under way."),
  vnics: z.array(vnic),
  problems: z.array(problemDocument),
});

const drift: z.ZodType<Drift> = z.object({
  object: z.string().describe("Key of the kernel object: class nic0 7570:10."),
  op: z.enum(["add", "change", "delete"]),
  sinceMs: unixMs,
  message: z.string(),
});

const contest: z.ZodType<Contest> = z.object({
  object: z.string().describe("Key of the kernel object: class nic0 7570:10."),
  times: z.number(),
  sinceMs: unixMs,
  who: z.string().describe("Who it is likely to be that changes it, and the evidence."),
  nextTryAtMs: unixMs,
});

export const statusDocument: z.ZodType<Status> = z.object({
  daemon,
  teams: z.array(team),
  domains: z.array(domain),
  problems: z.array(problemDocument),
  drift: z.array(drift),
  contests: z.array(contest),
});

export const networkPolicyDocument: z.ZodType<NetworkPolicy> = z.object({
  inbound: z
    .object({ limitBitsPerSecond: rate, burstBytes: z.number().nullable() })
    .exactOptional()
    .describe("A limit of what reaches it from the wire; absent: none. Never a guarantee."),
  addresses: z.array(mac).exactOptional().describe("Declared source addresses besides its own."),
  policy: z.string(),
  priority: z.enum(PRIORITIES),
  bandwidth: z.object({
    reservationBitsPerSecond: rate,
    limitBitsPerSecond: rate.nullable(),
    shares: z.int(),
    burstBytes: z.number().nullable(),
  }),
  placement: z.object({ prefer: z.array(z.string()), apart: z.array(z.string()) }),
  failover: z.object({
    action: z.enum(FAILOVER_ACTIONS),
    graceMs: z.number(),
    maxPauseMs: z.number().nullable(),
    destinations: z.array(z.string()),
  }),
});

const classes = z.array(
  z.object({ uplink: z.string(), reservationBitsPerSecond: rate, limitBitsPerSecond: rate }),
);

export const explanationDocument: z.ZodType<Explanation> = z.object({
  domain,
  reasons,
  vnics: z.array(z.object({ mac: z.string(), policy: networkPolicyDocument, reasons, classes })),
  teams: z.array(z.object({ name: z.string(), reasons })),
});

export const simulationDocument: z.ZodType<SimulationDocument> = z.object({
  failed: z.array(z.string()),
  condition: z.string(),
  uplinks: z.array(
    z.object({
      name: z.string(),
      team: z.string(),
      usable: z.boolean(),
      capacityBitsPerSecond: rate,
      committedBitsPerSecond: rate,
      reason: z.string(),
    }),
  ),
  host: z.array(
    z.object({
      uplink: z.string(),
      name: z.string(),
      reservationBitsPerSecond: rate,
      limitBitsPerSecond: rate,
      expectedBitsPerSecond: rate,
    }),
  ),
  vnics: z.array(
    z.object({
      domain: z.string(),
      mac: z.string(),
      priority: z.string(),
      home: z.string().nullable(),
      homeBeforeLoss: z.string().nullable(),
      reservationBitsPerSecond: rate,
      expectedBitsPerSecond: rate,
      unmetReservationBitsPerSecond: rate,
      classes,
      reasons,
    }),
  ),
  domains: z.array(z.object({ name: z.string(), action: z.string(), reasons })),
});

export const eventDocument: z.ZodType<UplinkEvent> = z.object({
  sequence: z.int().describe("Rising by one."),
  atMs: unixMs,
  severity: z.enum(["debug", "info", "notice", "warning", "error"]),
  id: z.string().describe("Stable: uplink-lost, domain-paused."),
  revision: z.int().describe("The plan that it belongs to, counted since the daemon's start."),
  message: z.string(),
  fields: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});

export const eventPageDocument: z.ZodType<EventPage> = z.object({
  events: z.array(eventDocument),
  lastSequence: z.int().describe("The next `since`."),
  missed: z.boolean().describe("Whether some are no longer in the daemon's memory."),
});

export const releaseDocument: z.ZodType<ReleaseAnswer> = z.object({
  steps: z.array(z.string()).describe("What was taken away or put back."),
  problems: z.array(problemDocument),
});

export const enableDocument: z.ZodType<EnableAnswer> = z.object({
  mode,
  scope,
  confirmByMs: unixMs.nullable(),
  problems: z.array(problemDocument),
});

export const confirmDocument: z.ZodType<ConfirmAnswer> = z.object({ confirmed: z.boolean() });

export const holdDocument: z.ZodType<HoldAnswer> = z.object({
  domain: z.string(),
  held: z.boolean(),
});

export const drainDocument: z.ZodType<DrainAnswer> = z.object({
  uplink: z.string(),
  drained: z.boolean(),
  carries: z.array(z.string()).describe("Domains that send by it."),
  reasons,
  problems: z.array(z.string()).describe("Only without any may the cable be pulled."),
});

export const errorDocument: z.ZodType<ErrorAnswer> = z.object({
  error: z.object({
    kind: z.string().describe("Stable: not-found, method, forbidden, request, conflict, version."),
    object: z.string(),
    message: z.string(),
    remedy: z.string(),
  }),
});
