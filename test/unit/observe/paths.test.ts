import assert from "node:assert/strict";
import fc from "fast-check";
import type { ProbeRules } from "../../../src/model/probe.ts";
import {
  type Look,
  NO_PATHS,
  observePaths,
  peerName,
  type TeamPaths,
} from "../../../src/observe/paths.ts";

const TARGETS = ["192.0.2.1", "192.0.2.2"];
const UPLINKS = ["eno1", "eno2", "eno3"];

const rules: fc.Arbitrary<ProbeRules> = fc.record({
  intervalMs: fc.constant(1000),
  losses: fc.integer({ min: 2, max: 4 }),
  targets: fc
    .subarray(TARGETS)
    .map((addresses) => addresses.map((address) => ({ address, vlanId: 0, sources: {} }))),
  require: fc.constantFrom("any" as const, "all" as const),
  betweenVlanIds: fc.constantFrom([], [0]),
});

const look: fc.Arbitrary<Look> = fc.record({
  linked: fc.boolean(),
  asked: fc.boolean(),
  answered: fc.subarray(TARGETS).map((names) => new Set(names)),
  heard: fc.subarray(UPLINKS).map((names) => new Set(names.map((name) => peerName(name, 0)))),
  floods: fc.boolean(),
});

/** Of each uplink, over time; nobody hears himself or another target than those that are configured. */
const history = fc.record({
  rules,
  looks: fc.array(fc.tuple(look, look, look), { minLength: 1, maxLength: 30 }),
});
type History = typeof history extends fc.Arbitrary<infer T> ? T : never;

function play({ rules: given, looks }: History, change: (look: Look, uplink: string) => Look) {
  let paths: TeamPaths = NO_PATHS;
  const states: ReadonlyMap<string, string>[] = [];
  const known = new Set(given.targets.map(({ address }) => address));
  for (const moment of looks) {
    const seen = new Map(
      moment.map((one, index): [string, Look] => {
        const uplink = UPLINKS[index] ?? "";
        const answered = new Set([...one.answered].filter((name) => known.has(name)));
        const heard = new Set([...one.heard].filter((name) => name !== peerName(uplink, 0)));
        return [uplink, change({ ...one, asked: true, answered, heard }, uplink)];
      }),
    );
    paths = observePaths(paths, seen, given).paths;
    states.push(new Map([...paths.uplinks].map(([name, { state }]) => [name, state])));
  }
  return states;
}

