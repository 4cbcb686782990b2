import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { FAILOVER_ACTIONS, PRIORITIES } from "../../../src/model/policy.ts";
import { parsePolicyFile } from "../../../src/policy/policy-file.ts";

const policiesDirectory = new URL("../../../policies/", import.meta.url);

function parse(text: string, file = "gold.yaml") {
  const result = parsePolicyFile(file, text);
  assert.ok(result.ok, result.ok ? "" : result.errors.map((error) => error.describe()).join("\n"));
  return result.value;
}

describe("a policy file", () => {
  it("is named by its file", () => {
    assert.equal(parse("", "/etc/uplinkd/policies/very.good.yaml").name, "very.good");
  });

  it("can't have a name that an annotation couldn't write", () => {
    const result = parsePolicyFile("my policy.yaml", "");
    assert.ok(!result.ok);
    assert.match(result.errors[0]?.describe() ?? "", /its name can't be a policy's/);
  });

  it("says only what it says, in units of the model", () => {
    const { wish } = parse(`
priority: high
bandwidth: {reservation: 500mbit, burst: 1mb}
placement: {prefer: eno1 left, apart: [web2]}
failover: {action: migrate, grace: 10s, destination: rack2}
`);
    assert.deepEqual(wish, {
      priority: "high",
      bandwidth: { reservationBitsPerSecond: 500e6, burstBytes: 1e6 },
      placement: { prefer: ["eno1", "left"], apart: ["web2"] },
      failover: { action: "migrate", graceMs: 10_000, destinations: ["rack2"] },
    });
  });

  it("reads back any policy that can be written", () => {
    const written = fc.record({
      priority: fc.constantFrom(...PRIORITIES),
      shares: fc.integer({ min: 1, max: 1000 }),
      reservationKbit: fc.integer({ min: 0, max: 1e6 }),
      moreKbit: fc.integer({ min: 1, max: 1e6 }),
      action: fc.constantFrom(...FAILOVER_ACTIONS),
      graceMs: fc.integer({ min: 0, max: 1e6 }),
    });
    fc.assert(
      fc.property(written, ({ priority, shares, reservationKbit, moreKbit, action, graceMs }) => {
        const text = JSON.stringify({
          priority,
          bandwidth: {
            reservation: `${reservationKbit}kbit`,
            limit: `${reservationKbit + moreKbit}kbit`,
            shares,
          },
          failover: { action, grace: `${graceMs}ms`, destination: ["x"] },
        });
        assert.deepEqual(parse(text).wish, {
          priority,
          bandwidth: {
            reservationBitsPerSecond: reservationKbit * 1e3,
            limitBitsPerSecond: (reservationKbit + moreKbit) * 1e3,
            shares,
          },
          failover: { action, graceMs, destinations: ["x"] },
        });
      }),
    );
  });
});

describe("the policies that come with uplinkd", () => {
  const files = readdirSync(policiesDirectory).filter((entry) => entry.endsWith(".yaml"));

  it("are bronze, default, gold and silver", () => {
    assert.deepEqual(files.sort(), ["bronze.yaml", "default.yaml", "gold.yaml", "silver.yaml"]);
  });

  for (const file of files) {
    it(`are right: ${file}`, () => parse(readFileSync(new URL(file, policiesDirectory), "utf8")));
  }

  it("stay right with the examples in default.yaml's comments put in force", () => {
    const text = readFileSync(new URL("default.yaml", policiesDirectory), "utf8").replaceAll(
      /^( *)# (( *)(?:reservation|limit|burst|inbound|placement|prefer|apart):\s*(?:\[[^\]]*\]|\{[^}]*\}|\S*)).*$/gm,
      "$1$2",
    );
    const { wish } = parse(text);
    assert.equal(wish.bandwidth?.reservationBitsPerSecond, 100e6);
    assert.deepEqual(wish.placement?.apart, ["web2"]);
  });
});
