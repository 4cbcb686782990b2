import assert from "node:assert/strict";
import fc from "fast-check";
import { parseDomainXml } from "../../../src/libvirt/domain-xml.ts";
import type { DomainDefinition } from "../../../src/model/domain.ts";
import { LibvirtError } from "../../../src/model/errors.ts";
import type { Mac } from "../../../src/model/mac.ts";

const MAC = "52:54:00:aa:bb:cc" as Mac;

function domain(options: { metadata?: string; devices?: string } = {}): string {
  const devices =
    options.devices ??
    `<interface type='bridge'><mac address='${MAC}'/><source bridge='br0'/></interface>`;
  return `<domain type='kvm' id='3'>
  <name>web1</name>
  <uuid>4a6b1c00-0000-4000-8000-0000000000ff</uuid>
  <metadata>${options.metadata ?? ""}</metadata>
  <devices>${devices}</devices>
</domain>`;
}

function annotated(children: string, prefix = "uplink"): DomainDefinition {
  const metadata = `
<${prefix}:network xmlns:${prefix}="urn:uplinkd:domain:1">
${children}
</${prefix}:network>`;
  return parseDomainXml(domain({ metadata }));
}

function messages(definition: DomainDefinition): string[] {
  return definition.problems.map((problem) => problem.message);
}

function refused(xml: string, cause: RegExp): void {
  assert.throws(
    () => parseDomainXml(xml, "domain web1"),
    (error) =>
      error instanceof LibvirtError &&
      error.retry === "never" &&
      error.object === "domain web1" &&
      cause.test(error.message),
  );
}

