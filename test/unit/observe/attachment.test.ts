import assert from "node:assert/strict";
import type { Attachment } from "../../../src/model/domain.ts";
import type { LinkState } from "../../../src/model/link.ts";
import { attachmentResolver, detachedBridge } from "../../../src/observe/attachment.ts";
import { buildWorld } from "../world.ts";

const PLAIN: LinkState = {
  name: "",
  ifindex: 0,
  adminUp: true,
  carrier: true,
  carrierDowns: 0,
  mac: null,
  masterIfindex: null,
  kind: null,
  lowerIfindex: null,
  vlanId: null,
  promiscuous: false,
  txQueues: 1,
  speedBitsPerSecond: null,
  bond: null,
  port: null,
};
const BOND: LinkState["bond"] = {
  mode: "active-backup",
  activeIfindex: 2,
  primaryIfindex: null,
  miimonMs: 100,
  updelayMs: 0,
  hashPolicy: "layer2",
  activeAggregator: null,
  portOrder: ["eno1"],
};
const LINKS: readonly LinkState[] = [
  { ...PLAIN, name: "bond0", ifindex: 9, kind: "bond", bond: BOND, masterIfindex: 20 },
  {
    ...PLAIN,
    name: "bond0.10",
    ifindex: 10,
    kind: "vlan",
    vlanId: 10,
    lowerIfindex: 9,
    masterIfindex: 21,
  },
  {
    ...PLAIN,
    name: "eno9.10",
    ifindex: 11,
    kind: "vlan",
    vlanId: 10,
    lowerIfindex: 8,
    masterIfindex: 22,
  },
  { ...PLAIN, name: "br0", ifindex: 20, kind: "bridge" },
  { ...PLAIN, name: "br10", ifindex: 21, kind: "bridge" },
  { ...PLAIN, name: "br9", ifindex: 22, kind: "bridge" },
  { ...PLAIN, name: "ovs0", ifindex: 23, kind: "openvswitch" },
];
const { teams } = buildWorld({ uplinks: [{ name: "eno1" }] });
const resolve = attachmentResolver(
  teams,
  new Map(LINKS.map((link) => [link.name, link])),
  new Map(LINKS.map((link) => [link.ifindex, link])),
);

describe("a vNIC's attachment", () => {
  const CARRIED: readonly [string, Attachment, number][] = [
    ["a bridge with the bond as port", { kind: "bridge", bridge: "br0" }, 0],
    ["a bridge on a VLAN interface of the bond", { kind: "bridge", bridge: "br10" }, 10],
    ["a network of such a bridge", { kind: "network", network: "lan", bridge: "br10" }, 10],
    ["a macvtap on the bond", { kind: "direct", device: "bond0", mode: "bridge" }, 0],
    ["a macvtap on its VLAN interface", { kind: "direct", device: "bond0.10", mode: "vepa" }, 10],
  ];
  for (const [what, attachment, vlanId] of CARRIED) {
    it(`${what} belongs to the bond's team`, () => {
      const found = resolve(attachment);
      assert.deepEqual([found.team?.config.name, found.vlanId], ["bond0", vlanId]);
    });
  }

  const UNSHAPED: readonly [Attachment, RegExp][] = [
    [{ kind: "bridge", bridge: "br9" }, /bridge br9 has no team's bond/],
    [{ kind: "bridge", bridge: "gone" }, /no bridge gone/],
    [{ kind: "bridge", bridge: "ovs0" }, /Open vSwitch's/],
    [{ kind: "network", network: "nat", bridge: null }, /network nat has no bridge/],
    [{ kind: "direct", device: "eno9", mode: "vepa" }, /no eno9 for its macvtap/],
    [{ kind: "direct", device: "eno9.10", mode: "vepa" }, /macvtap is on eno9.10/],
    [{ kind: "other", type: "hostdev" }, /SR-IOV/],
    [{ kind: "other", type: "vhostuser" }, /vhost-user/],
    [{ kind: "other", type: "user" }, /user networking/],
    [{ kind: "other", type: "vdpa" }, /vDPA/],
    [{ kind: "other", type: "mcast" }, /type mcast passes no bond/],
  ];
  for (const [attachment, reason] of UNSHAPED) {
    it(`${JSON.stringify(attachment)} is told as not shaped`, () => {
      const found = resolve(attachment);
      assert.equal(found.team, null);
      assert.match(found.why, reason);
    });
  }
});

describe("a tap that was taken out of its bridge", () => {
  const TAPS = new Map([
    ["vnet0", { ...PLAIN, name: "vnet0" }],
    ["vnet1", { ...PLAIN, name: "vnet1", masterIfindex: 20 }],
  ]);
  const of = (attachment: Attachment, tap: string | null) =>
    detachedBridge({ attachment, tap }, TAPS);

  it("is told with the bridge of its XML", () => {
    assert.equal(of({ kind: "bridge", bridge: "br0" }, "vnet0"), "br0");
    assert.equal(of({ kind: "network", network: "lan", bridge: "br10" }, "vnet0"), "br10");
  });

  it("isn't one that is in a bridge, that isn't there, or that has none", () => {
    assert.equal(of({ kind: "bridge", bridge: "br0" }, "vnet1"), null);
    assert.equal(of({ kind: "bridge", bridge: "br0" }, "vnet7"), null);
    assert.equal(of({ kind: "bridge", bridge: "br0" }, null), null);
    assert.equal(of({ kind: "network", network: "lan", bridge: null }, "vnet0"), null);
    assert.equal(of({ kind: "direct", device: "bond0", mode: "bridge" }, "vnet0"), null);
  });
});
