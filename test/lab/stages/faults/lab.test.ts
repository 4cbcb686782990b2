import assert from "node:assert/strict";
import { findLeftovers, resetToBare } from "../../bare.ts";
import { ip } from "../../command.ts";
import { activePort, attribute, buildHost, hostAddress } from "../../host.ts";
import { hasCarrier, plug, pull } from "../../qmp.ts";
import { addStandin, ping } from "../../standin.ts";
import {
  forgetNeighbours,
  forwardAgain,
  readGroups,
  snoop,
  splitInTwo,
  stopForwarding,
  switchAddress,
  switchAddress6,
} from "../../switch.ts";
import { until } from "../../wait.ts";

describe("the lab itself", () => {
  beforeEach(resetToBare);

  it("builds a bond and a bridge by which a stand-in and the host reach the switch", async () => {
    await buildHost();
    const guest = addStandin({ number: 1 });
    assert.equal(ping(guest.namespace, switchAddress), 5);
    assert.equal(ping(guest.namespace, switchAddress6), 5);
    assert.equal(ping("switch", guest.ipv6), 5);
    assert.equal(ping("switch", hostAddress), 5);
  });

  it("loses the carrier of a pulled cable, and bonding fails over", async () => {
    await buildHost();
    const guest = addStandin({ number: 1 });
    assert.equal(activePort(), "nic0");
    await pull(0);
    assert.equal(hasCarrier(0), false);
    await until("nic1 active", () => activePort() === "nic1");
    forgetNeighbours();
    assert.equal(ping(guest.namespace, switchAddress), 5);
    await plug(0);
    assert.equal(hasCarrier(0), true);
  });

  it("has NICs that filter: a port that is not active takes no unicast for a guest", async () => {
    await buildHost();
    const guest = addStandin({ number: 1 });
    assert.equal(ping("switch", guest.ipv4), 5);
    // From now on the switch knows no way to the guest but by nic1.
    ip(["link set p0 nomaster"], "switch");
    const framesTaken = () => {
      const before = Number(attribute("nic1", "statistics/rx_packets"));
      ping("switch", guest.ipv4, { count: 20, intervalMs: 10 });
      return Number(attribute("nic1", "statistics/rx_packets")) - before;
    };
    const plain = framesTaken();
    assert.ok(plain < 10, `${plain} frames of 20 passed the filter`);
    ip(["link set nic1 promisc on"]);
    const promiscuous = framesTaken();
    assert.ok(promiscuous >= 20, `${promiscuous} frames of 20 taken by a promiscuous port`);
  });

  it("has a switch that learns groups, forms two, and stops forwarding with the carrier up", async () => {
    await buildHost();
    snoop(true);
    const guest = addStandin({ number: 1 });
    splitInTwo();
    assert.equal(ping(guest.namespace, switchAddress), 5);
    await until("the guest's solicited-node group", () =>
      readGroups().some(({ group }) => group === "ff02::1:ff00:1"),
    );
    stopForwarding(0);
    assert.equal(hasCarrier(0), true);
    assert.equal(ping(guest.namespace, switchAddress, { count: 2 }), 0);
    forwardAgain(0);
    assert.equal(ping(guest.namespace, switchAddress, { count: 2 }), 2);
  });

  it("notices what is left on the stage", async () => {
    await buildHost();
    addStandin({ number: 7 });
    ip(["link set nic0 promisc on"]);
    const left = findLeftovers();
    for (const what of [
      "link bond0",
      "link br0",
      "link tap7",
      "namespace vm7",
      "nic0 promiscuous",
    ]) {
      assert.ok(left.includes(what), `${what} not in: ${left.join("; ")}`);
    }
    await resetToBare();
    assert.deepEqual(findLeftovers(), []);
  });
});
