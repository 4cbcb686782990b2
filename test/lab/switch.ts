import { batch, bridge, ip, readJson, run, tc, unchecked } from "./command.ts";
import { LACP_MBIT, uplinkNames } from "./host.ts";
import type { End } from "./meter.ts";

/** The namespace that plays the network outside the host: bridge sbr with a port pN per cable. */
export const switchNamespace = "switch";
export const switchAddress = "10.9.0.254";
export const switchAddress6 = "fd09::254";
/** The network outside as an end of traffic. */
export const outside: End = {
  namespace: switchNamespace,
  ipv4: switchAddress,
  ipv6: switchAddress6,
};

/** MLD and IGMP snooping with a querier: groups then reach only the ports that asked for them. */
export function snoop(on: boolean): void {
  const value = on ? 1 : 0;
  ip(
    [
      `link set sbr type bridge mcast_snooping ${value} mcast_querier ${value}` +
        // Short intervals: a querier is trusted only after its first response interval has passed, and groups that
        // went with a pulled cable are reported again at the next query.
        (on
          ? " mcast_query_response_interval 50 mcast_startup_query_interval 100 mcast_query_interval 300"
          : ""),
    ],
    switchNamespace,
  );
}

/** Groups that the switch has learned, with the port that asked for each. */
export function readGroups(): readonly { readonly port: string; readonly group: string }[] {
  interface Entry {
    readonly mdb: readonly { readonly port: string; readonly grp: string }[];
  }
  return readJson<Entry>("bridge", "mdb show", switchNamespace).flatMap((entry) =>
    entry.mdb.map(({ port, grp }) => ({ port, group: grp })),
  );
}

/** Moves the last cables to a second switch, sbr2, joined to the first by a link. Half of them each. */
export function splitInTwo(): void {
  const ports = portNames();
  const moved = ports.slice(Math.ceil(ports.length / 2));
  ip(
    [
      "link add sbr2 type bridge",
      "link add trunk1 type veth peer name trunk2",
      "link set trunk1 master sbr up",
      "link set trunk2 master sbr2 up",
      ...moved.map((port) => `link set ${port} master sbr2`),
      "link set sbr2 up",
    ],
    switchNamespace,
  );
  // Linux answers for an address by any interface: the second switch would speak for who is at the first.
  runOutside("sysctl", "-qw", "net.ipv4.conf.sbr2.arp_ignore=1");
}

/**
 * Has the switch take all its ports as one: by LACP, or as a static group that spreads by the sender's address.
 * To be made before the host's bond comes up, or LACP waits for its slow timer.
 */
export function bundle(mode: "802.3ad" | "balance-xor"): void {
  const ports = portNames();
  const rate = mode === "802.3ad" ? "lacp_rate fast" : "";
  ip(
    [
      `link add lag type bond mode ${mode} miimon 100 xmit_hash_policy layer2 ${rate}`,
      ...ports.map((port) => `link set ${port} nomaster down`),
    ],
    switchNamespace,
  );
  for (const port of ports) {
    const words = ["-s", port, "speed", `${LACP_MBIT}`, "duplex", "full", "autoneg", "off"];
    runOutside("ethtool", ...words);
  }
  ip(
    [
      ...ports.map((port) => `link set ${port} master lag`),
      "link set lag up",
      "link set lag master sbr",
    ],
    switchNamespace,
  );
}

/** Takes a cable's port out of the group: its carrier stays, and LACP falls silent on it. */
export function unbundle(cable: number): void {
  ip([`link set p${cable} nomaster`, `link set p${cable} up`], switchNamespace);
}

/**
 * Makes a port swallow every frame, both ways, while its carrier stays: a switch port in STP's listening
 * state, or a transceiver gone bad. Done before the bridge sees the frame, so it outlasts a pulled cable.
 */
export function stopForwarding(cable: number): void {
  stopDirections(cable, ["ingress", "egress"]);
}

/** The same for one direction: `out` is what the host sends by it. */
export function stopOneWay(cable: number, direction: "out" | "in"): void {
  stopDirections(cable, [direction === "out" ? "ingress" : "egress"]);
}

function stopDirections(cable: number, hooks: readonly ("ingress" | "egress")[]): void {
  tc(
    [
      `qdisc add dev p${cable} clsact`,
      ...hooks.map((hook) => `filter add dev p${cable} ${hook} pref 1 matchall action drop`),
    ],
    switchNamespace,
  );
}

/** Cuts the link between two switches; both keep all their other links. */
export function joinSwitches(joined: boolean): void {
  ip([`link set trunk1 ${joined ? "up" : "down"}`], switchNamespace);
}

