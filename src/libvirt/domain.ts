/** Calls about domains (libvirt: libvirt-domain). A domain is named by its UUID, which libvirt-dbus's paths hold. */
import { inspect } from "node:util";
import type { DomainDefinition, DomainPhase } from "../model/domain.ts";
import { LibvirtError } from "../model/errors.ts";
import { clip, mebibytesPerSecondBelow } from "../model/units.ts";
import type { LibvirtCaller } from "./connection.ts";
import { parseDomainXml } from "./domain-xml.ts";

const CONNECT_PATH = "/org/libvirt/QEMU";
const CONNECT = "org.libvirt.Connect";
const DOMAIN = "org.libvirt.Domain";

/** VIR_CONNECT_LIST_DOMAINS_ACTIVE; VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE has the same value. */
const ACTIVE = 1;
/** VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT: a domain in the middle of a long job doesn't hold up the others. */
const NOWAIT = 1 << 29;
/** VIR_DOMAIN_STATS_STATE. */
const STATS_STATE = 1;

/** virDomainState. */
const STATES = [
  "none",
  "running",
  "blocked",
  "paused",
  "shutdown",
  "off",
  "crashed",
  "pmsuspended",
] as const;

export interface LibvirtState {
  readonly state: (typeof STATES)[number];
  /** virDomain*Reason's number; its meaning depends on the state. */
  readonly reason: number;
}

/** virDomainPausedReason, as far as it matters. */
const PAUSED_MIGRATION = 2;
const PAUSED_STARTING_UP = 11;

/**
 * Where a domain is in its life; null for one that doesn't run. One that migrates away is paused for the last moment
 * just as one that arrives is until then: only what came before (hook, events) tells them apart.
 */
export function phaseOf({ state, reason }: LibvirtState): DomainPhase | null {
  switch (state) {
    case "running":
    case "blocked":
    case "shutdown":
    case "pmsuspended":
      return "running";
    case "paused":
      if (reason === PAUSED_STARTING_UP) return "starting";
      return reason === PAUSED_MIGRATION ? "incoming" : "paused";
    case "none":
    case "off":
    case "crashed":
      return null;
  }
}

/** @returns the UUIDs of all domains that run or are paused */
export async function listActiveDomains(caller: LibvirtCaller): Promise<readonly string[]> {
  const object = "libvirt's domains";
  const paths = await caller.call({
    object,
    path: CONNECT_PATH,
    interface: CONNECT,
    member: "ListDomains",
    signature: "u",
    body: [ACTIVE],
  });
  if (!Array.isArray(paths)) throw unexpected(object, "ListDomains", paths);
  return paths.map((path) => {
    const uuid = uuidFromPath(path);
    if (uuid === null) throw unexpected(object, "ListDomains", path);
    return uuid;
  });
}

/**
 * The states of all active domains by name, in one call that never waits for a guest: the heartbeat. Like any call
 * it makes libvirt-dbus connect to libvirt anew where it has lost it, and send events again.
 */
export async function readAllStates(
  caller: LibvirtCaller,
  timeoutMs: number,
): Promise<ReadonlyMap<string, LibvirtState>> {
  const object = "libvirt's domains";
  const records = await caller.call({
    object,
    path: CONNECT_PATH,
    interface: CONNECT,
    member: "GetAllDomainStats",
    signature: "uu",
    body: [STATS_STATE, (ACTIVE | NOWAIT) >>> 0],
    timeoutMs,
  });
  if (!Array.isArray(records)) throw unexpected(object, "GetAllDomainStats", records);
  const states = new Map<string, LibvirtState>();
  for (const record of records) {
    const [name, stats] = Array.isArray(record) ? record : [];
    if (typeof name !== "string" || typeof stats !== "object" || stats === null) {
      throw unexpected(object, "GetAllDomainStats", record);
    }
    states.set(name, toState(object, [stats["state.state"], stats["state.reason"]]));
  }
  return states;
}

/** The domain's XML as it runs, or with `inactive` as it will start next. */
export async function readDomainXml(
  caller: LibvirtCaller,
  uuid: string,
  options: { readonly inactive?: boolean } = {},
): Promise<string> {
  // VIR_DOMAIN_XML_INACTIVE is 2.
  const xml = await callDomain(caller, uuid, "GetXMLDesc", "u", [options.inactive ? 2 : 0]);
  if (typeof xml !== "string") throw unexpected(`domain ${uuid}`, "GetXMLDesc", xml);
  return xml;
}

export async function readDomainState(caller: LibvirtCaller, uuid: string): Promise<LibvirtState> {
  return toState(`domain ${uuid}`, await callDomain(caller, uuid, "GetState", "u", [0]));
}

/** What a domain is and where it is in its life, both as libvirt knows them now. */
export async function readDomain(
  caller: LibvirtCaller,
  uuid: string,
): Promise<{ readonly definition: DomainDefinition; readonly state: LibvirtState }> {
  const [xml, state] = await Promise.all([
    readDomainXml(caller, uuid),
    readDomainState(caller, uuid),
  ]);
  return { definition: parseDomainXml(xml, `domain ${uuid}`), state };
}

