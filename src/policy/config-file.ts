/** The shape of uplinkd.yaml and of its drop-ins. Defaults are not here but in config.ts. */
import * as z from "zod";
import { REBALANCE_MODES, SOURCE_MODES } from "../model/config.ts";
import { PolicyError } from "../model/errors.ts";
import { bitsPerSecondFromMebibytesPerSecond, formatRate, parsePercent } from "../model/units.ts";
import { hostContradictions, hostFileSchema, limitFault } from "./host-file.ts";
import { action, duration, name, priority, rate } from "./policy-file.ts";
import { probeContradictions, probesFileSchema } from "./probes-file.ts";
import { parseYaml, strictMap, unit, type YamlResult } from "./yaml.ts";

/** Linux: IFNAMSIZ is 16 with the closing zero; no '/' and no space (dev_valid_name). */
const interfaceName = z.string({ error: "must be an interface's name" }).regex(/^[^\s/:]{1,15}$/, {
  error: "is no interface name: 1 to 15 characters, no '/', ':' or space",
});

const uplink = z.union([
  interfaceName,
  strictMap({
    name: interfaceName,
    speed: rate("Its speed, where the driver's is unknown or not what the line gives.").optional(),
    label: name.optional().describe("A name for annotations that is the same on each host."),
  }),
]);

const rebalanceMode = z
  .enum(REBALANCE_MODES, { error: `must be one of ${REBALANCE_MODES.join(", ")}` })
  .describe("'suggest' only shows in status and explain what 'on' would do.");

const rebalance = strictMap({
  mode: rebalanceMode,
  threshold: unit(parsePercent, {
    description: "How far an uplink's utilisation may be from the team's: 10% by default.",
    examples: ["10%"],
  }).optional(),
  coolDown: duration("How long a vNIC stays after any change of its uplink.").optional(),
});

const sourceMode = z.enum(SOURCE_MODES, { error: `must be one of ${SOURCE_MODES.join(", ")}` });

const sources = strictMap({
  forged: sourceMode
    .optional()
    .describe("Frames with a vNIC's address that come by another interface than the vNIC's tap."),
  unregistered: sourceMode
    .optional()
    .describe("Frames with an address that is no vNIC's, by a guest's tap or another bridge port."),
});

const team = strictMap({
  bond: interfaceName.describe("The bond that is the bridge's port."),
  name: name.optional().describe("Its name in status; by default the bond's."),
  uplinks: z
    .array(uplink)
    .max(15, { error: "has more than 15 uplinks; bonding has 15 queue ids" })
    .optional()
    .describe("The bond's ports in order of choice; by default all of them."),
  headroom: unit(parsePercent, {
    description: "Left unused of each uplink, so that uplinkd's queues and not the NIC's fill up.",
    examples: ["5%"],
  }).optional(),
  floor: rate("Every vNIC's least rate, however degraded.").optional(),
  holdDown: duration("How long a returned uplink must stay up before vNICs go home.").optional(),
  holdDownMax: duration(
    "Bound of holdDown, which doubles for an uplink that is lost again soon.",
  ).optional(),
  bondUpdelay: z
    .union([z.literal("keep"), duration("The bond's updelay.")])
    .optional()
    .describe("'keep' leaves the bond's updelay alone, a duration sets it until release."),
  steering: z
    .enum(["hash", "redirect"])
    .optional()
    .describe(
      "balance-xor and 802.3ad: 'hash', the default, foresees bonding's own choice; 'redirect' places vNICs, and needs the daemon at a loss.",
    ),
  loadWindow: duration("Window of the load averages, 500ms to 1h.").optional(),
  rebalance: z
    .union([rebalanceMode, rebalance])
    .optional()
    .describe("Whether vNICs move to even out what uplinks carry; 'off' by default."),
  sources: z
    .union([sourceMode, sources])
    .optional()
    .describe(
      "Frames whose source address isn't their sender's: 'log' counts and tells of them, 'drop' discards them; 'off' by default.",
    ),
  probes: z.union([z.literal("off"), probesFileSchema]).optional(),
  host: hostFileSchema.optional(),
});

const admissionMode = z.enum(["off", "warn", "enforce"]);
const survive = z
  .union([z.literal(0), z.literal(1)])
  .describe("How many lost uplinks a reservation must survive to be admitted.");

const domainPattern = z
  .string({ error: "must be a pattern such as web-*" })
  .min(1, { error: "must be a pattern such as web-*" })
  .max(256, { error: "is longer than 256 characters" })
  .describe("Domains by name; '*' stands for any text, '?' for one character.");

const cap = strictMap({
  domain: domainPattern,
  maxPriority: priority.optional(),
  maxReservation: rate("The largest reservation of one vNIC.").optional(),
  actions: z.array(action).optional().describe("Failover actions that may be asked for."),
});

const owner = strictMap({
  domain: domainPattern,
  manager: name.describe("Who owns them, such as pacemaker."),
});

