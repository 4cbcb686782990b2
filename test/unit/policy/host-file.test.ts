import assert from "node:assert/strict";
import { buildConfig } from "../../../src/policy/config.ts";
import { parseConfigFile } from "../../../src/policy/config-file.ts";
import { parseScenario } from "../../../src/policy/scenario.ts";

const file = (host: string) => `teams: [{bond: bond0, host: ${host}}]`;

function classesOf(host: string) {
  const result = parseConfigFile("uplinkd.yaml", file(host));
  assert.ok(result.ok, result.ok ? "" : result.errors.map((error) => error.describe()).join("\n"));
  return buildConfig([result.value]).teams[0]?.hostClasses;
}

function faultsOf(host: string): string[] {
  const result = parseConfigFile("uplinkd.yaml", file(host));
  assert.ok(!result.ok, "taken");
  return result.errors.map((error) => error.describe());
}

describe("the host's classes in uplinkd.yaml", () => {
  it("are none by default", () => {
    assert.deepEqual(classesOf("{reservation: 1mbit}"), []);
  });

  it("have a share and matches, in one spelling and in the order in which they are asked", () => {
    const found = classesOf(
      "{migration: {limit: 2gbit, match: [{protocol: tcp, destinationPort: 49152-49215}]}, " +
        "management: {reservation: 5mbit, match: [{protocol: tcp, sourcePort: 22, source: FD00::1}, {vlan: 20}]}}",
    );
    const any = {
      protocol: null,
      sourcePorts: null,
      destinationPorts: null,
      source: null,
      destination: null,
      vlanId: null,
    };
    assert.deepEqual(found, [
      {
        name: "management",
        reservationBitsPerSecond: 5e6,
        limitBitsPerSecond: null,
        shares: 100,
        priority: "critical",
        matches: [
          { ...any, protocol: "tcp", sourcePorts: "22", source: "fd00::1/128" },
          { ...any, vlanId: 20 },
        ],
      },
      {
        name: "migration",
        reservationBitsPerSecond: 0,
        limitBitsPerSecond: 2e9,
        shares: 100,
        priority: "low",
        matches: [{ ...any, protocol: "tcp", destinationPorts: "49152-49215" }],
      },
    ]);
  });

  it("are refused where they can't be meant so, with the place and the reason", () => {
    for (const [host, reason] of [
      ["{migration: {reservation: 1mbit}}", /migration.*match/],
      ["{migration: {match: []}}", /at least one entry/],
      ["{migration: {match: [{}]}}", /matches everything/],
      ["{migration: {match: [{destinationPort: 22}]}}", /a port needs `protocol: tcp`/],
      ["{migration: {match: [{protocol: icmp, sourcePort: 22}]}}", /a port needs/],
      ["{migration: {match: [{protocol: tcp, sourcePort: 0}]}}", /must be a port or a range/],
      ["{migration: {match: [{protocol: tcp, sourcePort: 9-8}]}}", /must be a port or a range/],
      ["{migration: {match: [{protocol: tcp, sourcePort: 1-65536}]}}", /must be a port or a range/],
      [
        "{migration: {match: [{protocol: tcp, sourcePort: 22, destinationPort: 1-9}]}}",
        /one port and one range/,
      ],
      ["{migration: {match: [{source: 10.0.0.0/33}]}}", /no address and no prefix/],
      [
        "{migration: {match: [{source: 10.0.0.1, destination: fd00::1}]}}",
        /never stand in one packet/,
      ],
      ["{migration: {match: [{vlan: 4095}]}}", /at most 4094/],
      ["{migration: {match: [{protocol: sctp}]}}", /tcp/],
      [
        "{migration: {limit: 1mbit, reservation: 2mbit, match: [{vlan: 2}]}}",
        /below the reservation/,
      ],
      [`{storage: {match: [${"{vlan: 2},".repeat(33)}]}}`, /33 entries, at most 32/],
      ["{migrations: {match: [{vlan: 2}]}}", /migration/],
    ] as const) {
      const faults = faultsOf(host);
      assert.match(faults.join("\n"), reason, host);
      assert.match(faults[0] ?? "", /^uplinkd\.yaml:1:\d+: /, host);
    }
  });
});

describe("the host's classes in a scenario", () => {
  it("have demands instead of matches", () => {
    const result = parseScenario(
      "s.yaml",
      "team: {uplinks: [{name: eno1, speed: 1gbit}], host: {demand: 1mbit, storage: {reservation: 10mbit, demand: 20mbit}, management: {}}}",
    );
    assert.ok(result.ok);
    const [team] = result.value.teams;
    assert.deepEqual(
      team?.config.hostClasses.map(({ name }) => name),
      ["management", "storage"],
    );
    assert.deepEqual(team?.hostClassDemandsBitsPerSecond, [null, 20e6]);
    assert.equal(team?.hostDemandBitsPerSecond, 1e6);
  });
});