/** The address that the network outside has in a VLAN too, untagged being another. */
export function addVlan(vlanId: number, address: string): void {
  ip(
    [
      `link add link sbr name vlan${vlanId} type vlan id ${vlanId}`,
      `addr add ${address} dev vlan${vlanId}`,
      `link set vlan${vlanId} up`,
    ],
    switchNamespace,
  );
}

/** Where the switch has learned each address, by the port's name. */
export function readLearned(): ReadonlyMap<string, string> {
  interface Entry {
    readonly mac: string;
    readonly ifname: string;
    readonly state: string;
  }
  const entries = readJson<Entry>("bridge", "fdb show", switchNamespace);
  return new Map(
    entries.filter(({ state }) => state !== "permanent").map(({ mac, ifname }) => [mac, ifname]),
  );
}

export function forwardAgain(cable: number): void {
  tc([`qdisc del dev p${cable} clsact`], switchNamespace);
}

/** Empties the switch's neighbour caches, so that the next frame needs a broadcast or multicast first. */
export function forgetNeighbours(): void {
  ip(["neigh flush all"], switchNamespace);
}

/** Empties the table of learned MAC addresses, so that the next frame to each is flooded. */
export function forgetAddresses(): void {
  bridge(["fdb flush dev sbr dynamic"], switchNamespace);
}

/**
 * How long the switch keeps an address of which it hears nothing, as the kernel's bridge has it from the operator; 300 s
 * unless told otherwise.
 */
export function forgetAfter(seconds: number): void {
  ip([`link set sbr type bridge ageing_time ${seconds * 100}`], switchNamespace);
}

/** The address of the network outside. */
export function switchMac(): string {
  const [link] = readJson<{ readonly address: string }>("ip", "link show sbr", switchNamespace);
  return link?.address ?? "";
}

/** What a router with a long ARP cache knows: it sends to this address without ever asking again. */
export function rememberNeighbour(address: string, mac: string): void {
  ip([`neigh replace ${address} lladdr ${mac} dev sbr nud permanent`], switchNamespace);
}

/** Has the switch count the announcements of MACs that come in by each cable. */
export function countAnnouncements(...macs: readonly string[]): void {
  tc(
    portNames().flatMap((port) => [
      `qdisc add dev ${port} clsact`,
      ...macs.map(
        (mac) =>
          `filter add dev ${port} ingress pref 1 protocol 0x8035 flower src_mac ${mac} action ok`,
      ),
    ]),
    switchNamespace,
  );
}

/** Those that have come so far, by cable; one MAC's, or of all that are counted. */
export function readAnnouncements(mac?: string): readonly number[] {
  interface Filter {
    readonly options?: {
      readonly keys?: { readonly src_mac?: string };
      readonly actions?: readonly { readonly stats?: { readonly packets: number } }[];
    };
  }
  return portNames().map((port) =>
    readJson<Filter>("tc", `-s filter show dev ${port} ingress`, switchNamespace)
      .filter(({ options }) => mac === undefined || options?.keys?.src_mac === mac)
      .flatMap(({ options }) => options?.actions ?? [])
      .reduce((sum, { stats }) => sum + (stats?.packets ?? 0), 0),
  );
}

/** Lines of shell that bring the switch back to what the lab's init built. */
export function clearSwitch(): readonly string[] {
  const ports = portNames();
  const inSwitch = (tool: string) => `${tool} -n ${switchNamespace}`;
  return [
    `${inSwitch("ip")} -br link show | {`,
    "  while read -r name rest; do",
    `    case " lo sbr ${ports.join(" ")} " in`,
    `      *" \${name%@*} "*) ;;`,
    `      *) echo "link del \${name%@*}" ;;`,
    "    esac",
    "  done",
    // One end of a veth pair takes the other with it.
    `} | ${inSwitch("ip")} -force -batch - 2>/dev/null`,
    ...unchecked(
      inSwitch("tc"),
      ports.map((port) => `qdisc del dev ${port} clsact`),
    ),
    ...batch(inSwitch("ip"), [
      ...ports.map((port) => `link set ${port} master sbr up`),
      "link set sbr type bridge mcast_snooping 1 mcast_querier 0 mcast_query_interval 12500 ageing_time 30000",
      "neigh flush all",
      "neigh flush all nud permanent",
    ]),
    ...batch(inSwitch("bridge"), ["fdb flush dev sbr dynamic"]),
  ];
}

function portNames(): readonly string[] {
  return uplinkNames().map((_, cable) => `p${cable}`);
}

/** Runs a program on the network outside the host. */
export function runOutside(program: string, ...args: readonly string[]): string {
  return run("ip", "netns", "exec", switchNamespace, program, ...args);
}
