import assert from "node:assert/strict";
import { narratePlan } from "../../../src/daemon/story.ts";
import type { Plan } from "../../../src/model/plan.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, NOW, withUplink } from "../world.ts";
import { fakeLog } from "./fake.ts";

const world = buildWorld({
  uplinks: [{ name: "eno1" }, { name: "eno2" }],
  domains: [{ name: "web1", vnics: [{ home: "eno1" }] }],
});
const whole = planWorld(world);
const lost = planWorld(withUplink(world, "eno1", { carrier: false, bondUp: false, lostAtMs: NOW }));

function tell(before: Plan | null, after: Plan): string[] {
  const { log, lines } = fakeLog();
  narratePlan(log, before, after);
  return lines;
}

describe("the story of a failover", () => {
  it("is told once: the same plan again says nothing", () => {
    assert.notEqual(tell(null, whole).length, 0);
    assert.deepEqual(tell(whole, whole), []);
  });

  it("says that a team is degraded, by which uplink, and where each vNIC goes", () => {
    const lines = tell(whole, lost);
    assert.match(lines[0] ?? "", /^<4>team-degraded: team bond0 is degraded: .*eno1/);
    assert.match(lines[1] ?? "", /^<6>vnic-moved: domain web1 .* goes by eno2 in 7570:10 with /);
    assert.match(tell(lost, whole)[0] ?? "", /^<5>team-ok/);
  });

  it("says who is gone", () => {
    const empty = planWorld({ ...world, domains: [] });
    assert.match(tell(whole, empty).join("\n"), /vnic-gone: domain web1 .* is gone/);
  });

  it("tells a conflict when it comes and when it goes, also of a team that is in the same condition", () => {
    const conflict = {
      device: "eno2",
      found: "root qdisc fq 1:",
      message: "eno2 has fq",
      remedy: "look",
      blocking: true,
    };
    const contested: Plan = {
      ...whole,
      teams: whole.teams.map((team) => ({ ...team, conflicts: [conflict] })),
    };
    assert.deepEqual(tell(whole, contested), ["<4>conflict: eno2: eno2 has fq; look"]);
    assert.deepEqual(tell(contested, contested), []);
    assert.deepEqual(tell(contested, whole), ["<5>conflict-gone: eno2: root qdisc fq 1: is gone"]);
  });

  it("tells a problem once", () => {
    const problem = { object: "domain web2", message: "not shaped", remedy: "", blocking: true };
    const troubled: Plan = { ...whole, problems: [problem] };
    assert.deepEqual(tell(whole, troubled), ["<5>problem: domain web2: not shaped"]);
    assert.deepEqual(tell(troubled, troubled), []);
  });
});