/** Stops the guest's CPUs. Of a domain that is paused already it says nothing: look at the state before. */
export async function suspendDomain(caller: LibvirtCaller, uuid: string): Promise<void> {
  await callDomain(caller, uuid, "Suspend");
}

/** Lets the guest's CPUs run again. */
export async function resumeDomain(caller: LibvirtCaller, uuid: string): Promise<void> {
  await callDomain(caller, uuid, "Resume");
}

/**
 * VIR_MIGRATE_LIVE | PEER2PEER | PERSIST_DEST | UNDEFINE_SOURCE | ABORT_ON_ERROR: libvirtd itself talks to the other
 * host, and goes on without us; the definition is then there and no longer here, where it could start a second time;
 * an I/O error ends it. Never UNSAFE, nor POSTCOPY, after which a failure of the network loses the guest.
 */
const MIGRATE_FLAGS = 1 | 2 | 8 | 16 | 4096;

/**
 * Moves a running domain to another host (virDomainMigrateToURI3).
 * @param timeoutMs then it counts as unanswered; libvirt goes on with it
 * @returns once it runs there
 */
export async function migrateDomain(
  caller: LibvirtCaller,
  uuid: string,
  call: {
    readonly uri: string;
    readonly migrateUri: string | null;
    readonly bandwidthBitsPerSecond: number;
    readonly timeoutMs: number;
  },
): Promise<void> {
  const bandwidth = BigInt(Math.max(1, mebibytesPerSecondBelow(call.bandwidthBitsPerSecond)));
  const parameters = [
    // VIR_MIGRATE_PARAM_BANDWIDTH, VIR_MIGRATE_PARAM_URI.
    ["bandwidth", ["t", bandwidth]],
    ...(call.migrateUri === null ? [] : [["migrate_uri", ["s", call.migrateUri]]]),
  ];
  const body = [call.uri, parameters, MIGRATE_FLAGS];
  await callDomain(caller, uuid, "MigrateToURI3", "sa{sv}u", body, call.timeoutMs);
}

/** virDomainJobType: others tell of one that has ended. */
const JOB_BOUNDED = 1;
const JOB_UNBOUNDED = 2;
/** virDomainJobOperation, VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT. */
const MIGRATION_OUT = 5;

/** The long job that is under way on a domain; other: a save, a dump, a backup. */
export async function readJob(
  caller: LibvirtCaller,
  uuid: string,
): Promise<"none" | "migration" | "other"> {
  const answer = await callDomain(caller, uuid, "GetJobStats", "u", [0]);
  const [type, stats] = Array.isArray(answer) ? answer : [];
  if (typeof type !== "number" || typeof stats !== "object" || stats === null)
    throw unexpected(`domain ${uuid}`, "GetJobStats", answer);
  if (type !== JOB_BOUNDED && type !== JOB_UNBOUNDED) return "none";
  return (stats as Record<string, unknown>)["operation"] === MIGRATION_OUT ? "migration" : "other";
}

/** Ends the job that is under way; a migration's domain then goes on here. */
export async function abortJob(caller: LibvirtCaller, uuid: string): Promise<void> {
  await callDomain(caller, uuid, "AbortJob");
}

/** @returns null unless it is the path that libvirt-dbus gives a QEMU domain (virtDBusUtilBusPathForVirDomain) */
export function uuidFromPath(path: unknown): string | null {
  const match =
    typeof path === "string"
      ? /^\/org\/libvirt\/QEMU\/domain\/_([0-9a-f]{8}(?:_[0-9a-f]{4}){3}_[0-9a-f]{12})$/.exec(path)
      : null;
  return match?.[1]?.replaceAll("_", "-") ?? null;
}

async function callDomain(
  caller: LibvirtCaller,
  uuid: string,
  member: string,
  signature?: string,
  body: readonly unknown[] = [],
  timeoutMs?: number,
): Promise<unknown> {
  return await caller.call({
    object: `domain ${uuid}`,
    path: `${CONNECT_PATH}/domain/_${uuid.replaceAll("-", "_")}`,
    interface: DOMAIN,
    member,
    ...(signature !== undefined && { signature, body }),
    ...(timeoutMs !== undefined && { timeoutMs }),
  });
}

function toState(object: string, value: unknown): LibvirtState {
  const [number, reason] = Array.isArray(value) ? value : [];
  const state = typeof number === "number" ? STATES[number] : undefined;
  if (state === undefined || typeof reason !== "number") {
    throw unexpected(object, "its state", value);
  }
  return { state, reason };
}

function unexpected(object: string, what: string, value: unknown): LibvirtError {
  // Not JSON: D-Bus's 64-bit numbers are bigints, which it refuses.
  const shown = clip(inspect(value, { depth: 2, maxArrayLength: 4, maxStringLength: 60 }));
  return new LibvirtError(object, `${what} gave ${shown}; is this libvirt-dbus 1.4 or later?`);
}