describe("a domain's XML", () => {
  it("gives name, UUID and vNICs of a running domain", () => {
    const definition = parseDomainXml(
      domain({
        devices: `
          <interface type='bridge'>
            <mac address='52:54:00:AA:BB:CC'/><source bridge='br0'/><target dev='vnet0'/>
          </interface>
          <interface type='network'>
            <mac address='52:54:00:00:00:02'/>
            <source network='lan' portid='1' bridge='br1'/><target dev='vnet1'/>
          </interface>
          <interface type='network'><mac address='52:54:00:00:00:03'/><source network='lan'/></interface>
          <interface type='direct'><mac address='52:54:00:00:00:04'/><source dev='eno1' mode='bridge'/></interface>
          <interface type='direct'><mac address='52:54:00:00:00:05'/><source dev='eno1'/></interface>
          <interface type='user'><mac address='52:54:00:00:00:06'/></interface>`,
      }),
    );
    assert.equal(definition.name, "web1");
    assert.equal(definition.uuid, "4a6b1c00-0000-4000-8000-0000000000ff");
    assert.deepEqual(
      definition.vnics.map(({ mac, tap, attachment }) => ({ mac, tap, attachment })),
      [
        { mac: MAC, tap: "vnet0", attachment: { kind: "bridge", bridge: "br0" } },
        {
          mac: "52:54:00:00:00:02",
          tap: "vnet1",
          attachment: { kind: "network", network: "lan", bridge: "br1" },
        },
        {
          mac: "52:54:00:00:00:03",
          tap: null,
          attachment: { kind: "network", network: "lan", bridge: null },
        },
        {
          mac: "52:54:00:00:00:04",
          tap: null,
          attachment: { kind: "direct", device: "eno1", mode: "bridge" },
        },
        {
          mac: "52:54:00:00:00:05",
          tap: null,
          attachment: { kind: "direct", device: "eno1", mode: "vepa" },
        },
        { mac: "52:54:00:00:00:06", tap: null, attachment: { kind: "other", type: "user" } },
      ],
    );
    assert.deepEqual(definition.problems, []);
    assert.equal(definition.annotation, null);
    assert.equal(definition.owner, null);
  });

  it("gives the VLANs that a vNIC's frames have, a trunk's native one as untagged, and bounds them", () => {
    const vlansOf = (vlan: string) =>
      parseDomainXml(
        domain({
          devices: `<interface type='bridge'><mac address='${MAC}'/><source bridge='br0'/>${vlan}</interface>`,
        }),
      ).vnics[0]?.vlanIds;
    assert.deepEqual(vlansOf(""), [0]);
    assert.deepEqual(vlansOf("<vlan><tag id='42'/></vlan>"), [42]);
    const trunk =
      "<vlan trunk='yes'><tag id='42'/><tag id='123' nativeMode='untagged'/><tag id='42'/></vlan>";
    assert.deepEqual(vlansOf(trunk), [42, 0]);
    assert.deepEqual(vlansOf("<vlan><tag id='4095'/><tag id='0'/><tag id='x'/><tag/></vlan>"), [0]);
    const many = Array.from({ length: 100 }, (_, index) => `<tag id='${index + 1}'/>`).join("");
    assert.equal(vlansOf(`<vlan>${many}</vlan>`)?.length, 16);
  });

  it("takes the average of libvirt's outbound bandwidth as limit, in KiB/s", () => {
    const withBandwidth = (bandwidth: string) =>
      parseDomainXml(
        domain({
          devices: `<interface type='bridge'><mac address='${MAC}'/><source bridge='br0'/>
            <bandwidth>${bandwidth}</bandwidth></interface>`,
        }),
      ).vnics[0];
    const both = withBandwidth("<inbound average='5'/><outbound average='1000' peak='5000'/>");
    assert.equal(both?.libvirtLimitBitsPerSecond, 8_192_000);
    assert.equal(both?.hasLibvirtBandwidth, true);
    const inbound = withBandwidth("<inbound average='5'/>");
    assert.equal(inbound?.libvirtLimitBitsPerSecond, null);
    assert.equal(inbound?.hasLibvirtBandwidth, true);
    assert.equal(withBandwidth("")?.hasLibvirtBandwidth, false);
  });

  it("names interfaces that can't have a class of their own, and uses the others", () => {
    const definition = parseDomainXml(
      domain({
        devices: `<interface type='bridge'><mac address='${MAC}'/><source bridge='br0'/></interface>
          <interface type='bridge'><mac address='${MAC}'/><source bridge='br1'/></interface>
          <interface type='bridge'><mac address='01:00:5e:00:00:01'/><source bridge='br1'/></interface>
          <interface type='bridge'><source bridge='br1'/></interface>`,
      }),
    );
    assert.equal(definition.vnics.length, 1);
    assert.equal(definition.problems.length, 3);
  });

  it("tells domains that another manager owns", () => {
    const owner = (metadata: string) => parseDomainXml(domain({ metadata })).owner;
    assert.equal(
      owner("<n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.1'/>"),
      "nova",
    );
    assert.equal(owner("<o:vm xmlns:o='http://ovirt.org/vm/1.0'/>"), "oVirt");
    assert.equal(owner("<l:os xmlns:l='http://libosinfo.org/xmlns/libvirt/domain/1.0'/>"), null);
  });

  it("is refused beyond the limits on size, depth and number, in little time", () => {
    const started = performance.now();
    refused("x".repeat(10 << 20), /more than 1048576 bytes/);
    refused(domain({ metadata: "<a>".repeat(100) }), /nested deeper/);
    refused(domain({ metadata: "<a/>".repeat(150_000) }), /more than 20000 elements/);
    assert.ok(performance.now() - started < 2000);
  });

  it("is refused with a DOCTYPE, so that no entity is ever expanded", () => {
    refused(
      `<!DOCTYPE d [<!ENTITY a "lol"><!ENTITY b "&a;&a;">]>${domain({ metadata: "&b;" })}`,
      /DOCTYPE/,
    );
    refused(domain({ metadata: "&b;" }), /undefined entity/);
  });

  it("is refused where it isn't a domain", () => {
    refused("", /not well-formed/);
    refused("<network><name>x</name></network>", /<network> is not a domain/);
    refused("<domain><uuid>x</uuid></domain>", /no <name>/);
    refused("<domain><name>x</name><uuid>x</uuid></domain>", /'x' is not a UUID/);
    refused(domain().slice(0, -20), /not well-formed/);
  });

  it("throws nothing but our error, wherever it is cut or changed", () => {
    const xml = domain({
      metadata: `<u:network xmlns:u="urn:uplinkd:domain:1"><u:bandwidth limit="1mbit"/></u:network>`,
    });
    const parse = (text: string) => {
      try {
        parseDomainXml(text);
      } catch (error) {
        assert.ok(error instanceof LibvirtError, String(error));
      }
    };
    const piece = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("<", ">", "</", "&", "&#0;", "<!--", "<![CDATA[", "xmlns:u=''", ":", "'"),
    );
    fc.assert(
      fc.property(fc.nat(xml.length), fc.nat(30), piece, (at, removed, text) => {
        parse(xml.slice(0, at));
        parse(xml.slice(0, at) + text + xml.slice(at + removed));
      }),
      { numRuns: 500 },
    );
  });
});

