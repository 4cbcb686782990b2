import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { makerOf, suspectOf } from "../../../src/daemon/suspects.ts";

describe("who is likely to have changed a device", () => {
  let root: string;
  const put = (file: string, text: string) => {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  };
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "uplinkd-suspects-"));
    put("sys/class/net/eno1/ifindex", "3\n");
  });
  afterEach(() => rmSync(root, { recursive: true }));

  it("is the network manager that says that it has it", () => {
    put(
      "run/systemd/netif/links/3",
      "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/1.network\n",
    );
    assert.match(suspectOf("eno1", root), /^systemd-networkd \(it has eno1: \/run\/systemd/);
    put("run/NetworkManager/devices/3", "[device]\nconnection-uuid=1-2\nmanaged-type=full\n");
    assert.match(suspectOf("eno1", root), /^NetworkManager \(it has eno1/);
  });

  it("is none that leaves it alone", () => {
    put("run/NetworkManager/devices/3", "[device]\nmanaged-type=unmanaged\n");
    put("run/systemd/netif/links/3", "ADMIN_STATE=unmanaged\n");
    assert.match(suspectOf("eno1", root), /^a script with tc or ip/);
    assert.match(suspectOf("gone", root), /^a script with tc or ip/);
    put("run/openvswitch/ovs-vswitchd.pid", "1\n");
    assert.match(suspectOf("eno1", root), /^Open vSwitch/);
  });

  it("is told of a root qdisc where its kind and handle say something", () => {
    assert.match(makerOf("root qdisc htb 1:"), /libvirt's <bandwidth>/);
    assert.match(makerOf("root qdisc hfsc 1:"), /Open vSwitch/);
    assert.equal(makerOf("root qdisc fq 8001:"), "");
  });
});
