import assert from "node:assert/strict";
import { resetToBare } from "../../bare.ts";
import { bridge, ip } from "../../command.ts";
import { type Daemon, startDaemon, startDomain } from "../../daemon.ts";
import { labConfig } from "../../guests.ts";
import { buildHost, setActivePort } from "../../host.ts";
import { pull } from "../../qmp.ts";
import { leavesBy } from "../../reached.ts";
import { itEnforces } from "../../sabotage-kit.ts";
import { addStandin, ping, standinMac } from "../../standin.ts";
import { outside, switchNamespace } from "../../switch.ts";
import { until } from "../../wait.ts";

/** Off the active port: what comes back has to be lifted past bonding's drop. */
const ANNOTATION = '<uplink:placement prefer="nic1"/>';

describe("vNICs that are attached otherwise", () => {
  let daemon: Daemon;
  beforeEach(async () => {
    await resetToBare();
    await buildHost();
    await setActivePort("nic0");
    daemon = await startDaemon({ config: labConfig() });
  });
  afterEach(() => daemon.kill());

  async function classOf(domain: string): Promise<string> {
    const { domains } = await daemon.status();
    const vnic = domains.find(({ name }) => name === domain)?.vnics[0];
    assert.equal(vnic?.via, "nic1", `${domain}: ${vnic?.unshapedReason}`);
    return vnic?.classId ?? "";
  }

  itEnforces(
    "on VLANs, of the bridge, of an interface of the bond, and of the guest's own: each in its class by its home",
    { sabotage: ["vNIC filters gone", "redirect filters gone"] },
    async (strike) => {
      const vlans = [10, 20, 30];
      ip(
        vlans.flatMap((id) => [
          `link add link sbr name sbr.${id} type vlan id ${id}`,
          `addr add 10.${id}.0.254/24 dev sbr.${id}`,
          `link set sbr.${id} up`,
        ]),
        switchNamespace,
      );
      ip([
        "link set br0 type bridge vlan_filtering 1",
        "link add link bond0 name bond0.20 type vlan id 20",
        "link add br20 type bridge",
        "link set bond0.20 master br20 up",
        "link set br20 up",
      ]);
      startDomain({ name: "byBridge", macs: [standinMac(1)], annotation: ANNOTATION });
      startDomain({ name: "below", macs: [standinMac(2)], bridge: "br20", annotation: ANNOTATION });
      startDomain({ name: "itself", macs: [standinMac(3)], annotation: ANNOTATION });
      const [byBridge, below, itself] = [
        addStandin({ number: 1 }),
        addStandin({ number: 2, bridge: "br20" }),
        addStandin({ number: 3 }),
      ];
      bridge([
        "vlan add dev bond0 vid 10",
        "vlan add dev bond0 vid 30",
        `vlan del dev ${byBridge.tap} vid 1`,
        `vlan add dev ${byBridge.tap} vid 10 pvid untagged`,
        `vlan add dev ${itself.tap} vid 30`,
      ]);
      ip(["addr add 10.10.0.1/24 dev eth0"], byBridge.namespace);
      ip(["addr add 10.20.0.1/24 dev eth0"], below.namespace);
      ip(
        [
          "link add link eth0 name eth0.30 type vlan id 30",
          "addr add 10.30.0.1/24 dev eth0.30",
          "link set eth0.30 up",
        ],
        itself.namespace,
      );
      const guests = [
        { ...byBridge, id: 10, classId: await classOf("byBridge") },
        { ...below, id: 20, classId: await classOf("below") },
        { ...itself, id: 30, classId: await classOf("itself") },
      ];
      strike(daemon);
      const ways = () =>
        guests.map(({ namespace, classId, id }) => leavesBy(namespace, classId, `10.${id}.0.254`));
      assert.deepEqual(ways(), ["nic1", "nic1", "nic1"]);
      for (const { id } of guests)
        assert.ok(ping(switchNamespace, `10.${id}.0.1`) >= 4, `VLAN ${id} is reached from outside`);
    },
  );

  itEnforces(
    "by macvtap on the bond: in its class by its home, reached there, and by the other port after a pull",
    { sabotage: ["vNIC filters gone", "promiscuity off"] },
    async (strike) => {
      const mac = standinMac(5);
      // What a macvtap stands on can't be a bridge's port.
      ip(["link set bond0 nomaster"]);
      startDomain({ name: "direct", macs: [mac], macvtapOn: "bond0", annotation: ANNOTATION });
      ip([
        "netns add vm5",
        `link add link bond0 name mv5 address ${mac} type macvlan mode bridge`,
        "link set mv5 netns vm5",
      ]);
      ip(["link set mv5 up", "addr add 10.9.0.5/24 dev mv5"], "vm5");
      const classId = await classOf("direct");
      strike(daemon);
      assert.equal(leavesBy("vm5", classId), "nic1");
      assert.ok(ping(outside.namespace, "10.9.0.5") >= 4, "reached from outside");
      await pull(1);
      await until("the other port", () => leavesBy("vm5", classId) === "nic0");
      assert.ok(ping(outside.namespace, "10.9.0.5") >= 4, "reached after a pull");
    },
  );
});
