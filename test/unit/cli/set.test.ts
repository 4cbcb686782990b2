import assert from "node:assert/strict";
import { FakeLibvirtDomain, WEB1_MAC } from "./fake-libvirt.ts";
import { runInProcess } from "./in-process.ts";

const GOLD = `<uplink:network xmlns:uplink="urn:uplinkd:domain:1"><uplink:priority>high</uplink:priority></uplink:network>`;

describe("uplinkctl set", () => {
  let libvirt: FakeLibvirtDomain;
  let isAgreed: boolean;
  let asked: number;

  beforeEach(() => {
    libvirt = new FakeLibvirtDomain();
    isAgreed = true;
    asked = 0;
  });
  afterEach(() => assert.equal(libvirt.closed, 1, "the connection is closed, whatever happens"));

  const run = (...args: string[]) =>
    runInProcess(args, {
      environment: { UPLINKD_CONFIG_DIR: new URL("../../..", import.meta.url).pathname },
      openLibvirt: async () => libvirt,
      ask: async () => {
        asked += 1;
        return isAgreed;
      },
    });

  it("writes what was asked for into both definitions, the difference first", async () => {
    const { code, stdout } = await run(
      ...["set", "web1", "--policy", "gold", "--limit", "2gbit", "--max-pause", "5m"],
    );
    assert.equal(code, 0);
    assert.equal(
      stdout,
      `domain web1, live and stored:
+ <uplink:network>
+   <uplink:policy>gold</uplink:policy>
+   <uplink:bandwidth limit="2gbit"/>
+   <uplink:failover maxPause="5m"/>
+ </uplink:network>
written
`,
    );
    assert.deepEqual(libvirt.written, ["stored", "live"]);
    assert.match(libvirt.metadata.live, /<uplink:bandwidth limit="2gbit"\/>/);
    assert.equal(libvirt.metadata.live, libvirt.metadata.stored);
  });

  it("keeps what it isn't asked to change, and shows each definition where they differ", async () => {
    libvirt.metadata.live = GOLD;
    const { stdout } = await run("set", "web1", "--shares", "200");
    assert.match(stdout, /^domain web1, live:\n {2}<uplink:network>\n {4}<uplink:priority>high/m);
    assert.match(stdout, /^domain web1, stored:\n\+ <uplink:network>\n\+ {3}<uplink:bandwidth/m);
    assert.match(libvirt.metadata.live, /high.*shares="200"/s);
    assert.doesNotMatch(libvirt.metadata.stored, /high/);
  });

  it("sets and takes away one vNIC's values", async () => {
    await run("set", "web1", "--interface", WEB1_MAC.toUpperCase(), "--limit", "1gbit");
    assert.match(libvirt.metadata.live, new RegExp(`<uplink:interface mac="${WEB1_MAC}">`));
    libvirt.closed = 0;
    const { stdout } = await run("unset", "web1", "--interface", WEB1_MAC);
    assert.match(stdout, /^-.*limit="1gbit"/m);
    assert.doesNotMatch(libvirt.metadata.live, /interface/);
  });

  it("takes away values, and the whole annotation", async () => {
    libvirt.metadata.live = libvirt.metadata.stored = GOLD;
    assert.match((await run("unset", "web1", "priority")).stdout, /^- .*high/m);
    // An element can't be removed by D-Bus; one that says nothing is none.
    assert.match(libvirt.metadata.live, /^<uplink:network xmlns:uplink="[^"]+"\/>$/);
    libvirt.closed = 0;
    assert.match((await run("unset", "web1")).stdout, /no difference/);
    libvirt.closed = 0;
    const { stdout } = await run("set", "web1", "--priority", "high");
    assert.match(stdout, /^\+ <uplink:network>$/m);
    libvirt.closed = 0;
    assert.match((await run("unset", "web1")).stdout, /^- <uplink:network>$/m);
    assert.match(libvirt.metadata.stored, /^<uplink:network xmlns:uplink="[^"]+"\/>$/);
  });

  it("asks first, and writes nothing without a yes, or on a dry run", async () => {
    isAgreed = false;
    assert.match((await run("set", "web1", "--policy", "gold")).stdout, /nothing is written/);
    assert.equal(asked, 1);
    libvirt.closed = 0;
    await run("set", "web1", "--policy", "gold", "--dry-run");
    assert.deepEqual([asked, libvirt.written], [1, []]);
    libvirt.closed = 0;
    await run("set", "web1", "--policy", "gold", "--yes");
    assert.deepEqual([asked, libvirt.written.length], [1, 2]);
  });

  for (const [what, args, pattern] of [
    ["a rate that is none", ["--limit", "2gb"], /is not a rate/],
    ["a priority that is none", ["--priority", "top"], /'top' is no priority/],
    ["a policy that isn't there", ["--policy", "golden"], /no policy 'golden'.*\n.*gold/],
    ["a limit below the reservation", ["--limit", "1mbit", "--reservation", "2mbit"], /is below/],
    ["a vNIC of another", ["--interface", "52:54:00:00:00:99", "--limit", "1gbit"], /no interface/],
  ] as const) {
    it(`refuses ${what}, and writes nothing`, async () => {
      const { code, stderr } = await run("set", "web1", ...args);
      assert.equal(code, 2);
      assert.match(stderr, pattern);
      assert.deepEqual(libvirt.written, []);
    });
  }

  it("mends a wrong annotation without being held up by what else is wrong with it", async () => {
    libvirt.metadata.live = libvirt.metadata.stored = GOLD.replace("high", "top");
    const { code } = await run("set", "web1", "--limit", "1gbit");
    assert.equal(code, 0);
  });

  it("suggests the domain that was meant, and writes only where one is defined", async () => {
    const { code, stderr } = await run("set", "wbe1", "--limit", "1gbit");
    assert.equal(code, 2);
    assert.match(stderr, /did you mean 'web1'\?/);
    libvirt.closed = 0;
    libvirt.persistent = false;
    await run("set", "web1", "--limit", "1gbit");
    assert.deepEqual(libvirt.written, ["live"]);
  });
});

describe("uplinkctl set, without asking libvirt", () => {
  it("ends with 2 without a value, with an unknown one, and with a MAC address that is none", async () => {
    assert.equal((await runInProcess(["set", "web1"])).code, 2);
    const { code, stderr } = await runInProcess(["unset", "web1", "limt"]);
    assert.equal(code, 2);
    assert.match(stderr, /did you mean limit\?/);
    assert.equal((await runInProcess(["unset", "web1", "--interface", "x"])).code, 2);
  });
});
