import assert from "node:assert/strict";
import fc from "fast-check";
import { buildConfig } from "../../../src/policy/config.ts";
import { parseConfigFile } from "../../../src/policy/config-file.ts";
import { parsePolicyFile } from "../../../src/policy/policy-file.ts";
import { parseScenario } from "../../../src/policy/scenario.ts";
import { MAX_FILE_BYTES, type YamlResult } from "../../../src/policy/yaml.ts";

function complaints(result: YamlResult<unknown>): string[] {
  return result.ok ? [] : result.errors.map((error) => error.describe());
}
const policy = (text: string) => complaints(parsePolicyFile("p.yaml", text));
const config = (text: string) => complaints(parseConfigFile("u.yaml", text));

describe("a YAML file's mistakes", () => {
  const cases: [name: string, found: string[], expected: string[]][] = [
    [
      "names file, line, column and path of an unknown key and what was probably meant",
      config("teams:\n  - bond: bond0\n    uplinks: [a, {name: b, sped: 1gbit}]\n"),
      ["u.yaml:3:28: teams[0].uplinks[1].sped: unknown key; did you mean 'speed'?"],
    ],
    [
      "lists the known keys where none is near",
      policy("frobnicate: 1"),
      [
        "p.yaml:1:1: frobnicate: unknown key; known: description, priority, bandwidth, inbound, placement, failover",
      ],
    ],
    [
      "takes other spellings of a key for it",
      config("teams:\n  - bond: b\n    hold_down: 5s"),
      ["u.yaml:3:5: teams[0].hold_down: unknown key; did you mean 'holdDown'?"],
    ],
    [
      "names the values that there are, and the one that was probably meant",
      policy("priority: hihg"),
      ["p.yaml:1:11: priority: must be critical, high, normal or low; did you mean 'high'?"],
    ],
    [
      "names a missing key",
      config("teams: [{name: x}]"),
      ["u.yaml:1:9: teams[0].bond: is missing"],
    ],
    [
      "asks for a unit",
      policy("bandwidth: {limit: 100}"),
      ["p.yaml:1:20: bandwidth.limit: needs a unit, such as 500mbit"],
    ],
    [
      "asks for a unit where a word would do, too",
      config("teams: [{bond: b, bondUpdelay: 30}]"),
      ["u.yaml:1:32: teams[0].bondUpdelay: needs a unit, such as 10s"],
    ],
    [
      "says what is wrong with a rate",
      policy("bandwidth:\n  limit: 5 parsecs\n"),
      [
        "p.yaml:2:10: bandwidth.limit: '5 parsecs' is not a rate; write a number with bit, kbit, mbit or gbit, such as 500mbit",
      ],
    ],
    [
      "names an empty value",
      policy("bandwidth:\n  limit:"),
      ["p.yaml:2:9: bandwidth.limit: has no value"],
    ],
    [
      "rejects a key that is there twice",
      policy("priority: low\npriority: high"),
      ["p.yaml:2:1: the key is there twice"],
    ],
    [
      "rejects several documents",
      policy("priority: low\n---\npriority: high"),
      ["p.yaml:2:1: holds more than one YAML document ('---')"],
    ],
    [
      "rejects a contradiction at the value that makes it",
      policy("bandwidth:\n  reservation: 2gbit\n  limit: 1gbit"),
      ["p.yaml:3:10: bandwidth.limit: is below the reservation"],
    ],
    [
      "rejects a destination that is a URI",
      policy("failover: {action: migrate, destination: [qemu://x/system]}"),
      ["p.yaml:1:43: failover.destination[0]: must be a name of 1 to 64 characters without spaces"],
    ],
    [
      "rejects an uplink in two teams",
      config("teams:\n  - {bond: a, uplinks: [x]}\n  - {bond: b, uplinks: [x]}\n"),
      ["u.yaml:3:25: teams[1].uplinks[0]: is there twice"],
    ],
    [
      "rejects a bound that would make the loop spin",
      config("resync: 1ms"),
      ["u.yaml:1:9: resync: must be at least 1000ms"],
    ],
    ["rejects a list where a map is wanted", policy("[]"), ["p.yaml:1:1: must be a map"]],
    ["rejects an unknown tag", policy("priority: !x high"), ["p.yaml:1:11: Unresolved tag: !x"]],
    [
      "rejects nesting beyond the stack",
      policy("[".repeat(300_000)),
      ["p.yaml: is nested too deeply"],
    ],
    [
      "rejects what is too large",
      policy(`# ${"x".repeat(MAX_FILE_BYTES)}`),
      ["p.yaml: is larger than 1 MiB"],
    ],
  ];
  for (const [name, found, expected] of cases) it(name, () => assert.deepEqual(found, expected));

  it("are all told at once, in the order of the file", () => {
    const found = config("resync: 1\nteams: [{bond: b, x: 1}]\nadmission: enforced\n");
    assert.deepEqual(
      found.map((line) => line.split(":")[1]),
      ["1", "2", "3"],
    );
  });

  it("include an alias bomb, without expanding it", () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let n = 1; n < 9; n++)
      lines.push(
        `a${n}: &a${n} [${Array(10)
          .fill(`*a${n - 1}`)
          .join(", ")}]`,
      );
    const startedAtMs = performance.now();
    assert.match(policy(lines.join("\n")).join(), /has bad aliases: Excessive alias count/);
    assert.ok(performance.now() - startedAtMs < 1000);
  });

  it("stand at the alias's anchor where an alias brought them", () => {
    assert.deepEqual(config("teams:\n  - &t {bond: b, x: 1}\n").length, 1);
  });

  it("never make the parser throw, whatever the text", () => {
    const words = [
      "priority",
      "bandwidth",
      "limit",
      "teams",
      "bond",
      "1gbit",
      "*a",
      "&a",
      "!!x",
      "{",
      "}",
    ];
    const yamlish = fc.array(
      fc.oneof(
        fc.constantFrom(...words, "[", "]", ": ", "- ", "\n", "  ", "? ", "|", ">"),
        fc.string(),
      ),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(yamlish, (parts) => {
        policy(parts.join(""));
        config(parts.join(""));
      }),
      { numRuns: 500 },
    );
  });

  it("are told, and nothing is thrown, for our own keys in any arrangement; what is taken can be planned", function () {
    this.timeout(20_000);
    const key = fc.constantFrom(
      ...[
        "teams",
        "team",
        "bond",
        "uplinks",
        "name",
        "speed",
        "label",
        "headroom",
        "host",
        "shares",
      ],
      ...["reservation", "limit", "priority", "holdDown", "floor", "admission", "survive", "caps"],
      ...[
        "domain",
        "domains",
        "vnics",
        "mac",
        "policies",
        "bandwidth",
        "failover",
        "action",
        "grace",
      ],
      ...[
        "maxPause",
        "resync",
        "placement",
        "prefer",
        "apart",
        "description",
        "__proto__",
        "toString",
      ],
    );
    const word = fc.constantFrom(
      ...[
        "bond0",
        "nic0",
        "1gbit",
        "10mbit",
        "0bit",
        "5%",
        "200%",
        "10s",
        "-1s",
        "critical",
        "pause",
      ],
      ...["auto", "enforce", "web-*", "52:54:00:00:00:01", "", "a".repeat(300), "1e300gbit"],
    );
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        word,
        fc.constantFrom(0, 1, -1, 1e300, Number.NaN, true, null),
        fc.array(tie("value"), { maxLength: 3 }),
        fc.dictionary(key, tie("value"), { maxKeys: 4 }),
      ),
    }));
    const file = fc.dictionary(key, value, { maxKeys: 4 });
    fc.assert(
      fc.property(file, (written) => {
        const text = JSON.stringify(written);
        policy(text);
        complaints(parseScenario("s.yaml", text));
        const parsed = parseConfigFile("u.yaml", text);
        if (!parsed.ok) return;
        for (const team of buildConfig([parsed.value]).teams) {
          assert.ok(team.headroom >= 0 && team.headroom <= 1 && team.holdDownMs >= 0);
          assert.ok(Number.isFinite(team.host.reservationBitsPerSecond));
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("a YAML file without mistakes", () => {
  it("may be empty or only comments", () => {
    assert.deepEqual([policy(""), policy("# nothing\n"), config("---\n")], [[], [], []]);
  });
});
