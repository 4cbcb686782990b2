/** A domain's metadata as libvirt keeps it, live and stored: read, and written by an operator's command only. */
import { LibvirtError } from "../model/errors.ts";
import { ANNOTATION_NAMESPACE } from "./annotation.ts";
import type { LibvirtCaller } from "./connection.ts";
import { listActiveDomains, readDomainXml, uuidFromPath } from "./domain.ts";

const CONNECT_PATH = "/org/libvirt/QEMU";
/** VIR_CONNECT_LIST_DOMAINS_PERSISTENT. */
const PERSISTENT = 4;
/** VIR_DOMAIN_METADATA_ELEMENT. */
const ELEMENT = 2;
/** The prefix that the element gets in the domain's XML. */
const PREFIX = "uplink";
/** VIR_DOMAIN_AFFECT_LIVE, VIR_DOMAIN_AFFECT_CONFIG. */
const AFFECT = { live: 1, stored: 2 } as const;

/** live: of the domain as it runs. stored: as it will start next. */
export type Definition = keyof typeof AFFECT;

/** A domain's XMLs, as many as it has: a transient one has no stored one, one that is off no live one. */
export interface DomainTexts {
  readonly uuid: string;
  readonly texts: ReadonlyMap<Definition, string>;
}

/** @returns null where libvirt has no domain of this name */
export async function readDomainTexts(
  caller: LibvirtCaller,
  name: string,
): Promise<DomainTexts | null> {
  const uuid = await findDomain(caller, name);
  if (uuid === null) return null;
  const [active, persistent] = await Promise.all([
    listActiveDomains(caller),
    listPersistentDomains(caller),
  ]);
  const texts = new Map<Definition, string>();
  if (active.includes(uuid)) texts.set("live", await readDomainXml(caller, uuid));
  if (persistent.includes(uuid)) {
    texts.set("stored", await readDomainXml(caller, uuid, { inactive: true }));
  }
  return { uuid, texts };
}

/** The names of all domains, for suggestions. */
export async function listDomainNames(caller: LibvirtCaller): Promise<readonly string[]> {
  const records = await caller.call({
    object: "libvirt's domains",
    path: CONNECT_PATH,
    interface: "org.libvirt.Connect",
    member: "GetAllDomainStats",
    signature: "uu",
    // VIR_DOMAIN_STATS_STATE, the cheapest; of all domains.
    body: [1, 0],
  });
  const names = Array.isArray(records) ? records.map((record: unknown[]) => record[0]) : [];
  return names.filter((name) => typeof name === "string");
}

/**
 * Replaces the annotation in one of the domain's definitions.
 * @param metadata its element without namespace, which libvirt puts in
 */
export async function writeMetadata(
  caller: LibvirtCaller,
  uuid: string,
  definition: Definition,
  metadata: string,
): Promise<void> {
  await caller.call({
    object: `domain ${uuid}`,
    path: `${CONNECT_PATH}/domain/_${uuid.replaceAll("-", "_")}`,
    interface: "org.libvirt.Domain",
    member: "SetMetadata",
    signature: "isssu",
    body: [ELEMENT, metadata, PREFIX, ANNOTATION_NAMESPACE, AFFECT[definition]],
  });
}

async function findDomain(caller: LibvirtCaller, name: string): Promise<string | null> {
  try {
    const path = await caller.call({
      object: `domain ${name}`,
      path: CONNECT_PATH,
      interface: "org.libvirt.Connect",
      member: "DomainLookupByName",
      signature: "s",
      body: [name],
    });
    return uuidFromPath(path);
  } catch (error) {
    if (error instanceof LibvirtError && error.retry === "resync") return null;
    throw error;
  }
}

async function listPersistentDomains(caller: LibvirtCaller): Promise<readonly (string | null)[]> {
  const paths = await caller.call({
    object: "libvirt's domains",
    path: CONNECT_PATH,
    interface: "org.libvirt.Connect",
    member: "ListDomains",
    signature: "u",
    body: [PERSISTENT],
  });
  return Array.isArray(paths) ? paths.map(uuidFromPath) : [];
}
