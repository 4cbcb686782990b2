import assert from "node:assert/strict";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, type DomainSpec, GBIT, type UplinkSpec, vnicOf } from "../world.ts";

const TWO: UplinkSpec[] = [{ name: "eno1" }, { name: "eno2" }];

function place(domains: readonly DomainSpec[], uplinks: readonly UplinkSpec[] = TWO) {
  const plan = planWorld(buildWorld({ uplinks, domains }));
  return (domain: string) => {
    const { home, via, reasons } = vnicOf(plan, domain);
    return { home, via, reasons: reasons.join("; ") };
  };
}

const reserving = (gbit: number) => ({
  bandwidth: { reservationBitsPerSecond: gbit * GBIT },
});

describe("placement", () => {
  it("takes the uplink where the reservation fits before the preferred one", () => {
    const at = place([
      { name: "a", vnics: [{ priority: "high", ...reserving(8), home: "eno1" }] },
      {
        name: "b",
        vnics: [{ ...reserving(5), placement: { prefer: ["eno1"] } }],
      },
    ]);
    assert.equal(at("b").home, "eno2");
    assert.match(at("b").reasons, /its reservation fits there/);
  });

  it("follows preferences in their order, labels too, before it keeps domains apart", () => {
    const at = place(
      [
        { name: "a", vnics: [{ home: "eno2" }] },
        { name: "b", vnics: [{ placement: { prefer: ["gone", "blue"], apart: ["a"] } }] },
      ],
      [{ name: "eno1" }, { name: "eno2", label: "blue" }],
    );
    assert.equal(at("b").home, "eno2");
  });

  it("keeps domains apart whichever of the two asks for it", () => {
    const asking = place([
      { name: "a", vnics: [{ home: "eno1" }] },
      { name: "b", vnics: [{ placement: { apart: ["a"] }, home: "eno1" }] },
    ]);
    assert.equal(asking("b").home, "eno2");
    const asked = place([
      { name: "a", vnics: [{ placement: { apart: ["b"] }, home: "eno1" }] },
      { name: "b", vnics: [{ home: "eno1" }] },
    ]);
    assert.equal(asked("b").home, "eno2");
  });

  it("stays where it is rather than go to an emptier uplink", () => {
    const at = place([
      { name: "a", vnics: [{ demand: 5 * GBIT, home: "eno1" }] },
      { name: "b", vnics: [{ demand: 1 * GBIT, home: "eno1" }] },
    ]);
    assert.equal(at("b").home, "eno1");
    assert.match(at("b").reasons, /it is there already/);
  });

  it("puts high priorities off the active port, and others where least is used", () => {
    const at = place([
      { name: "a", vnics: [{ priority: "critical" }] },
      { name: "b", vnics: [{ demand: 1 * GBIT }] },
    ]);
    assert.equal(at("a").home, "eno2");
    assert.match(at("a").reasons, /off the bond's active port/);
    assert.equal(at("b").home, "eno1");
  });

  it("weighs use by speed", () => {
    const at = place(
      [
        { name: "a", vnics: [{ demand: 2 * GBIT, home: "eno1" }] },
        { name: "b", vnics: [{ demand: 1 * GBIT, home: "eno2" }] },
        { name: "c", vnics: [{ demand: 1 * GBIT }] },
      ],
      [{ name: "eno1", speedBitsPerSecond: 25 * GBIT }, { name: "eno2" }],
    );
    assert.equal(at("c").home, "eno1");
  });

  it("sees the load of those that are there although their turn comes later", () => {
    const at = place([
      { name: "new", vnics: [{}] },
      { name: "old", vnics: [{ demand: 5 * GBIT, home: "eno1" }] },
    ]);
    assert.equal(at("new").home, "eno2");
  });

  it("spreads vNICs of which nothing is known", () => {
    const at = place([
      { name: "a", vnics: [{}] },
      { name: "b", vnics: [{}] },
    ]);
    assert.deepEqual([at("a").home, at("b").home], ["eno1", "eno2"]);
  });

  it("carries what lost its uplink by another, and keeps its home", () => {
    const at = place(
      [
        { name: "a", vnics: [{ home: "eno1" }] },
        { name: "b", vnics: [{ home: "eno2" }] },
      ],
      [{ name: "eno1", carrier: false }, { name: "eno2" }],
    );
    assert.deepEqual([at("a").home, at("a").via], ["eno1", "eno2"]);
    assert.match(at("a").reasons, /home eno1: no carrier; carried by eno2/);
    assert.equal(at("b").via, "eno2");
  });

  it("has no uplink for anybody when all are lost, and no complaint about it", () => {
    const at = place(
      [{ name: "a", vnics: [{ home: "eno2" }] }],
      TWO.map((uplink) => ({ ...uplink, carrier: false })),
    );
    assert.deepEqual([at("a").home, at("a").via], ["eno2", null]);
  });
});