describe("an annotation", () => {
  it("is read by its namespace, whatever the prefix", () => {
    for (const prefix of ["uplink", "u", "any-thing"]) {
      const { annotation } = annotated(`<${prefix}:policy>gold</${prefix}:policy>`, prefix);
      assert.equal(annotation?.domain.policy, "gold");
    }
    const unprefixed = parseDomainXml(
      domain({
        metadata: `<network xmlns="urn:uplinkd:domain:1"><priority> high </priority></network>`,
      }),
    );
    assert.equal(unprefixed.annotation?.domain.priority, "high");
    assert.deepEqual(unprefixed.problems, []);
  });

  it("of another namespace is somebody else's", () => {
    const definition = parseDomainXml(
      domain({
        metadata: `<uplink:network xmlns:uplink="urn:other:1"><uplink:x/></uplink:network>`,
      }),
    );
    assert.equal(definition.annotation, null);
    assert.deepEqual(definition.problems, []);
  });

  it("with a prefix bound to nothing is not found, and that is said", () => {
    const definition = parseDomainXml(domain({ metadata: "<uplink:network/>" }));
    assert.equal(definition.annotation, null);
    assert.match(messages(definition).join(), /line 4, column 13: the prefix 'uplink'/);
    assert.equal(definition.vnics.length, 1);
  });

  it("gives every field, for the domain and for single interfaces", () => {
    const { annotation, problems } = annotated(`
      <uplink:policy>gold</uplink:policy>
      <uplink:priority>high</uplink:priority>
      <uplink:bandwidth reservation="500mbit" limit="2gbit" shares="200" burst="1mb"/>
      <uplink:placement prefer="eno1 eno2" apart=" web2
        web3 "/>
      <uplink:failover action="migrate" grace="10s" maxPause="5m" destination="rack2 rack3"/>
      <uplink:interface mac="52-54-00-AA-BB-CC"><uplink:bandwidth limit="1gbit"/></uplink:interface>`);
    assert.deepEqual(problems, []);
    assert.deepEqual(annotation?.domain, {
      policy: "gold",
      priority: "high",
      bandwidth: {
        reservationBitsPerSecond: 500e6,
        limitBitsPerSecond: 2e9,
        shares: 200,
        burstBytes: 1e6,
      },
      placement: { prefer: ["eno1", "eno2"], apart: ["web2", "web3"] },
      failover: {
        action: "migrate",
        graceMs: 10_000,
        maxPauseMs: 300_000,
        destinations: ["rack2", "rack3"],
      },
    });
    assert.deepEqual(
      [...(annotation?.interfaces ?? [])],
      [[MAC, { bandwidth: { limitBitsPerSecond: 1e9 } }]],
    );
  });

  const wrong: readonly [string, string, RegExp][] = [
    [
      "unknown element",
      "<uplink:polcy>gold</uplink:polcy>",
      /^line 6, column 1: <polcy> is unknown/,
    ],
    ["unknown attribute", '<uplink:bandwidth limits="1mbit"/>', /column 19: attribute 'limits'/],
    ["rate", '<uplink:bandwidth limit="fast"/>', /column 19: limit: 'fast' is not a rate/],
    ["limit of zero", '<uplink:bandwidth limit="0bit"/>', /limit of 0/],
    ["shares", '<uplink:bandwidth shares="1001"/>', /shares: '1001'/],
    ["fraction of a share", '<uplink:bandwidth shares="1.5"/>', /shares: '1.5'/],
    ["burst", '<uplink:bandwidth burst="0b"/>', /burst of 0/],
    ["priority", "<uplink:priority>urgent</uplink:priority>", /'urgent' is no priority/],
    ["policy", "<uplink:policy>a b</uplink:policy>", /'a b' can't be the name/],
    ["action", '<uplink:failover action="stop"/>', /'stop' is no failover action/],
    ["duration", '<uplink:failover grace="soon"/>', /grace: 'soon'/],
    ["URI as destination", '<uplink:failover destination="qemu+ssh://x/system"/>', /uplinkd.yaml/],
    ["foreign interface", '<uplink:interface mac="52:54:00:00:00:99"/>', /no interface with/],
    ["interface without mac", "<uplink:interface/>", /names no mac/],
    ["mac", '<uplink:interface mac="x"/>', /'x' is not a MAC/],
    [
      "element that stands twice",
      "<uplink:policy>a</uplink:policy><uplink:policy>b</uplink:policy>",
      /twice/,
    ],
    ["stray text", "gold", /text 'gold'/],
    ["element without our namespace", "<policy>gold</policy>", /<policy> is unknown in <network>/],
    ["child of a value", "<uplink:priority><uplink:x/>high</uplink:priority>", /<x> is unknown/],
  ];
  for (const [what, text, message] of wrong) {
    it(`with a wrong ${what} is used but for that, with its place`, () => {
      const definition = annotated(`${text}\n<uplink:placement prefer="eno1"/>`);
      assert.equal(definition.problems.length, 1, JSON.stringify(definition.problems));
      assert.match(messages(definition)[0] ?? "", message);
      assert.match(messages(definition)[0] ?? "", /^line \d+, column \d+: /);
      assert.notEqual(definition.problems[0]?.remedy, "");
      assert.equal(definition.problems[0]?.object, "domain web1");
      assert.deepEqual(definition.annotation?.domain.placement?.prefer, ["eno1"]);
    });
  }

  it("with a limit below its reservation reserves no more than the limit", () => {
    const definition = annotated('<uplink:bandwidth reservation="2mbit" limit="1mbit"/>');
    assert.deepEqual(definition.annotation?.domain.bandwidth, {
      reservationBitsPerSecond: 1e6,
      limitBitsPerSecond: 1e6,
    });
    assert.match(messages(definition)[0] ?? "", /limit 1mbit is below reservation 2mbit/);
  });

  it("with a thousand mistakes tells of twenty and counts the rest", () => {
    const definition = annotated("<uplink:x/>".repeat(1000));
    assert.equal(definition.problems.length, 21);
    assert.match(messages(definition).at(-1) ?? "", /980 more/);
  });
});
