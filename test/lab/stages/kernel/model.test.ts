// The model that the simulation trusts, against the real kernel: the same steps, the same refusals, the same objects.
import assert from "node:assert/strict";
import { LinuxKernel } from "../../../../src/daemon/linux-kernel.ts";
import type { NetlinkError } from "../../../../src/model/errors.ts";
import { type KernelObject, kernelKey } from "../../../../src/model/kernel.ts";
import { KernelModel } from "../../../simulation/kernel.ts";
import { BOND_IFINDEX, Links } from "../../../simulation/links.ts";
import { recordBatches, renumber, renumberStep } from "../../../simulation/record.ts";
import { resetToBare } from "../../bare.ts";
import { buildHost } from "../../host.ts";
import { itLong } from "../../long.ts";

const PORTS = ["nic0", "nic1"];
const TEAM = [{ bond: "bond0", ports: PORTS }];
/** Of hosts with two uplinks, one with stated speeds and one without. */
const SEEDS = [
  [it, 17],
  [itLong, 8],
] as const;
const EVENTS = 80;

describe("the simulation's model of the kernel", () => {
  let kernel: LinuxKernel;

  beforeEach(async () => {
    await resetToBare();
    await buildHost();
    kernel = await LinuxKernel.open({
      onLink: () => undefined,
      onTrafficControl: () => undefined,
      onReacted: () => undefined,
      onOverrun: () => undefined,
      onFailed: () => undefined,
    });
  });
  afterEach(() => kernel.close());

  for (const [declare, seed] of SEEDS) {
    declare(
      `does and refuses what the kernel does and refuses, through ${EVENTS} events of seed ${seed}`,
      async () => {
        const links = new Links(
          PORTS.map((name) => ({ name, txQueues: 1, speedBitsPerSecond: 10e9 })),
        );
        const model = new KernelModel(links);
        const real = new Map(kernel.readLinks().map((link) => [link.name, link.ifindex]));
        const numbers = new Map([
          [BOND_IFINDEX, real.get("bond0") ?? 0],
          ...links.ports.map(({ name, ifindex }) => [ifindex, real.get(name) ?? 0] as const),
        ]);
        const batches = await recordBatches(seed, EVENTS);
        let refusals = 0;
        for (const [index, batch] of batches.entries()) {
          const refused = await kernel.apply(batch.map((step) => renumberStep(step, numbers)));
          const expected = batch.flatMap((step) => model.applyStep(step) ?? []);
          const what = `batch ${index} of ${batches.length}: ${JSON.stringify(batch)}`;
          refusals += expected.length;
          assert.deepEqual(told(refused), told(expected), what);
          kernel.readLinks();
          const modelled = [...model.readKernel(TEAM).objects.values()];
          assert.deepEqual(
            byKey(kernel.readKernel(TEAM).objects.values()),
            byKey(modelled.map((object) => renumber(object, numbers))),
            what,
          );
        }
        assert.ok(batches.length >= EVENTS / 3, `${batches.length} batches are no comparison`);
        assert.ok(refusals > 0, "nothing was refused: the spoiled batches were too good");
      },
    );
  }
});

/** Handles and places in lists are the kernel's own affair; fields are not. */
function byKey(objects: Iterable<KernelObject>): Record<string, KernelObject> {
  return Object.fromEntries(
    [...objects]
      .map((object) => [kernelKey(object), object] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** In no order: what was refused because it is still in use is tried again at the end. */
function told(errors: readonly NetlinkError[]): string[] {
  return [...new Set(errors.map(({ object, errno }) => `${object}: errno ${errno}`))].sort();
}
