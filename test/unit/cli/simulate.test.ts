import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SimulationDocument } from "../../../src/model/simulation.ts";
import { runInProcess } from "./in-process.ts";

const TWO_BY_TEN = "uplinks: [{name: eno1, speed: 10gbit}, {name: eno2, speed: 10gbit}]";

describe("uplinkctl simulate --scenario", () => {
  let directory = "";
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "simulate-"));
  });
  after(() => rmSync(directory, { recursive: true }));

  async function run(scenario: string, ...args: string[]) {
    const file = join(directory, "rack.yaml");
    writeFileSync(file, scenario);
    const { code, stdout, stderr } = await runInProcess(["simulate", "--scenario", file, ...args]);
    return { exitCode: code, stdout, stderr, file };
  }

  async function ask(scenario: string, ...failed: string[]) {
    const fails = failed.flatMap((name) => ["--fail", name]);
    const { exitCode, stdout, stderr } = await run(scenario, "--json", ...fails);
    assert.equal(stderr, "");
    assert.equal(exitCode, 0);
    const answer = JSON.parse(stdout) as SimulationDocument;
    return {
      answer,
      gets: (domain: string) => vnicOf(answer, domain).expectedBitsPerSecond,
      lacks: (domain: string) => vnicOf(answer, domain).unmetReservationBitsPerSecond,
      home: (domain: string) => vnicOf(answer, domain).home,
      action: (domain: string) => answer.domains.find(({ name }) => name === domain)?.action,
    };
  }

  function vnicOf(answer: SimulationDocument, domain: string) {
    const found = answer.vnics.find((vnic) => vnic.domain === domain);
    assert.ok(found, domain);
    return found;
  }

  describe("answers", () => {
    /** A critical guest that wants nearly all of eno1, beside a migration without end. */
    const migrating = `
team: {headroom: 0%, ${TWO_BY_TEN},
       host: {reservation: 100mbit, demand: 20mbit, migration: {limit: 4gbit, demand: 9gbit}}}
domains:
  - {name: a, priority: critical, vnics: [{mac: "52:54:00:00:00:01", demand: 9gbit, home: eno1}]}`;

    it("gives a migration what a critical guest leaves, never more than its limit", async () => {
      const { answer, gets } = await ask(migrating);
      assert.equal(gets("a"), 9e9);
      const of = (uplink: string) =>
        answer.host
          .filter((line) => line.uplink === uplink)
          .map((line) => [line.name, line.expectedBitsPerSecond]);
      assert.deepEqual(of("eno1"), [
        ["default", 20e6],
        ["migration", 980e6],
      ]);
      assert.deepEqual(of("eno2"), [
        ["default", 20e6],
        ["migration", 4e9],
      ]);
      const after = await ask(migrating, "eno1");
      assert.equal(after.gets("a"), 9e9);
      const [, left] = after.answer.host;
      assert.deepEqual([left?.uplink, left?.expectedBitsPerSecond], ["eno2", 980e6]);
      const { stdout } = await run(migrating);
      assert.match(stdout, /migration +eno1 +- +980mbit/);
    });

    /** A high (6 of 6 gbit) on eno1, B low (wants 8 gbit) on eno2; B's action is what differs. */
    const pair = (action: string) => `
team: {headroom: 0%, ${TWO_BY_TEN}}
domains:
  - {name: a, priority: high, bandwidth: {reservation: 6gbit},
     vnics: [{mac: "52:54:00:00:00:01", demand: 6gbit, home: eno1}]}
  - {name: b, priority: low, failover: {action: ${action}},
     vnics: [{mac: "52:54:00:00:00:02", demand: 8gbit, home: eno2}]}`;

    it("gives each what it wants while nothing fails, and does nothing to anybody", async () => {
      const { answer, gets, action } = await ask(pair("pause"));
      assert.deepEqual(answer.failed, []);
      assert.deepEqual([gets("a"), gets("b")], [6e9, 8e9]);
      assert.deepEqual([action("a"), action("b")], ["none", "none"]);
    });

    it("places vNICs in 802.3ad, too, and by hash where bonding's own leads", async () => {
      const lacp = (rest: string) =>
        pair("throttle").replace("{headroom", `{mode: 802.3ad, ${rest}headroom`);
      const placed = await ask(lacp(""));
      assert.deepEqual([placed.home("a"), placed.home("b")], ["eno1", "eno2"]);
      // 0x525400 ^ 1 and 0x525400 ^ 2, modulo 2.
      const hashed = await ask(lacp("steering: hash, "));
      assert.deepEqual([hashed.home("a"), hashed.home("b")], ["eno2", "eno1"]);
      const lost = await ask(lacp("steering: hash, "), "eno1");
      assert.deepEqual([lost.home("a"), lost.home("b")], ["eno2", "eno2"]);
      assert.deepEqual([lost.gets("a"), lost.gets("b")], [6e9, 4e9]);
    });

    it("throttles the lower priority to what the higher one's reservation leaves", async () => {
      const { answer, gets, lacks, action, home } = await ask(pair("throttle"), "eno1");
      assert.deepEqual([home("a"), home("b")], ["eno2", "eno2"]);
      assert.deepEqual([gets("a"), gets("b")], [6e9, 4e9]);
      assert.deepEqual([lacks("a"), lacks("b")], [0, 0]);
      assert.deepEqual([action("a"), action("b")], ["none", "throttle"]);
      const uplinks = answer.uplinks.map((uplink) => [
        uplink.name,
        uplink.usable,
        uplink.capacityBitsPerSecond,
      ]);
      assert.deepEqual(uplinks, [
        ["eno1", false, 0],
        ["eno2", true, 10e9],
      ]);
      const [grant, ...more] = vnicOf(answer, "a").classes;
      assert.deepEqual(more, []);
      assert.deepEqual(grant, {
        uplink: "eno2",
        reservationBitsPerSecond: 6e9,
        limitBitsPerSecond: 10e9,
      });
    });

    it("pauses whom its policy pauses, and gives it nothing", async () => {
      const { gets, action } = await ask(pair("pause"), "eno1");
      assert.deepEqual([gets("a"), gets("b")], [6e9, 0]);
      assert.equal(action("b"), "pause");
    });

    it("discards a resident's data once it can't have what it wants", async () => {
      const { gets, action } = await ask(pair("discard"), "eno1");
      assert.deepEqual([gets("b"), action("b")], [0, "discard"]);
    });

    it("discards at once whose own home is lost, even where it would fit", async () => {
      const { gets, action } = await ask(pair("discard"), "eno2");
      assert.deepEqual([gets("a"), gets("b")], [6e9, 0]);
      assert.equal(action("b"), "discard");
    });

    it("migrates one and shares anew before it judges the next", async () => {
      // 3 gbit are left for b (2) and c (3), cut in proportion to 1.2 and 1.8; without b, c has its 3.
      const { gets, lacks, action } = await ask(
        `
team: {headroom: 0%, ${TWO_BY_TEN}}
domains:
  - {name: a, priority: high, bandwidth: {reservation: 7gbit},
     vnics: [{mac: "52:54:00:00:00:01", demand: 7gbit, home: eno1}]}
  - {name: b, bandwidth: {reservation: 2gbit}, failover: {action: migrate},
     vnics: [{mac: "52:54:00:00:00:02", demand: 2gbit, home: eno2}]}
  - {name: c, bandwidth: {reservation: 3gbit}, failover: {action: pause},
     vnics: [{mac: "52:54:00:00:00:03", demand: 3gbit, home: eno2}]}`,
        "eno1",
      );
      assert.deepEqual([gets("a"), gets("b"), gets("c")], [7e9, 0, 3e9]);
      assert.deepEqual([lacks("b"), lacks("c")], [2e9, 0]);
      assert.deepEqual([action("a"), action("b"), action("c")], ["none", "migrate", "none"]);
    });

    it("cuts reservations from the lowest priority up when only a slower uplink is left", async () => {
      const { gets, lacks, action } = await ask(
        `
team: {headroom: 0%, uplinks: [{name: fast, speed: 10gbit}, {name: slow, speed: 1gbit}]}
domains:
  - {name: a, priority: high, bandwidth: {reservation: 600mbit}, vnics: [{mac: "52:54:00:00:00:01", home: fast}]}
  - {name: b, bandwidth: {reservation: 300mbit}, vnics: [{mac: "52:54:00:00:00:02", home: fast}]}
  - {name: c, priority: low, bandwidth: {reservation: 300mbit}, vnics: [{mac: "52:54:00:00:00:03", home: slow}]}`,
        "fast",
      );
      assert.deepEqual([gets("a"), gets("b"), gets("c")], [600e6, 300e6, 100e6]);
      assert.deepEqual([lacks("a"), lacks("b"), lacks("c")], [0, 0, 200e6]);
      // Without a demand the reservation is what it is judged by.
      assert.deepEqual([action("a"), action("b"), action("c")], ["none", "none", "throttle"]);
    });

    it("moves only what a lost one of three carried, to the least utilised", async () => {
      const { answer, home, gets } = await ask(
        `
team: {headroom: 0%, uplinks: [{name: eno1, speed: 10gbit}, {name: eno2, speed: 10gbit}, {name: eno3, speed: 10gbit}]}
domains:
  - {name: a, vnics: [{mac: "52:54:00:00:00:01", demand: 1gbit, home: eno1}]}
  - {name: b, vnics: [{mac: "52:54:00:00:00:02", demand: 4gbit, home: eno2}]}
  - {name: c, vnics: [{mac: "52:54:00:00:00:03", demand: 2gbit, home: eno3}]}`,
        "eno1",
      );
      assert.deepEqual([home("a"), home("b"), home("c")], ["eno3", "eno2", "eno3"]);
      assert.deepEqual([gets("a"), gets("b"), gets("c")], [1e9, 4e9, 2e9]);
      assert.deepEqual(
        vnicOf(answer, "a").classes.map((grant) => grant.uplink),
        ["eno2", "eno3"],
      );
    });

    it("lets the host take its part first", async () => {
      // Of 9.5 gbit the host has its 1 gbit and, before any guest, the 1 gbit that it wants beyond.
      const { gets, lacks } = await ask(`
team: {uplinks: [{name: eno1, speed: 10gbit}], host: {reservation: 1gbit, demand: 2gbit}}
domains:
  - {name: a, priority: critical, bandwidth: {reservation: 5gbit}, vnics: [{mac: "52:54:00:00:00:01"}]}
  - {name: b, priority: low, bandwidth: {reservation: 1gbit}, vnics: [{mac: "52:54:00:00:00:02"}]}`);
      assert.deepEqual([gets("b"), lacks("b")], [1e9, 0]);
      assert.equal(gets("a"), 6.5e9);
    });

    it("shares what is left by shares within one priority, never beyond a limit", async () => {
      const { gets } = await ask(`
team: {headroom: 10%, uplinks: [{name: eno1, speed: 10gbit}]}
domains:
  - {name: a, bandwidth: {shares: 200}, vnics: [{mac: "52:54:00:00:00:01"}]}
  - {name: b, vnics: [{mac: "52:54:00:00:00:02"}]}
  - {name: c, bandwidth: {limit: 1500mbit, shares: 1000}, vnics: [{mac: "52:54:00:00:00:03"}]}`);
      assert.deepEqual([gets("a"), gets("b"), gets("c")], [5e9, 2.5e9, 1.5e9]);
    });

    it("survives two failures of four", async () => {
      const { answer, gets, home } = await ask(
        `
team: {headroom: 0%, uplinks: [{name: n1, speed: 1gbit}, {name: n2, speed: 1gbit}, {name: n3, speed: 1gbit}, {name: n4, speed: 1gbit}]}
domains:
  - {name: a, bandwidth: {reservation: 400mbit}, vnics: [{mac: "52:54:00:00:00:01", demand: 400mbit, home: n1}]}
  - {name: b, bandwidth: {reservation: 400mbit}, vnics: [{mac: "52:54:00:00:00:02", demand: 400mbit, home: n2}]}
  - {name: c, bandwidth: {reservation: 500mbit}, vnics: [{mac: "52:54:00:00:00:03", demand: 500mbit, home: n3}]}
  - {name: d, bandwidth: {reservation: 700mbit}, vnics: [{mac: "52:54:00:00:00:04", demand: 700mbit, home: n4}]}`,
        "n4",
        "n3",
      );
      assert.deepEqual(answer.failed, ["n3", "n4"]);
      assert.deepEqual([home("a"), home("b"), home("c")], ["n1", "n2", "n1"]);
      // d fits nowhere: it goes where least is used (n2: 0.4, n1: 0.9), and both there are cut in proportion.
      assert.equal(home("d"), "n2");
      assert.deepEqual([gets("a"), gets("c")], [400e6, 500e6]);
      assert.equal(gets("b"), Math.floor((1e9 * 4) / 11));
      assert.equal(gets("d"), Math.floor((1e9 * 7) / 11));
    });

    it("pauses and moves nobody when all uplinks fail", async () => {
      const { answer, gets, lacks, home, action } = await ask(pair("pause"), "eno1", "eno2");
      assert.deepEqual([home("a"), gets("a"), lacks("a")], [null, 0, 6e9]);
      assert.deepEqual([action("a"), action("b")], ["none", "none"]);
      assert.deepEqual(vnicOf(answer, "a").classes, []);
    });

    it("takes the vNIC's keys before the domain's, and these before the policy's", async () => {
      const { answer } = await ask(`
team: {headroom: 0%, uplinks: [{name: eno1, speed: 10gbit}]}
policies: {gold: {priority: high, bandwidth: {reservation: 1gbit, limit: 8gbit}}}
domains:
  - name: a
    network: {policy: gold, bandwidth: {reservation: 2gbit}}
    vnics:
      - {mac: "52:54:00:00:00:01"}
      - {mac: "52:54:00:00:00:02", priority: low, bandwidth: {limit: 3gbit}}`);
      const [first, second] = answer.vnics.map((vnic) => ({
        priority: vnic.priority,
        ...vnic.classes[0],
      }));
      const reserved = { uplink: "eno1", reservationBitsPerSecond: 2e9 };
      assert.deepEqual(first, { priority: "high", ...reserved, limitBitsPerSecond: 8e9 });
      assert.deepEqual(second, { priority: "low", ...reserved, limitBitsPerSecond: 3e9 });
    });

    it("shows a person who moves, what each gets and lacks, and what is done", async () => {
      const { stdout, exitCode } = await run(pair("pause"), "--fail", "eno1");
      assert.equal(exitCode, 0);
      assert.match(stdout, /^eno1 failed: degraded\n/);
      assert.match(stdout, /\na +52:54:00:00:00:01 +high +eno1>eno2 +6gbit +6gbit +- +-\n/);
      assert.match(stdout, /\nb +52:54:00:00:00:02 +low +eno2 +- +0bit +- +pause\n/);
      assert.match(stdout, /b: 52:54:00:00:00:02 wanted 8gbit before the loss and gets 4gbit/);
    });
  });

  describe("refuses a wrong file with its place on standard error and nothing on standard output", () => {
    const MAC = '"52:54:00:00:00:01"';
    const team = `team: {${TWO_BY_TEN}}`;
    const cases: Record<string, [text: string, line: number, column: number, says: RegExp]> = {
      "an unknown key": [`${team}\nbogus: 1\n`, 2, 1, /unknown key/],
      "an unknown policy": [
        `${team}\npolicies: {gold: {}}\ndomains:\n  - {name: a, network: {policy: gild}}\n  - {name: b, network: {policy: gild}, vnics: [{mac: ${MAC}}]}\n`,
        4,
        33,
        /no policy 'gild'; did you mean 'gold'/,
      ],
      "an unknown home": [
        `${team}\ndomains:\n  - {name: a, vnics: [{mac: ${MAC}, home: eno9}]}\n`,
        3,
        56,
        /no uplink 'eno9'/,
      ],
      "an unknown active port": [
        `team: {active: eno7, ${TWO_BY_TEN}}\n`,
        1,
        16,
        /no uplink 'eno7'/,
      ],
      "an unknown uplink that a policy prefers": [
        `${team}\npolicies: {gold: {placement: {prefer: [eno1, eno8]}}}\n`,
        2,
        46,
        /no uplink 'eno8'/,
      ],
      "an unknown priority": [
        `${team}\ndomains:\n  - {name: a, network: {priority: urgent}}\n`,
        3,
        35,
        /critical, high, normal or low/,
      ],
      "a MAC twice": [
        `${team}\ndomains:\n  - {name: a, vnics: [{mac: ${MAC}}]}\n  - {name: b, vnics: [{mac: ${MAC}}]}\n`,
        4,
        29,
        /is there twice: domain a has it already/,
      ],
      "a domain twice": [
        `${team}\ndomains:\n  - {name: a}\n  - {name: a}\n`,
        4,
        12,
        /is there twice/,
      ],
      "an uplink twice": [
        "team:\n  uplinks:\n    - {name: eno1, speed: 1gbit}\n    - {name: eno1, speed: 1gbit}\n",
        4,
        14,
        /uplink eno1 is there twice/,
      ],
      "an uplink without speed": ["team: {uplinks: [{name: eno1}]}\n", 1, 18, /speed: is missing/],
      "a limit below its reservation": [
        `${team}\ndomains:\n  - {name: a, network: {bandwidth: {reservation: 2gbit, limit: 1gbit}}, vnics: [{mac: ${MAC}}]}\n`,
        3,
        64,
        /the limit is below the reservation: 1gbit and 2gbit/,
      ],
      "a rate without unit": [
        "team: {uplinks: [{name: eno1, speed: 1000}]}\n",
        1,
        38,
        /needs a unit/,
      ],
      "no YAML": ["team: {uplinks: [\n", 2, 1, /./],
      "no team": ["domains: []\n", 1, 1, /team: is missing/],
    };
    for (const [what, [text, line, column, says]] of Object.entries(cases)) {
      it(what, async () => {
        for (const args of [[], ["--json"]]) {
          const { exitCode, stdout, stderr, file } = await run(text, ...args);
          assert.equal(exitCode, 2, stderr);
          assert.equal(stdout, "");
          assert.ok(stderr.startsWith(`${file}:${line}:${column}: `), stderr);
          assert.match(stderr, says);
        }
      });
    }

    it("an uplink to fail that isn't there", async () => {
      const { exitCode, stdout, stderr } = await run(`${team}\n`, "--fail", "eno5");
      assert.deepEqual([exitCode, stdout], [2, ""]);
      assert.match(stderr, /--fail eno5: the scenario has no such uplink/);
    });
  });
});
