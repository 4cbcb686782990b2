import assert from "node:assert/strict";
import {
  parseLink,
  setActivePortMessage,
  setPortQueueMessage,
  setPromiscuityMessage,
  setUpdelayMessage,
} from "../../../src/netlink/link.ts";
import { LinkWatch, readHealth } from "../../../src/netlink/link-watch.ts";
import { assertSameRequest, messageOf } from "./fixture.ts";
import { LINKS, REQUESTS } from "./golden.ts";

const IFINFOMSG_BYTES = 16;

describe("links", () => {
  it("read ports and bonds as the kernel tells them", () => {
    const [nic0, nic1, bond0] = LINKS.map((hex) => parseLink(messageOf(hex)));
    assert.deepEqual(nic0, {
      ifindex: 2,
      name: "nic0",
      address: "52:55:00:00:00:00",
      adminUp: true,
      carrier: true,
      operationalState: "up",
      masterIfindex: 6,
      lowerIfindex: 0,
      kind: "",
      vlanId: null,
      promiscuous: true,
      txQueues: 1,
      carrierUpCount: nic0?.carrierUpCount,
      carrierDownCount: nic0?.carrierDownCount,
      bond: null,
      bondPort: {
        active: false,
        miiStatus: 0,
        queueId: 1,
        aggregator: null,
        permanentAddress: "52:55:00:00:00:00",
      },
    });
    assert.equal(nic1?.name, "nic1");
    assert.deepEqual(bond0?.bond, {
      mode: "active-backup",
      activeIfindex: 4,
      primaryIfindex: 0,
      miimonMs: 100,
      updelayMs: 1000,
      allPortsActive: false,
      hashPolicy: "layer2",
      activeAggregator: null,
    });
    assert.equal(bond0?.kind, "bond");
    assert.equal(bond0?.txQueues, 16);
  });

  it("are changed by the very bytes of ip(8)", () => {
    assertSameRequest(setPromiscuityMessage(2, true), REQUESTS.promiscuity, IFINFOMSG_BYTES);
    assertSameRequest(setUpdelayMessage(6, 1000), REQUESTS.updelay, IFINFOMSG_BYTES);
    assertSameRequest(setActivePortMessage(6, 4), REQUESTS.activePort, IFINFOMSG_BYTES);
  });

  it("take a queue id as slave data for a port of a bond", () => {
    // ip(8) writes the same data below a kind `bond_slave`, which no kernel knows.
    const bytes = Buffer.from(setPortQueueMessage(2, 1)).toString("hex");
    const data = "0c00058006000500" + "01000000";
    assert.ok(bytes.endsWith(data), bytes);
    assert.ok(REQUESTS.portQueue.endsWith(data.replace("0580", "0500")));
  });

  it("of other families are left out: a bridge tells of its ports in the same form", () => {
    const message = messageOf(LINKS[0] ?? "");
    message.body[0] = 7;
    assert.equal(parseLink(message), null);
    assert.equal(readHealth(message), null);
  });

  it("are lost once, when carrier or the administrator takes them down", () => {
    const watch = new LinkWatch();
    const up = messageOf(LINKS[0] ?? "");
    const down = messageOf(LINKS[0] ?? "");
    down.body[10] = (down.body[10] ?? 0) & ~1; // IFF_LOWER_UP is bit 16 of the flags at offset 8
    const gone = { ...up, type: 17 };
    const losses = [down, up, down, down, up, gone].map((message) => {
      const health = readHealth(message);
      assert.equal(health?.ifindex, 2);
      return watch.note(health);
    });
    assert.deepEqual(losses, [false, false, true, false, false, true]);
  });
});
