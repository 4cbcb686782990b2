import assert from "node:assert/strict";
import { refuseNewerLayout } from "../../../src/daemon/layout.ts";
import { StateError } from "../../../src/model/errors.ts";
import { type KernelObject, kernelKey } from "../../../src/model/kernel.ts";
import { LAYOUT } from "../../../src/model/layout.ts";
import { buildConfig } from "../../../src/policy/config.ts";
import { FakeKernel } from "./fake.ts";

describe("the layout of what stands in the kernel", () => {
  const check = (handle: number, priority = 7570) => {
    const kernel = new FakeKernel();
    const found: KernelObject = {
      kind: "unknown-filter",
      ...{ device: "bond0", hook: "egress", priority, protocol: 3, handle, filterKind: "matchall" },
    };
    kernel.objects.set(kernelKey(found), found);
    refuseNewerLayout(kernel, buildConfig([]));
    assert.deepEqual(kernel.applied, [], "it only looks");
  };

  it("is refused where a newer version has made it, and says what to do", () => {
    assert.throws(
      () => check(LAYOUT + 1),
      (error: unknown) => {
        assert.ok(error instanceof StateError);
        assert.equal(error.object, "bond0");
        assert.match(error.message, /layout 3 of a newer uplinkd, this one knows 2.*release\.sh/s);
        return true;
      },
    );
  });

  it("is taken over where it is older, or of another form", () => {
    check(LAYOUT);
    check(0);
    check(LAYOUT + 1, 7580);
  });
});
