import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { Domains } from "../../../src/daemon/domains.ts";
import { Registry } from "../../../src/daemon/registry.ts";
import type { LibvirtCall } from "../../../src/libvirt/connection.ts";
import { loadAll } from "../../../src/policy/load.ts";
import { fakeLog } from "./fake.ts";

const UUID = "00000000-0000-4000-8000-000000000001";
const XML = `<domain><name>web1</name><uuid>${UUID}</uuid></domain>`;

describe("what libvirt says of domains", () => {
  it("doesn't bring one back that has ended while it was read", async () => {
    const loaded = loadAll("/nonexistent");
    const registry = new Registry(loaded.config, loaded.policies);
    const answers: (() => void)[] = [];
    const domains = new Domains({
      caller: {
        call: ({ member }: LibvirtCall) =>
          new Promise((resolve) =>
            answers.push(() => resolve(member === "GetXMLDesc" ? XML : [3, 2])),
          ),
      },
      registry,
      pauses: { noteResumed: async () => false, noteStopped: () => {}, settle: async () => {} },
      migrations: { noteStopped: () => {}, settle: async () => {} },
      log: fakeLog().log,
      now: () => 0,
      changed: () => {},
    });
    const suspended = { type: "lifecycle", event: "suspended", detail: "migrated" } as const;
    domains.handle({ ...suspended, uuid: UUID });
    // The hook's word on its end comes while libvirt's answers are on their way.
    registry.remove(UUID);
    for (const answer of answers) answer();
    await turn();
    assert.deepEqual(registry.uuids(), []);
    answers.length = 0;
    domains.handle({ ...suspended, uuid: UUID });
    for (const answer of answers) answer();
    await turn();
    assert.deepEqual(registry.uuids(), [UUID], "what is read afterwards counts");
  });
});