describe("judging paths, over any history of looks", () => {
  it("never declares the last path dead, whatever comes in or doesn't", () => {
    fc.assert(
      fc.property(history, (given) => {
        const states = play(given, (one) => ({ ...one, linked: true }));
        for (const moment of states) assert.ok([...moment.values()].includes("healthy"));
      }),
      { numRuns: 500 },
    );
  });

  it("never declares dead who has every target's answer in every look", () => {
    fc.assert(
      fc.property(history, (given) => {
        fc.pre(given.rules.targets.length > 0);
        const all = new Set(given.rules.targets.map(({ address }) => address));
        const states = play(given, (one, uplink) =>
          uplink === "eno1" ? { ...one, linked: true, answered: all } : one,
        );
        for (const moment of states) assert.equal(moment.get("eno1"), "healthy");
      }),
      { numRuns: 500 },
    );
  });

  it("declares nobody dead while all lack the same", () => {
    fc.assert(
      fc.property(history, (given) => {
        const states = play(
          { ...given, looks: given.looks.map(([one]) => [one, one, one]) },
          (one) => ({ ...one, linked: true, heard: new Set() }),
        );
        // Without a target that tells them apart, nor a flood that only some hear.
        for (const moment of states)
          assert.ok([...moment.values()].every((state) => state === "healthy"));
      }),
      { numRuns: 500 },
    );
  });

  it("declares nobody dead before as many looks as it takes have spoken against him", () => {
    fc.assert(
      fc.property(history, (given) => {
        const states = play(given, (one) => ({ ...one, linked: true }));
        for (const moment of states.slice(0, given.rules.losses - 1))
          assert.ok(![...moment.values()].includes("dead"));
      }),
      { numRuns: 500 },
    );
  });

  it("holds a path behind a link that came back for unproven, however long its link was away", () => {
    fc.assert(
      fc.property(history, (given) => {
        const states = play(given, (one) => one);
        for (const [index, moment] of states.entries()) {
          for (const [place, uplink] of UPLINKS.entries()) {
            const now = given.looks[index]?.[place]?.linked === true;
            const before = given.looks[index - 1]?.[place]?.linked === true;
            if (!now) assert.equal(moment.get(uplink), "unlinked");
            else if (index > 0 && !before) assert.equal(moment.get(uplink), "unproven");
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it("neither judges who wasn't asked nor anybody by him, whatever he heard", () => {
    fc.assert(
      fc.property(history, look, (given, other) => {
        const late = (one: Look, uplink: string): Look =>
          uplink === "eno1" ? { ...one, linked: true, asked: false } : { ...one, linked: true };
        const { answered, heard, floods } = other;
        const said = (one: Look, uplink: string) =>
          late(uplink === "eno1" ? { ...one, answered, heard, floods } : one, uplink);
        const states = play(given, late);
        assert.deepEqual(play(given, said), states);
        for (const moment of states) assert.equal(moment.get("eno1"), "healthy");
      }),
      { numRuns: 500 },
    );
  });

  it("takes no port for dead because one that has just come in hears others", () => {
    // Simulation, seed 850: two of eight ports were left, one of them deaf; the third came back.
    const given = { intervalMs: 1000, losses: 3, targets: [], require: "any", betweenVlanIds: [0] };
    const hears = (...names: string[]) => new Set(names.map((name) => peerName(name, 0)));
    const one = (heard: ReadonlySet<string>, asked: boolean): Look => ({
      ...{ linked: true, asked, answered: new Set<string>(), heard, floods: true },
    });
    const deaf = { ...one(hears(), true), floods: false };
    let paths = NO_PATHS;
    const dead: string[] = [];
    const see = (looks: Readonly<Record<string, Look>>) => {
      const seen = observePaths(paths, new Map(Object.entries(looks)), given as ProbeRules);
      paths = seen.paths;
      for (const change of seen.changes)
        if (change.kind === "path" && change.dead) dead.push(change.uplink);
    };
    // Two words against eno2 while eno1 was still there, and didn't hear it for two looks.
    for (let looks = 0; looks < 2; looks += 1)
      see({ eno1: one(hears(), true), eno2: one(hears("eno3"), true), eno3: deaf });
    for (let looks = 0; looks < 5; looks += 1) see({ eno2: one(hears("eno3"), true), eno3: deaf });
    see({ eno1: one(hears(), false), eno2: one(hears("eno3"), true), eno3: deaf });
    see({
      eno1: one(hears("eno2", "eno3"), true),
      eno2: one(hears("eno1", "eno3"), true),
      eno3: deaf,
    });
    assert.deepEqual(dead, ["eno3"]);
  });

  it("takes no port for dead because one that has just come into the bond lacks the same", () => {
    // Simulation, seed 4263: what two ports send arrives nowhere, and the second leaves the bond and comes back.
    const given = { intervalMs: 1000, losses: 3, targets: [], require: "any", betweenVlanIds: [0] };
    const dumb: Look = {
      ...{ linked: true, asked: true, answered: new Set(), heard: new Set(), floods: true },
    };
    let paths = NO_PATHS;
    const see = (...uplinks: string[]) => {
      const looks = new Map(uplinks.map((uplink) => [uplink, dumb]));
      const seen = observePaths(paths, looks, given as ProbeRules);
      paths = seen.paths;
      assert.deepEqual(seen.changes, []);
    };
    for (let looks = 0; looks < 4; looks += 1) see("eno1", "eno2");
    see("eno1");
    for (let looks = 0; looks < 4; looks += 1) see("eno1", "eno2");
  });
});
