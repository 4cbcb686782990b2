import assert from "node:assert/strict";
import fc from "fast-check";
import { type Config, REBALANCE_MODES, SOURCE_MODES } from "../../../src/model/config.ts";
import { HOST_CLASSES } from "../../../src/model/host-traffic.ts";
import { FAILOVER_ACTIONS, PRIORITIES } from "../../../src/model/policy.ts";
import { buildConfig } from "../../../src/policy/config.ts";
import { parseConfigFile } from "../../../src/policy/config-file.ts";
import { writeConfig } from "../../../src/policy/config-text.ts";

const rate = fc.integer({ min: 1, max: 400e9 });
const ms = fc.integer({ min: 1000, max: 3600e3 });
const priority = fc.constantFrom(...PRIORITIES);

const hostClass = fc.record({
  name: fc.constantFrom(...HOST_CLASSES),
  reservationBitsPerSecond: fc.constant(0),
  limitBitsPerSecond: fc.option(fc.constantFrom(2e6, 3e9)),
  shares: fc.integer({ min: 1, max: 1000 }),
  priority,
  matches: fc.array(
    fc.oneof(
      fc.record({
        protocol: fc.constantFrom("tcp" as const, "udp" as const),
        sourcePorts: fc.constantFrom(null, "22"),
        destinationPorts: fc.constantFrom("49152", "16509"),
        source: fc.constantFrom(null, "10.0.0.0/8"),
        destination: fc.constantFrom(null, "10.1.2.3/32"),
        vlanId: fc.option(fc.integer({ min: 1, max: 4094 })),
      }),
      fc.record({
        protocol: fc.constantFrom("icmp" as const, null),
        sourcePorts: fc.constant(null),
        destinationPorts: fc.constant(null),
        source: fc.constantFrom(null, "fd00::/8", "::1/128"),
        destination: fc.constantFrom("fd09::/64", "::/0"),
        vlanId: fc.option(fc.integer({ min: 1, max: 4094 })),
      }),
    ),
    { minLength: 1, maxLength: 3 },
  ),
});
const vlan = fc.integer({ min: 0, max: 4094 });
const probes = fc
  .record({
    intervalMs: fc.integer({ min: 200, max: 60_000 }),
    losses: fc.integer({ min: 2, max: 10 }),
    targets: fc.uniqueArray(
      fc.record({
        address: fc.constantFrom("192.0.2.1", "192.0.2.254", "2001:db8::1", "fe80::1"),
        vlanId: vlan,
        sources: fc.constant({}),
      }),
      { maxLength: 3, selector: ({ address, vlanId }) => `${address} ${vlanId}` },
    ),
    require: fc.constantFrom("any" as const, "all" as const),
    betweenVlanIds: fc.uniqueArray(vlan, { maxLength: 3 }),
  })
  .filter(({ targets, betweenVlanIds }) => targets.length + betweenVlanIds.length > 0);

const team = fc
  .record({
    uplinks: fc.uniqueArray(
      fc.record({
        name: fc.stringMatching(/^[a-z][a-z0-9]{0,10}$/),
        label: fc.option(fc.stringMatching(/^[a-z]{8}$/)),
        speedBitsPerSecond: fc.option(rate),
      }),
      { maxLength: 3, selector: (uplink) => uplink.name },
    ),
    headroom: fc.integer({ min: 0, max: 500 }).map((permille) => permille / 1000),
    host: fc
      .record({
        limitBitsPerSecond: fc.option(rate),
        shares: fc.integer({ min: 1, max: 1000 }),
        priority,
      })
      .map((host) => ({ ...host, reservationBitsPerSecond: host.limitBitsPerSecond ?? 12_345 })),
    hostClasses: fc
      .uniqueArray(hostClass, { maxLength: 3, selector: ({ name }) => name })
      .map((found) => HOST_CLASSES.flatMap((name) => found.filter((one) => one.name === name))),
    floorBitsPerSecond: rate,
    holdDownMs: ms,
    holdDownMaxMs: ms,
    bondUpdelayMs: fc.option(ms),
    loadWindowMs: ms,
    rebalance: fc.record({
      mode: fc.constantFrom(...REBALANCE_MODES),
      threshold: fc.integer({ min: 10, max: 500 }).map((permille) => permille / 1000),
      coolDownMs: ms,
    }),
    sources: fc.record({
      forged: fc.constantFrom(...SOURCE_MODES),
      unregistered: fc.constantFrom(...SOURCE_MODES),
    }),
    steering: fc.constantFrom(null, "hash", "redirect"),
    probes: fc.option(probes),
  })
  .map((one) => ({ ...one, holdDownMaxMs: Math.max(one.holdDownMs, one.holdDownMaxMs) }));

const config: fc.Arbitrary<Config> = fc.record({
  teams: fc.option(team).map((one) => (one === null ? [] : [{ ...one, name: "t", bond: "bond0" }])),
  autoTeams: fc.constant(false),
  admission: fc.record({
    mode: fc.constantFrom("off", "warn", "enforce"),
    survive: fc.constantFrom(0, 1),
  }),
  annotations: fc.constantFrom("lenient", "strict"),
  caps: fc.array(
    fc.record({
      domain: fc.string({ minLength: 1, maxLength: 20 }),
      maxPriority: priority,
      maxReservationBitsPerSecond: fc.option(rate),
      actions: fc.subarray([...FAILOVER_ACTIONS]),
    }),
    { maxLength: 3 },
  ),
  owners: fc.array(
    fc.record({
      domain: fc.string({ minLength: 1, maxLength: 20 }),
      manager: fc.stringMatching(/^[a-z]{1,12}$/),
    }),
    { maxLength: 2 },
  ),
  destinations: fc.uniqueArray(
    fc.record({
      name: fc.stringMatching(/^[a-z]{1,12}$/),
      uri: fc.constantFrom("qemu+tls://b.example/system", "qemu+ssh://root@b/system?keyfile=/k"),
      migrateUri: fc.option(fc.constant("tcp://10.1.0.2")),
    }),
    { maxLength: 2, selector: ({ name }) => name },
  ),
  migration: fc.record({
    concurrent: fc.constantFrom(1, 2),
    bandwidthBitsPerSecond: fc.option(rate.filter((value) => value >= 8_388_608)),
    timeoutMs: fc.integer({ min: 10, max: 3600 }).map((seconds) => seconds * 1000),
    retryMs: fc.integer({ min: 1, max: 3600 }).map((seconds) => seconds * 1000),
  }),
  maxPauseMs: ms,
  resyncMs: ms,
  announcements: fc.option(fc.record({ count: fc.integer({ min: 1, max: 10 }), intervalMs: ms })),
});

describe("a configuration written in the file's words", () => {
  it("reads back as the same", () => {
    const hasRepeatedLabel = ({ teams }: Config) =>
      teams.some(({ uplinks }) => {
        const labels = uplinks.map((uplink) => uplink.label).filter((label) => label !== null);
        return new Set(labels).size < labels.length;
      });
    fc.assert(
      fc.property(config, (written) => {
        fc.pre(!hasRepeatedLabel(written));
        const parsed = parseConfigFile("uplinkd.yaml", writeConfig(written));
        assert.ok(parsed.ok, parsed.ok ? "" : parsed.errors.map((e) => e.describe()).join("\n"));
        // Through JSON, since fast-check's records have no prototype.
        assert.deepEqual(buildConfig([parsed.value]), JSON.parse(JSON.stringify(written)));
      }),
    );
  });

  it("says auto where the bonds are found by themselves", () => {
    assert.match(writeConfig(buildConfig([])), /^teams: auto$/m);
  });
});
