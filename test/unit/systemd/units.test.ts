import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";

const root = new URL("../../../", import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), "utf8");
const values = (unit: string, key: string) =>
  [...unit.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].flatMap((match) =>
    (match[1] ?? "").split(" "),
  );

describe("the systemd unit", () => {
  const unit = read("systemd/uplinkd.service");

  it("is never ordered after libvirt, whose hooks wait for it", () => {
    assert.ok(!values(unit, "After").some((name) => /virt/.test(name)));
    assert.ok(!/^(Requires|BindsTo|Requisite)=.*virt/m.test(unit));
    for (const name of ["libvirtd.service", "virtqemud.service"])
      assert.ok(values(unit, "Before").includes(name));
  });

  it("has the two capabilities and no more", () => {
    const both = ["CAP_NET_ADMIN", "CAP_NET_RAW"];
    assert.deepEqual(values(unit, "CapabilityBoundingSet"), both);
    assert.deepEqual(values(unit, "AmbientCapabilities"), both);
  });

  it("has nothing that V8 or capabilities can't live with", () => {
    assert.doesNotMatch(unit, /^(MemoryDenyWriteExecute|PrivateUsers|PrivateNetwork)=/m);
  });

  it("takes every socket unit that there is but the one for who asks for it, each with a name of its own", () => {
    const sockets = readdirSync(new URL("systemd/", root)).filter(
      (name) => name.endsWith(".socket") && name !== "uplinkd-metrics.socket",
    );
    assert.deepEqual(values(unit, "Sockets").sort(), sockets.sort());
    for (const socket of sockets) {
      const [name] = values(read(`systemd/${socket}`), "FileDescriptorName");
      assert.equal(socket, `uplinkd-${name}.socket`);
      assert.deepEqual(values(read(`systemd/${socket}`), "ListenStream"), [
        `/run/uplinkd/${name}.sock`,
      ]);
    }
  });
});

describe("the metrics' socket", () => {
  const socket = read("systemd/uplinkd-metrics.socket");

  it("is the loopback's, whatever an operator makes of its address, and nobody starts it unasked", () => {
    assert.deepEqual(values(socket, "ListenStream"), ["127.0.0.1:9479"]);
    assert.deepEqual(values(socket, "IPAddressDeny"), ["any"]);
    assert.deepEqual(values(socket, "IPAddressAllow"), ["localhost"]);
    assert.deepEqual(values(socket, "FileDescriptorName"), ["metrics"]);
    assert.deepEqual(values(socket, "Service"), ["uplinkd.service"]);
    // Sockets= and Also= would start it with the daemon.
    assert.doesNotMatch(read("systemd/uplinkd.service"), /uplinkd-metrics/);
    assert.doesNotMatch(read("packaging/debian/postinst"), /uplinkd-metrics/);
  });
});

describe("the D-Bus policy", () => {
  it("allows exactly the members of libvirt-dbus that uplinkd calls", () => {
    const source = ["domain.ts", "connection.ts", "monitor.ts"]
      .map((name) => read(`src/libvirt/${name}`))
      .join("\n");
    const called = [
      ...source.matchAll(/\bmember: "([A-Z]\w+)"/g),
      ...source.matchAll(/\bcallDomain\(\s*\w+,\s*\w+,\s*"([A-Z]\w+)"/g),
    ].map((match) => match[1]);
    const allowed = [...read("systemd/dbus-1/uplinkd.conf").matchAll(/send_member="(\w+)"/g)];
    assert.ok(called.length > 3);
    assert.deepEqual([...new Set(called)].sort(), allowed.map((match) => match[1]).sort());
  });
});
