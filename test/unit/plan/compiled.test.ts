import assert from "node:assert/strict";
import fc from "fast-check";
import { compileSteps } from "../../../src/apply/kernel.ts";
import { diffKernel } from "../../../src/diff/diff.ts";
import type { KernelMap } from "../../../src/model/kernel.ts";
import type { World } from "../../../src/model/world.ts";
import { applied, planLosses } from "../../../src/plan/loss.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { worlds } from "./arbitrary.ts";

/** Every device has its number, as the kernel's link dump would say. */
const ifindexOf = (device: string) =>
  [...device].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7) % 60_000;

/** What the daemon reads when it looks after the loss, a few milliseconds later and without knowing of any plan. */
function lookAfterLoss(world: World, lost: string, bondKnows: boolean): World {
  const nowMs = world.nowMs + 3;
  return {
    ...world,
    nowMs,
    teams: world.teams.map((team) => ({
      ...team,
      uplinks: team.uplinks.map((uplink) =>
        uplink.name === lost
          ? { ...uplink, carrier: false, bondUp: !bondKnows, lostAtMs: nowMs, returnedAtMs: null }
          : uplink,
      ),
    })),
    domains: world.domains.map((domain) => ({
      ...domain,
      vnics: domain.vnics.map((vnic) => ({
        ...vnic,
        latchedDemandBitsPerSecond: vnic.latchedDemandBitsPerSecond ?? vnic.demandBitsPerSecond,
      })),
    })),
  };
}

const bytesOf = (present: KernelMap, desired: KernelMap) => {
  const { chunks, objects } = compileSteps(diffKernel(present, desired), ifindexOf);
  return { hex: chunks.map((chunk) => Buffer.from(chunk).toString("hex")), objects };
};

describe("the messages that are compiled for a loss", () => {
  it("are byte for byte what a fresh plan would send once it has happened", () => {
    let compared = 0;
    fc.assert(
      fc.property(worlds(), fc.boolean(), (world, bondKnows) => {
        const plan = planWorld(world);
        const standing = applied(world, plan);
        for (const loss of planLosses(world, plan).losses) {
          const compiled = bytesOf(plan.kernel, loss.plan.kernel);
          const fresh = planWorld(lookAfterLoss(standing, loss.uplink, bondKnows));
          assert.deepEqual(bytesOf(plan.kernel, fresh.kernel), compiled);
          compared += compiled.hex.length;
        }
      }),
      { numRuns: 100 },
    );
    assert.ok(compared > 100, `${compared} batches were compared`);
  });
});