/**
 * libvirt's URI of a remote host, as `virsh -c` takes it. No `unix` transport and no missing host: that would be this
 * host itself.
 */
const libvirtUri = z
  .string({ error: "must be libvirt's URI of another host" })
  .max(1024, { error: "is longer than 1024 characters" })
  .regex(/^qemu\+(?:tls|ssh|tcp|libssh2?):\/\/[^\s/?#]+\/system(?:\?\S*)?$/, {
    error: "is no URI such as qemu+tls://host2.example/system",
  });

const migrateUri = z
  .string({ error: "must be a URI such as tcp://10.1.0.2" })
  .max(1024, { error: "is longer than 1024 characters" })
  .regex(/^(?:tcp|rdma):\/\/[^\s/?#]+$/, { error: "is no URI such as tcp://10.1.0.2" });

const destination = strictMap({
  name: name.describe("What annotations and policies call it."),
  uri: libvirtUri.describe("As this host's libvirt reaches it: qemu+tls://host2.example/system."),
  migrateUri: migrateUri
    .optional()
    .describe("Where the guest's memory is sent; by default what its libvirt answers."),
});

const migration = strictMap({
  concurrent: z
    .union([z.literal(1), z.literal(2)], { error: "must be 1 or 2" })
    .optional()
    .describe("Migrations by uplinkd at a time."),
  bandwidth: rate("The most that one may send; by default what reservations leave.").optional(),
  timeout: duration("A migration that takes longer is aborted.").optional(),
  retry: duration("A destination that didn't take a domain isn't asked again before.").optional(),
});

/** The shape of uplinkd.yaml; also the source of policies/schema/uplinkd.json. */
export const configFileSchema = strictMap({
  teams: z
    .union([z.literal("auto"), z.array(team)])
    .optional()
    .describe(
      "Bonds to manage; 'auto', the default: each active-backup bond that is a bridge's port.",
    ),
  admission: z
    .union([admissionMode, strictMap({ mode: admissionMode, survive: survive.optional() })])
    .optional()
    .describe("What happens at a VM's start whose reservation does not fit."),
  survive: survive.optional(),
  annotations: z
    .enum(["lenient", "strict"])
    .optional()
    .describe("'strict' refuses to start a VM whose annotation is wrong."),
  caps: z
    .array(cap)
    .optional()
    .describe("What annotations may ask for; the first entry whose pattern matches holds."),
  owners: z
    .array(owner)
    .optional()
    .describe(
      "Domains of other managers: shaped, never paused or moved; nova, oVirt, KubeVirt are known.",
    ),
  destinations: z
    .array(destination)
    .optional()
    .describe("Hosts that domains may be moved to; asked in this order where a policy names none."),
  migration: migration.optional().describe("How domains are moved."),
  maxPause: duration("Bound of every pause.").optional(),
  resync: duration("How often everything is read anew and compared.").optional(),
  announcements: z
    .union([
      z.literal("off"),
      strictMap({
        count: z
          .int({ error: "must be a whole number" })
          .min(1, { error: "must be at least 1; `announcements: off` sends none" })
          .max(10, { error: "must be at most 10" })
          .optional()
          .describe("Frames in a vNIC's name after each change of its uplink."),
        interval: duration("Between two of them.").optional(),
      }),
    ])
    .optional()
    .describe("Frames in a vNIC's name by its new uplink, so that switches send there at once."),
}).meta({ title: "uplinkd configuration", description: "/etc/uplinkd/uplinkd.yaml and uplinkd.d" });

export type ConfigFile = z.output<typeof configFileSchema>;
export type TeamFile = Exclude<NonNullable<ConfigFile["teams"]>, "auto">[number];

/** A whole MiB/s is the least that libvirt can be told; see units.ts. */
const LEAST_MIGRATION_BANDWIDTH = bitsPerSecondFromMebibytesPerSecond(1);
const MIGRATION_BOUNDS = [
  { key: "timeout", leastMs: 10e3, mostMs: 24 * 3600e3 },
  { key: "retry", leastMs: 1000, mostMs: 24 * 3600e3 },
] as const;

/** Bounds of times that would break something: below, the loop would spin; above, healing would be late. */
const BOUNDS = [
  { key: "resync", leastMs: 1000, mostMs: 3600e3 },
  { key: "maxPause", leastMs: 1000, mostMs: 24 * 3600e3 },
] as const;
const TEAM_BOUNDS = [
  { key: "loadWindow", leastMs: 500, mostMs: 3600e3 },
  { key: "holdDown", leastMs: 0, mostMs: 3600e3 },
  { key: "holdDownMax", leastMs: 0, mostMs: 24 * 3600e3 },
] as const;

/**
 * Parses uplinkd.yaml or one of its drop-ins. Pure.
 * @returns what it says, without defaults, or everything that is wrong with it
 */
export function parseConfigFile(file: string, text: string): YamlResult<ConfigFile> {
  const parsed = parseYaml(file, text, configFileSchema);
  if (!parsed.ok) return parsed;
  const errors = [...contradictions(parsed.value), ...teamContradictions(parsed.value)].map(
    ({ path, message }) => new PolicyError(parsed.at(path), message),
  );
  return errors.length > 0 ? { ok: false, errors } : parsed;
}

interface Contradiction {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

function contradictions(file: ConfigFile): Contradiction[] {
  const found: Contradiction[] = [];
  const { admission } = file;
  if (
    typeof admission === "object" &&
    admission.survive !== undefined &&
    file.survive !== undefined
  )
    found.push({ path: ["survive"], message: "is stated twice, here and in admission" });
  for (const { key, leastMs, mostMs } of BOUNDS) {
    const wrong = outside(file[key], leastMs, mostMs);
    if (wrong !== null) found.push({ path: [key], message: wrong });
  }
  for (const { key, leastMs, mostMs } of MIGRATION_BOUNDS) {
    const wrong = outside(file.migration?.[key], leastMs, mostMs);
    if (wrong !== null) found.push({ path: ["migration", key], message: wrong });
  }
  const bandwidth = file.migration?.bandwidth;
  if (bandwidth !== undefined && bandwidth < LEAST_MIGRATION_BANDWIDTH)
    found.push({
      path: ["migration", "bandwidth"],
      message: `must be at least ${formatRate(LEAST_MIGRATION_BANDWIDTH)}, libvirt's least`,
    });
  const names = new Set<string>();
  for (const [index, { name: own }] of (file.destinations ?? []).entries())
    if (isRepeated(names, own))
      found.push({ path: ["destinations", index, "name"], message: "is there twice" });
  return found;
}

function teamContradictions(file: ConfigFile): Contradiction[] {
  if (file.teams === undefined || file.teams === "auto") return [];
  const found: Contradiction[] = [];
  const seen = { bond: new Set<string>(), name: new Set<string>(), uplink: new Set<string>() };
  for (const [index, entry] of file.teams.entries()) {
    const path = ["teams", index];
    const complain = (key: readonly PropertyKey[], message: string) =>
      found.push({ path: [...path, ...key], message });
    if (isRepeated(seen.bond, entry.bond)) complain(["bond"], "is another team's bond already");
    if (isRepeated(seen.name, entry.name ?? entry.bond))
      complain([entry.name === undefined ? "bond" : "name"], "is another team's name already");
    const labels = new Set<string>();
    for (const [position, port] of (entry.uplinks ?? []).entries()) {
      const { name: portName, label, speed } = typeof port === "string" ? { name: port } : port;
      if (isRepeated(seen.uplink, portName)) complain(["uplinks", position], "is there twice");
      if (label !== undefined && isRepeated(labels, label))
        complain(["uplinks", position, "label"], "is another uplink's label already");
      if (speed === 0) complain(["uplinks", position, "speed"], "must be above zero");
    }
    // Half a line as headroom is a mistake; 0 leaves the queue to the NIC, where no priority holds.
    if (entry.headroom !== undefined && entry.headroom > 0.5)
      complain(["headroom"], "must be at most 50%");
    const wrongLimit = limitFault(entry.host ?? {});
    if (wrongLimit !== null) complain(["host", "limit"], wrongLimit);
    for (const { path: key, message } of hostContradictions(entry.host ?? {}))
      complain(["host", ...key], message);
    if (entry.holdDownMax !== undefined && entry.holdDownMax < (entry.holdDown ?? 0))
      complain(["holdDownMax"], "is below holdDown");
    if (typeof entry.rebalance === "object") {
      const { threshold, coolDown } = entry.rebalance;
      // Below, noise is evened out; at half an uplink and more nothing ever is.
      if (threshold !== undefined && (threshold < 0.01 || threshold > 0.5))
        complain(["rebalance", "threshold"], "must be from 1% to 50%");
      const wrong = outside(coolDown, 1000, 24 * 3600e3);
      if (wrong !== null) complain(["rebalance", "coolDown"], wrong);
    }
    if (typeof entry.probes === "object")
      for (const { path: at, message } of probeContradictions(entry.probes))
        complain(["probes", ...at], message);
    for (const { key, leastMs, mostMs } of TEAM_BOUNDS) {
      const wrong = outside(entry[key], leastMs, mostMs);
      if (wrong !== null) complain([key], wrong);
    }
  }
  return found;
}

function isRepeated(seen: Set<string>, word: string): boolean {
  const before = seen.size;
  return seen.add(word).size === before;
}

function outside(ms: number | undefined, leastMs: number, mostMs: number): string | null {
  if (ms === undefined || (ms >= leastMs && ms <= mostMs)) return null;
  return ms < leastMs ? `must be at least ${leastMs}ms` : `must be at most ${mostMs / 1000}s`;
}
