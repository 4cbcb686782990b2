import assert from "node:assert/strict";
import { resetToBare } from "../../bare.ts";
import { LabFault } from "../../fault.ts";
import { activePort, buildHost } from "../../host.ts";
import { measurePulls, median } from "../../loss.ts";
import { addStandin } from "../../standin.ts";
import { outside } from "../../switch.ts";

describe("kernel bonding alone, which is what we are measured against", () => {
  beforeEach(resetToBare);

  it("loses more than 20 frames a pull of the active port's cable", async () => {
    await buildHost();
    const guest = addStandin({ number: 1 });
    const report = await measurePulls({
      a: guest,
      b: outside,
      cable: () => (activePort() === "nic0" ? 0 : 1),
    });
    const words = report.pulls.map(({ there, back }) => `${there}/${back}`).join(" ");
    console.log(`      frames lost by each pull, there/back: ${words}`);
    const lost = median(report.pulls.map(({ there, back }) => Math.max(there, back)));
    if (lost <= 20) throw new LabFault(`a pull costs plain bonding ${lost} frames only`);
    assert.equal(report.whole.there.duplicates, 0);
  });
});
