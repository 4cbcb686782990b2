import assert from "node:assert/strict";
import type { EnablePart } from "../../../src/control/api.ts";
import { enablePart } from "../../../src/daemon/enabling.ts";
import type { Mode, Run } from "../../../src/daemon/loop.ts";
import { ConflictError } from "../../../src/model/errors.ts";
import { type Scope, WHOLE_HOST } from "../../../src/model/scope.ts";
import { buildWorld } from "../world.ts";

describe("enabling", () => {
  const world = buildWorld({
    uplinks: [{ name: "eno1" }, { name: "eno2" }],
    domains: [{ name: "web1", vnics: [{}] }],
  });
  let mode: Mode;
  let scope: Scope;
  let begun: number[];
  let hasFlag: boolean;

  beforeEach(() => {
    mode = "observing";
    scope = WHOLE_HOST;
    begun = [];
    hasFlag = false;
  });

  const enable = (part: EnablePart, confirmWithinMs: number | null = null) =>
    enablePart(
      {
        loop: {
          drift: [],
          get mode() {
            return mode;
          },
          get scope() {
            return scope;
          },
          imagine: () => world,
          enable: async (wanted = WHOLE_HOST) => {
            scope = wanted;
            mode = hasFlag ? "observing" : "enforcing";
            return {} as Run;
          },
        },
        confirmation: {
          dueMs: null,
          begin: (withinMs) => void begun.push(withinMs),
          confirm: () => false,
        },
        flagFile: "/etc/uplinkd/disabled",
      },
      confirmWithinMs,
      part,
    );

  const web1: EnablePart = { kind: "domain", domain: "web1" };

  it("remembers the teams of a canary, and can be asked for the same again", async () => {
    const expected = { kind: "domain", domain: "web1", teams: ["bond0"] };
    assert.deepEqual((await enable(web1)).scope, expected);
    assert.deepEqual((await enable(web1)).scope, expected);
  });

  it("goes from a part to the whole, on probation again, but to another part only by a release", async () => {
    await enable(web1, 5000);
    await enable(web1, 5000);
    assert.deepEqual(begun, [5000], "what is in force is not put at risk");
    await assert.rejects(
      enable({ kind: "team", team: "bond0" }),
      (error) => error instanceof ConflictError && /domain web1.*release/.test(error.message),
    );
    await enable({ kind: "host" }, 7000);
    assert.deepEqual(begun, [5000, 7000]);
    await assert.rejects(enable(web1), ConflictError);
  });

  it("refuses a canary that can't be shaped", async () => {
    await assert.rejects(enable({ kind: "domain", domain: "db1" }), /no vNIC that can be shaped/);
    assert.equal(mode, "observing");
  });

  it("says that the flag file keeps everything off", async () => {
    hasFlag = true;
    const { problems, mode: now } = await enable({ kind: "host" });
    assert.equal(now, "observing");
    assert.match(problems[0]?.message ?? "", /\/etc\/uplinkd\/disabled exists/);
  });
});
