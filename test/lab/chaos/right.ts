/** Whether a host is as it should be, by what the kernel says of itself and by what the daemon says. */
import { readJson } from "../command.ts";
import { attribute, readClassCounts, uplinkNames } from "../host.ts";
import { domainState } from "../libvirt.ts";
import { type ChaosHost, DOMAINS } from "./host.ts";

interface Link {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly linkinfo?: { readonly info_slave_data?: { readonly queue_id?: number } };
}

interface Filter {
  readonly pref: number;
  readonly options?: {
    readonly keys?: { readonly src_mac?: string; readonly dst_mac?: string };
    readonly actions?: readonly {
      readonly priority?: string;
      readonly queue_mapping?: number;
    }[];
  };
}

const MACS = DOMAINS.flatMap(({ macs }): readonly string[] => macs);

/** @returns what isn't right, or null */
export async function findWrong(host: ChaosHost): Promise<string | null> {
  if (!host.runs) return "uplinkd has ended";
  return (await statusWrong(host)) ?? kernelWrong() ?? domainsWrong();
}

async function statusWrong({ daemon }: ChaosHost): Promise<string | null> {
  const status = await daemon.status().catch(() => null);
  if (status === null) return "uplinkd gives no answer";
  const [team] = status.teams;
  if (status.daemon.mode !== "enforcing") return `uplinkd is ${status.daemon.mode}`;
  if (status.daemon.libvirt !== "up") return "uplinkd has no libvirt";
  if (team?.condition !== "ok")
    return `the team is ${team?.condition}: ${team?.reasons.join("; ")}`;
  const [drift] = status.drift;
  if (drift !== undefined) return `drift: ${drift.op} ${drift.object}: ${drift.message}`;
  const usable = team.uplinks.filter((uplink) => uplink.usable).map((uplink) => uplink.name);
  for (const { name } of DOMAINS) {
    const domain = status.domains.find((candidate) => candidate.name === name);
    if (domain?.phase !== "running") return `${name} is ${domain?.phase ?? "unknown"}`;
    for (const { mac, via } of domain.vnics)
      if (via === null || !usable.includes(via)) return `${name} ${mac} goes by ${via}`;
  }
  if (status.domains.length !== DOMAINS.length) return `${status.domains.length} domains`;
  return null;
}

/** What must stand, and nothing else. */
function kernelWrong(): string | null {
  const links = readJson<Link>("ip", "-d link show");
  const ports = new Map<number, string>();
  for (const { ifname, flags, linkinfo } of links) {
    if (!uplinkNames().includes(ifname)) continue;
    if (attribute(ifname, "carrier") !== "1") return `${ifname} has no carrier`;
    if (!flags.includes("PROMISC")) return `${ifname} isn't promiscuous`;
    const queueId = linkinfo?.info_slave_data?.queue_id ?? 0;
    if (queueId === 0) return `${ifname} has no queue id`;
    ports.set(queueId, ifname);
  }
  if (ports.size !== uplinkNames().length) return "two uplinks have one queue id";
  const onBond = readJson<Filter>("tc", "filter show dev bond0 egress");
  const classes = new Map<string, string>();
  for (const { pref, options } of onBond) {
    const mac = options?.keys?.src_mac;
    if (pref !== 7568 || mac === undefined) continue;
    const actions = options?.actions ?? [];
    const queue = actions.find((action) => action.queue_mapping !== undefined)?.queue_mapping;
    if (!ports.has(queue ?? 0)) return `${mac} goes by queue ${queue}`;
    classes.set(mac, actions.find((action) => action.priority !== undefined)?.priority ?? "none");
  }
  if (sorted(classes.keys()) !== sorted(MACS)) return `filters for ${sorted(classes.keys())}`;
  if (new Set(classes.values()).size !== MACS.length) return "two vNICs have one class";
  for (const pref of [7570, 7572])
    if (!onBond.some((filter) => filter.pref === pref)) return `bond0 has no filter ${pref}`;
  for (const uplink of uplinkNames()) {
    const wrong = uplinkWrong(uplink, new Set(classes.values()));
    if (wrong !== null) return `${uplink}: ${wrong}`;
  }
  return null;
}

function uplinkWrong(uplink: string, classes: ReadonlySet<string>): string | null {
  const counts = readClassCounts(uplink);
  const due = ["7570:1", "7570:fff0", "7570:fff1", ...classes];
  if (sorted(counts.keys()) !== sorted(due)) return `classes ${sorted(counts.keys())}`;
  const root = counts.get("7570:1")?.ceilBitsPerSecond ?? 0;
  if (root !== 40e6) return `the root class has ${root} bit/s`;
  let sum = 0;
  for (const [handle, { rateBitsPerSecond, parent }] of counts) {
    // The control class stands beside it: what is in it is never held up by the rest.
    if (handle === "7570:1" || handle === "7570:fff1") continue;
    if (parent !== "7570:1") return `${handle} stands below ${parent}`;
    sum += rateBitsPerSecond;
  }
  if (sum > root * 1.01) return `classes promise ${sum} of ${root} bit/s`;
  const filters = readJson<Filter>("tc", `filter show dev ${uplink} ingress`);
  const macs = (pref: number, key: "src_mac" | "dst_mac") =>
    sorted(
      filters.flatMap((filter) => {
        const mac = filter.options?.keys?.[key];
        return filter.pref === pref && mac !== undefined ? [mac] : [];
      }),
    );
  if (macs(7575, "src_mac") !== sorted(MACS)) return `reflections of ${macs(7575, "src_mac")}`;
  if (macs(7576, "dst_mac") !== sorted(MACS)) return `redirects of ${macs(7576, "dst_mac")}`;
  const control = readJson<Filter>("tc", `filter show dev ${uplink} parent 7570:`);
  for (const pref of [7577, 7578, 7579])
    if (!control.some((filter) => filter.pref === pref)) return `no filter ${pref}`;
  return null;
}

/** No fault here is a reason to pause anybody. */
function domainsWrong(): string | null {
  for (const { name } of DOMAINS) {
    const state = domainState(name);
    if (state !== "running") return `libvirt says that ${name} is ${state}`;
  }
  return null;
}

function sorted(words: Iterable<string>): string {
  return [...words].sort().join(" ");
}
