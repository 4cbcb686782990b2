import assert from "node:assert/strict";
import type { TeamConfig } from "../../../src/model/config.ts";
import type { LinkState } from "../../../src/model/link.ts";
import { parseMac } from "../../../src/model/mac.ts";
import { findHost } from "../../../src/observe/host.ts";

const PLAIN: Omit<LinkState, "name" | "ifindex"> = {
  adminUp: true,
  carrier: true,
  carrierDowns: 0,
  mac: null,
  masterIfindex: null,
  lowerIfindex: null,
  vlanId: null,
  kind: null,
  promiscuous: false,
  txQueues: 1,
  speedBitsPerSecond: null,
  bond: null,
  port: null,
};

function link(name: string, ifindex: number, more: Partial<LinkState> = {}): LinkState {
  const mac = parseMac(`52:55:00:00:00:${ifindex.toString(16).padStart(2, "0")}`);
  return { ...PLAIN, name, ifindex, mac, ...more };
}

const BOND = link("bond0", 9, { kind: "bond", masterIfindex: 10 });
const LINKS: readonly LinkState[] = [
  link("lo", 1),
  link("nic0", 2, { masterIfindex: 9 }),
  BOND,
  link("br0", 10, { kind: "bridge" }),
  link("br0.20", 11, { kind: "vlan", lowerIfindex: 10 }),
  link("bond0.30", 12, { kind: "vlan", lowerIfindex: 9, masterIfindex: 13 }),
  link("br30", 13, { kind: "bridge" }),
  link("vnet0", 14, { kind: "tun", masterIfindex: 10 }),
  link("vnet1", 15, { kind: "tun", masterIfindex: 13 }),
  link("virbr0", 16, { kind: "bridge" }),
  link("vnet2", 17, { kind: "tun", masterIfindex: 16 }),
  link("eth9.5", 18, { kind: "vlan", lowerIfindex: 99 }),
];
const CLASSES = [{ name: "migration" }] as unknown as TeamConfig["hostClasses"];
const OFF = { forged: "off", unregistered: "off" } as const;
const config = (
  hostClasses: TeamConfig["hostClasses"],
  sources: TeamConfig["sources"] = OFF,
): TeamConfig => ({ hostClasses, sources }) as TeamConfig;

describe("the host's own frames on a bond", () => {
  it("have the address of the bond, its bridges, or a VLAN's interface on one of them", () => {
    const { hostMacs } = findHost(config(CLASSES), BOND, LINKS);
    const ends = hostMacs.map((mac) => Number.parseInt(mac.slice(-2), 16)).sort((a, b) => a - b);
    assert.deepEqual(ends, [9, 10, 11, 12, 13]);
  });

  it("didn't come in by another interface, bridged or routed", () => {
    const { passedOnFrom } = findHost(config(CLASSES), BOND, LINKS);
    const names = passedOnFrom.map(({ name }) => name);
    // Taps of a bridge of its own reach the bond as that bridge's.
    for (const name of ["vnet0", "vnet1", "virbr0", "eth9.5"])
      assert.ok(names.includes(name), name);
    for (const name of ["lo", "nic0", "vnet2"]) assert.ok(!names.includes(name), name);
  });

  it("are told from what bridges on the bond bring in, whose source addresses can be judged", () => {
    const sources = { forged: "log", unregistered: "off" } as const;
    const { passedOnFrom } = findHost(config([], sources), BOND, LINKS);
    const bridged = passedOnFrom.flatMap((one) =>
      one.bridged === undefined ? [] : [`${one.name} ${one.bridged}`],
    );
    // The VLAN on the bond is br30's port, too, and brings in what comes from outside.
    assert.deepEqual(bridged, ["vnet0 tap", "vnet1 tap"]);
  });

  it("aren't looked for where the configuration tells nothing apart by them", () => {
    const nothing = { hostMacs: [], passedOnFrom: [] };
    assert.deepEqual(findHost(config([]), BOND, LINKS), nothing);
    assert.deepEqual(findHost(config(CLASSES), undefined, LINKS), nothing);
  });
});
