// Well-formed XML made of our words in any arrangement: what a person could write by mistake, and what one could try.
import assert from "node:assert/strict";
import fc from "fast-check";
import { parseDomainXml } from "../../../src/libvirt/domain-xml.ts";
import { FAILOVER_ACTIONS, PRIORITIES } from "../../../src/model/policy.ts";
import { MAX_RATE_BITS_PER_SECOND } from "../../../src/model/units.ts";
import { matchPolicies } from "../../../src/policy/match.ts";

const MAC = "52:54:00:00:00:01";
const escaped = (text: string) =>
  // Characters that no XML may hold are another test's.
  text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd]/g, "")
    .replace(/[<>&'"]/g, (c) => `&#${c.charCodeAt(0)};`);

const word = fc.oneof(
  fc.constantFrom(
    ...PRIORITIES,
    ...FAILOVER_ACTIONS,
    "gold",
    MAC,
    "",
    " ",
    "10s",
    "0",
    "-1",
    "NaN",
  ),
  fc.constantFrom(
    "1mbit",
    "1e9gbit",
    "999999tbit",
    "0.0000001bit",
    "1mb",
    "9".repeat(50),
    "30d",
    "1001",
  ),
  fc.string({ maxLength: 12 }).map(escaped),
);
const name = fc.constantFrom(
  "network",
  "policy",
  "priority",
  "bandwidth",
  "placement",
  "failover",
  "interface",
  "source",
  "unknown",
);
const attribute = fc.constantFrom(
  "mac",
  "macs",
  "reservation",
  "limit",
  "shares",
  "burst",
  "prefer",
  "apart",
  "action",
  "grace",
  "maxPause",
  "destination",
  "xml:id",
);
const prefix = fc.constantFrom("u:", "u:", "u:", "v:", "");

const { element } = fc.letrec<{ element: string }>((tie) => ({
  element: fc
    .tuple(
      prefix,
      name,
      fc.dictionary(attribute, word, { maxKeys: 4 }),
      word,
      fc.oneof({ maxDepth: 4 }, fc.constant([]), fc.array(tie("element"), { maxLength: 4 })),
    )
    .map(([at, tag, attributes, text, children]) => {
      const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${value}"`);
      return `<${at}${tag}${written.join("")}>${text}${children.join("")}</${at}${tag}>`;
    }),
}));

function inDomain(annotation: string): string {
  return `<domain><name>web1</name><uuid>b6d65ee5-f74a-41e2-a724-44001233ffb9</uuid><metadata>
<u:network xmlns:u="urn:uplinkd:domain:1" xmlns:v="urn:other">${annotation}</u:network></metadata><devices>
<interface type='bridge'><mac address='${MAC}'/><source bridge='br0'/></interface></devices></domain>`;
}

describe("an annotation of any arrangement", () => {
  it("gives a policy that can be planned, and says what is wrong in a few lines", function () {
    this.timeout(20_000);
    const config = { annotations: "lenient", caps: [] } as const;
    fc.assert(
      fc.property(fc.array(element, { maxLength: 5 }), (elements) => {
        const definition = parseDomainXml(inDomain(elements.join("")));
        assert.ok(definition.problems.length <= 21);
        const { policies } = matchPolicies(definition, new Map(), config);
        for (const { priority, bandwidth, failover } of policies.values()) {
          const {
            reservationBitsPerSecond: reserved,
            limitBitsPerSecond: limit,
            shares,
          } = bandwidth;
          assert.ok(PRIORITIES.includes(priority) && FAILOVER_ACTIONS.includes(failover.action));
          assert.ok(Number.isInteger(reserved) && reserved >= 0);
          assert.ok(reserved <= (limit ?? MAX_RATE_BITS_PER_SECOND));
          assert.ok(limit === null || (Number.isInteger(limit) && limit > 0));
          assert.ok(Number.isInteger(shares) && shares >= 1 && shares <= 1000);
          assert.ok(failover.graceMs >= 0 && Number.isFinite(failover.graceMs));
        }
      }),
      { numRuns: 500 },
    );
  });

  it("takes no time out of proportion, however deep or wide", function () {
    this.timeout(20_000);
    const deep = `${"<u:interface>".repeat(20_000)}${"</u:interface>".repeat(20_000)}`;
    const wide = "<u:policy>x</u:policy>".repeat(20_000);
    const long = `<u:placement prefer="${"eno1 ".repeat(100_000)}"/>`;
    for (const text of [deep, wide, long]) {
      const startedAtMs = performance.now();
      try {
        parseDomainXml(inDomain(text));
      } catch (error) {
        assert.equal(error instanceof Error && error.name, "LibvirtError", String(error));
      }
      const tookMs = performance.now() - startedAtMs;
      assert.ok(tookMs < 5000, `${tookMs} ms for ${text.length} characters`);
    }
  });
});
