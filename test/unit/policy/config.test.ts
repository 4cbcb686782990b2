import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { buildConfig, defaultTeam } from "../../../src/policy/config.ts";
import { type ConfigFile, parseConfigFile } from "../../../src/policy/config-file.ts";

function parse(text: string): ConfigFile {
  const result = parseConfigFile("uplinkd.yaml", text);
  assert.ok(result.ok, result.ok ? "" : result.errors.map((error) => error.describe()).join("\n"));
  return result.value;
}
const build = (...texts: string[]) => buildConfig(texts.map(parse));

describe("the configuration", () => {
  it("takes every bond of the right kind when no file names a team", () => {
    assert.deepEqual(build(), {
      teams: [],
      autoTeams: true,
      admission: { mode: "warn", survive: 0 },
      annotations: "lenient",
      caps: [],
      owners: [],
      destinations: [],
      migration: {
        ...{ concurrent: 1, bandwidthBitsPerSecond: null },
        ...{ timeoutMs: 300_000, retryMs: 600_000 },
      },
      maxPauseMs: 900_000,
      resyncMs: 10_000,
      announcements: { count: 3, intervalMs: 500 },
    });
  });

  it("takes none but the named teams once one is named, even with an empty list", () => {
    assert.equal(build("teams: [{bond: bond0}]").autoTeams, false);
    assert.deepEqual(build("teams: []"), { ...build(), autoTeams: false });
    assert.deepEqual(build("teams: auto"), build());
  });

  it("fills a team's gaps with what an unnamed bond's team has", () => {
    assert.deepEqual(build("teams: [{bond: bond0}]").teams, [defaultTeam("bond0")]);
  });

  it("reads the example that is shipped", () => {
    const example = new URL("../../../policies/uplinkd.yaml.example", import.meta.url);
    const config = build(readFileSync(example, "utf8"));
    assert.deepEqual(config.teams, [
      {
        ...defaultTeam("bond0"),
        // Classes that hosts have by choice.
        hostClasses: config.teams[0]?.hostClasses ?? [],
        probes: config.teams[0]?.probes ?? null,
        uplinks: [
          { name: "eno1", label: null, speedBitsPerSecond: null },
          { name: "eno2", label: "left", speedBitsPerSecond: 10e9 },
        ],
      },
    ]);
    assert.deepEqual(
      config.teams[0]?.hostClasses.map(({ name, matches }) => [name, matches.length]),
      [
        ["management", 4],
        ["migration", 1],
      ],
    );
    assert.deepEqual(config.teams[0]?.probes?.targets, [
      { address: "192.0.2.1", vlanId: 0, sources: {} },
      { address: "2001:db8::1", vlanId: 20, sources: {} },
    ]);
    assert.deepEqual(config.caps, [
      {
        domain: "test-*",
        maxPriority: "low",
        maxReservationBitsPerSecond: 10e6,
        actions: ["throttle", "pause"],
      },
    ]);
    assert.deepEqual(config.owners, [{ domain: "ha-*", manager: "pacemaker" }]);
    const uri = "qemu+tls://host2.example/system";
    assert.deepEqual(config.destinations, [{ name: "rack2", uri, migrateUri: "tcp://10.1.0.2" }]);
    assert.equal(config.migration.bandwidthBitsPerSecond, 1e9);
    // Apart from these the example states the defaults: it must not grow stale.
    const migration = { ...config.migration, bandwidthBitsPerSecond: null };
    const ours = { teams: [], caps: [], owners: [], destinations: [], migration, autoTeams: true };
    assert.deepEqual({ ...config, ...ours }, build());
  });

  it("takes destinations on other hosts only, and no bandwidth that libvirt can't be told", () => {
    const wrongIn = (text: string) => {
      const parsed = parseConfigFile("uplinkd.yaml", text);
      return parsed.ok ? [] : parsed.errors.map((error) => error.path);
    };
    const uris = (uri: string) => wrongIn(`destinations: [{name: rack2, uri: "${uri}"}]`);
    assert.deepEqual(uris("qemu+ssh://root@host2/system?no_verify=1"), []);
    for (const uri of [
      "qemu:///system",
      "qemu+unix:///system",
      "xen+tls://host2/",
      "qemu+tls:///system",
    ])
      assert.deepEqual(uris(uri), ["destinations[0].uri"], uri);
    assert.deepEqual(
      wrongIn("migration: {bandwidth: 8mbit, timeout: 1s, concurrent: 3}").length,
      1,
    );
    assert.deepEqual(wrongIn("migration: {bandwidth: 8mbit, timeout: 1s}"), [
      "migration.timeout",
      "migration.bandwidth",
    ]);
    const twice = "{name: a, uri: 'qemu+tls://b/system'}";
    assert.deepEqual(wrongIn(`destinations: [${twice}, ${twice}]`), ["destinations[1].name"]);
    const moved = build(
      `destinations: [${twice}]`,
      "destinations: [{name: a, uri: 'qemu+tls://c/system'}]",
    );
    assert.deepEqual(
      moved.destinations.map(({ uri }) => uri),
      ["qemu+tls://c/system"],
    );
  });

  it("lets a later file's value replace an earlier one's", () => {
    const config = build("resync: 5s\nmaxPause: 1m", "resync: 20s");
    assert.deepEqual([config.resyncMs, config.maxPauseMs], [20_000, 60_000]);
  });

  it("lets announcements be switched off, and on again with what isn't said by default", () => {
    assert.equal(build("announcements: off").announcements, null);
    const again = build("announcements: off", "announcements: {count: 5}");
    assert.deepEqual(again.announcements, { count: 5, intervalMs: 500 });
    const wrong = parseConfigFile("uplinkd.yaml", "announcements: {count: 0, interval: 10ms}");
    assert.deepEqual(wrong.ok ? [] : wrong.errors.map((error) => error.path), [
      "announcements.count",
    ]);
  });

  it("lets a drop-in replace the team of the same bond and add others", () => {
    const config = build(
      "teams: [{bond: a, headroom: 10%}, {bond: b}]",
      "teams: [{bond: a, floor: 1mbit}, {bond: c}]",
    );
    assert.deepEqual(
      config.teams.map((team) => [team.bond, team.headroom, team.floorBitsPerSecond]),
      [
        ["a", 0.05, 1e6],
        ["b", 0.05, 1e5],
        ["c", 0.05, 1e5],
      ],
    );
  });

  it("does not let a drop-in lift what an earlier file caps", () => {
    const config = build("caps: [{domain: '*', maxPriority: low}]", "caps: [{domain: '*'}]");
    assert.equal(config.caps[0]?.maxPriority, "low");
  });

  it("takes admission as a word or with what it must survive", () => {
    assert.deepEqual(build("admission: enforce\nsurvive: 1").admission, {
      mode: "enforce",
      survive: 1,
    });
    assert.deepEqual(build("admission: {mode: enforce, survive: 1}").admission, {
      mode: "enforce",
      survive: 1,
    });
    assert.deepEqual(build("admission: {mode: off, survive: 1}", "admission: warn").admission, {
      mode: "warn",
      survive: 1,
    });
  });

  it("sets the bond's updelay only when asked", () => {
    const updelay = (value: string) => build(`teams: [{bond: b${value}}]`).teams[0]?.bondUpdelayMs;
    assert.deepEqual(
      [updelay(""), updelay(", bondUpdelay: keep"), updelay(", bondUpdelay: 30s")],
      [null, null, 30_000],
    );
  });

  it("keeps the bound of the hold-down above it, whichever of the two is stated", () => {
    const times = (text: string) => {
      const [team] = build(`teams: [{bond: b${text}}]`).teams;
      return [team?.holdDownMs, team?.holdDownMaxMs];
    };
    assert.deepEqual(times(""), [30_000, 600_000]);
    assert.deepEqual(times(", holdDown: 20m"), [1_200_000, 1_200_000]);
    assert.deepEqual(times(", holdDownMax: 5s"), [5000, 5000]);
    const wrong = parseConfigFile("u.yaml", "teams: [{bond: b, holdDown: 9s, holdDownMax: 5s}]");
    assert.match(
      wrong.ok ? "" : (wrong.errors[0]?.describe() ?? ""),
      /holdDownMax: is below holdDown/,
    );
  });

  it("does not contradict a small limit of the host by the default reservation", () => {
    const [team] = build("teams: [{bond: b, host: {limit: 2mbit}}]").teams;
    assert.equal(team?.host.reservationBitsPerSecond, 2e6);
  });
});
