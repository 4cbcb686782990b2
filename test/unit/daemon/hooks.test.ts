import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { Domains } from "../../../src/daemon/domains.ts";
import { handleHook } from "../../../src/daemon/hooks.ts";
import { Registry } from "../../../src/daemon/registry.ts";
import type { LibvirtCall } from "../../../src/libvirt/connection.ts";
import { loadAll } from "../../../src/policy/load.ts";
import { fakeLog } from "./fake.ts";

const UUID = "00000000-0000-4000-8000-000000000001";
const XML = `<domain><name>web1</name><uuid>${UUID}</uuid></domain>`;

describe("libvirt's hook", () => {
  it("ends a domain that a daemon which has just started is still reading", async () => {
    const loaded = loadAll("/nonexistent");
    const registry = new Registry(loaded.config, loaded.policies);
    const { log } = fakeLog();
    const answers: (() => void)[] = [];
    const domains = new Domains({
      caller: {
        call: ({ member }: LibvirtCall) =>
          member === "ListDomains"
            ? Promise.resolve([[UUID]])
            : new Promise((resolve) =>
                answers.push(() => resolve(member === "GetXMLDesc" ? XML : [3, 2])),
              ),
      },
      registry,
      pauses: { noteResumed: async () => false, noteStopped: () => {}, settle: async () => {} },
      migrations: { noteStopped: () => {}, settle: async () => {} },
      log,
      now: () => 0,
      changed: () => {},
    });
    domains.handle({ type: "lifecycle", uuid: UUID, event: "suspended", detail: "migrated" });
    await handleHook(
      {
        registry,
        log,
        runDir: "/nonexistent",
        enforce: async () => {},
        disown: () => {},
        lookAgain: () => {},
        admissions: { admit: () => null, settle: () => {} },
      },
      { domain: "web1", operation: "stopped", subOperation: "end", extra: "-", xml: XML },
    );
    for (const answer of answers) answer();
    await turn();
    assert.deepEqual(registry.uuids(), []);
  });
});
