import assert from "node:assert/strict";
import { Registry } from "../../../src/daemon/registry.ts";
import type { DomainDefinition } from "../../../src/model/domain.ts";
import { buildConfig } from "../../../src/policy/config.ts";
import { macOf } from "../world.ts";
import { NOTHING_DONE } from "./fake.ts";

describe("the registry of domains", () => {
  it("knows whose a domain is by its metadata, else by the patterns of the configuration", () => {
    const config = buildConfig([
      {
        owners: [
          { domain: "ha-*", manager: "pacemaker" },
          { domain: "*", manager: "somebody" },
        ],
      },
    ]);
    const registry = new Registry(config, new Map());
    const put = (name: string, owner: string | null) =>
      registry.put(
        {
          name,
          uuid: name,
          vnics: [],
          annotation: null,
          owner,
          problems: [],
        } satisfies DomainDefinition,
        "running",
      );
    put("ha-db", null);
    put("ha-web", "nova");
    put("other", null);
    const owners = () => registry.list(NOTHING_DONE).map(({ definition }) => definition.owner);
    assert.deepEqual(owners(), ["pacemaker", "nova", "somebody"]);
    registry.reload(buildConfig([]), new Map());
    assert.deepEqual(owners(), [null, "nova", null]);
  });

  it("takes so many vNICs of a domain and no more", () => {
    const registry = new Registry(buildConfig([]), new Map());
    const vnics = Array.from({ length: 100 }, (_, index) => ({
      mac: macOf(index),
      attachment: { kind: "bridge", bridge: "br0" } as const,
      vlanIds: [0],
      tap: null,
      libvirtLimitBitsPerSecond: null,
      hasLibvirtBandwidth: false,
    }));
    const wild = { name: "wild", uuid: "u", vnics, annotation: null, owner: null, problems: [] };
    registry.put(wild satisfies DomainDefinition, "running");
    assert.equal(registry.list(NOTHING_DONE)[0]?.definition.vnics.length, 64);
  });
});
