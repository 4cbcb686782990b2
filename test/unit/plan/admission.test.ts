import assert from "node:assert/strict";
import type { World } from "../../../src/model/world.ts";
import { describeShortfall, judgeAdmission } from "../../../src/plan/admission.ts";
import { buildWorld, type DomainSpec, GBIT, NOW, type WorldSpec, withUplink } from "../world.ts";

const TWO = [{ name: "eno1" }, { name: "eno2" }];

const reserve = (name: string, gbit: number, more: Partial<DomainSpec["vnics"][number]> = {}) => ({
  name,
  vnics: [{ bandwidth: { reservationBitsPerSecond: gbit * GBIT }, ...more }],
});

/** The last of the domains starts. */
const starting = (domains: readonly DomainSpec[], spec: Partial<WorldSpec> = {}): World =>
  buildWorld({
    uplinks: TWO,
    ...spec,
    domains: domains.map((domain, index) =>
      index === domains.length - 1 ? { ...domain, phase: "starting" } : domain,
    ),
  });

const told = (world: World, survive: 0 | 1 = 0) => {
  const name = world.domains.at(-1)?.name ?? "";
  return judgeAdmission(world, name, survive).map((shortfall) =>
    describeShortfall(shortfall, name),
  );
};

describe("admission", () => {
  it("lets in what fits on an uplink beside what is there", () => {
    const world = starting([
      reserve("a", 6, { home: "eno1" }),
      reserve("b", 5, { home: "eno2" }),
      reserve("new", 5),
    ]);
    assert.deepEqual(told(world), []);
  });

  it("refuses what fits on no uplink, with what each has left, the host's part counted", () => {
    const world = starting(
      [reserve("a", 6, { home: "eno1" }), reserve("b", 5, { home: "eno2" }), reserve("new", 5.5)],
      { config: { host: hostReserving(0.1) } },
    );
    assert.equal(
      told(world)[0],
      "52:54:00:00:02:00's reservation of 5.5gbit does not fit: eno1 has 3.9gbit left of 10gbit, eno2 has 4.9gbit left of 10gbit",
    );
  });

  it("counts domains that start at the same time, and incoming ones", () => {
    for (const phase of ["starting", "incoming"] as const) {
      const other = { ...reserve("other", 8), phase };
      const more = { ...reserve("more", 8), phase };
      assert.equal(told(starting([other, reserve("new", 8)])).length, 0);
      const [first] = told(starting([other, more, reserve("new", 8)]));
      assert.match(first ?? "", /reservation of 8gbit does not fit: eno1 has 2gbit left/);
    }
  });

  it("counts the whole reservation of what is paused", () => {
    const paused = { ...reserve("a", 8, { home: "eno1" }), phase: "paused" as const };
    const world = starting([paused, reserve("b", 8, { home: "eno2" }), reserve("new", 3)]);
    assert.match(told(world)[0] ?? "", /eno1 has 2gbit left/);
  });

  it("refuses a high priority that would cut another's reservation, and names the other", () => {
    const world = starting([
      reserve("a", 6, { home: "eno1", priority: "low" }),
      reserve("b", 6, { home: "eno2", priority: "low" }),
      reserve("new", 6, { priority: "high" }),
    ]);
    const [first] = told(world);
    assert.match(first ?? "", /^domain [ab] \(.*\) would keep 4gbit of its reservation of 6gbit$/);
  });

  it("doesn't blame a start for what was short before it, nor refuse what reserves nothing", () => {
    const full = [reserve("a", 12, { home: "eno1" }), reserve("b", 9, { home: "eno2" })];
    assert.deepEqual(told(starting([...full, reserve("new", 1)])), []);
    assert.deepEqual(told(starting([...full, reserve("new", 0)]), 1), []);
  });

  it("with survive 1 wants everything to fit with any one uplink lost", () => {
    const fits = starting([reserve("a", 5, { home: "eno1" }), reserve("new", 5)]);
    assert.deepEqual(told(fits, 1), []);
    const tooMuch = starting([reserve("a", 5, { home: "eno1" }), reserve("new", 6)]);
    assert.deepEqual(told(tooMuch, 0), []);
    assert.match(told(tooMuch, 1)[0] ?? "", /^with eno1 lost .*eno2 has/);
  });

  it("with survive 1 counts an uplink that is lost or drained now as the one", () => {
    const world = starting([reserve("a", 4, { home: "eno1" }), reserve("new", 5)]);
    for (const change of [{ carrier: false, bondUp: false, lostAtMs: 1 }, { drainedAtMs: NOW }])
      assert.deepEqual(told(withUplink(world, "eno2", change), 1), []);
  });

  it("judges by what is left while an uplink is lost", () => {
    const world = starting([reserve("a", 6, { home: "eno1" }), reserve("new", 6)]);
    const lost = withUplink(world, "eno2", { carrier: false, bondUp: false, lostAtMs: 1 });
    assert.deepEqual(told(world), []);
    assert.match(told(lost)[0] ?? "", /eno1 has 4gbit left of 10gbit$/);
  });

  it("refuses nobody for what isn't known: no usable uplink, a bond that can't be managed", () => {
    const world = starting([reserve("new", 20)]);
    const dark = { carrier: false, bondUp: false, lostAtMs: 1 };
    assert.deepEqual(told(withUplink(withUplink(world, "eno1", dark), "eno2", dark)), []);
    const unknown = { speedBitsPerSecond: null };
    assert.deepEqual(told(withUplink(withUplink(world, "eno1", unknown), "eno2", unknown), 1), []);
    const teams = world.teams.map((team) => ({ ...team, bond: null }));
    assert.deepEqual(told({ ...world, teams }, 1), []);
    assert.equal(told(world).length, 1);
  });
});

function hostReserving(gbit: number) {
  return {
    reservationBitsPerSecond: gbit * GBIT,
    limitBitsPerSecond: null,
    shares: 100,
    priority: "normal" as const,
  };
}
