import assert from "node:assert/strict";
import fc from "fast-check";
import type { Cap, Config } from "../../../src/model/config.ts";
import type { DomainDefinition, VnicDefinition } from "../../../src/model/domain.ts";
import type { Mac } from "../../../src/model/mac.ts";
import {
  FAILOVER_ACTIONS,
  FALLBACK_POLICY,
  type NetworkWish,
  PRIORITIES,
} from "../../../src/model/policy.ts";
import { matchesGlob, matchPolicies } from "../../../src/policy/match.ts";

const mac = "52:54:00:00:00:01" as Mac;
const lenient: Pick<Config, "annotations" | "caps"> = { annotations: "lenient", caps: [] };
const policies = new Map<string, NetworkWish>([
  ["default", { bandwidth: { shares: 50 } }],
  [
    "gold",
    { priority: "high", bandwidth: { reservationBitsPerSecond: 500e6, limitBitsPerSecond: 2e9 } },
  ],
  ["bronze", { priority: "low", failover: { action: "pause" } }],
]);

function vnic(libvirtLimitBitsPerSecond: number | null = null): VnicDefinition {
  return {
    mac,
    attachment: { kind: "bridge", bridge: "br0" },
    vlanIds: [0],
    tap: null,
    libvirtLimitBitsPerSecond,
    hasLibvirtBandwidth: libvirtLimitBitsPerSecond !== null,
  };
}

function domain(
  forDomain: NetworkWish | null,
  forInterface: NetworkWish | null = null,
  more: Partial<DomainDefinition> = {},
): DomainDefinition {
  const annotation =
    forDomain === null && forInterface === null
      ? null
      : {
          domain: forDomain ?? {},
          interfaces: new Map(forInterface === null ? [] : [[mac, forInterface]]),
        };
  return {
    name: "web1",
    uuid: "u",
    vnics: [vnic()],
    annotation,
    owner: null,
    problems: [],
    ...more,
  };
}

function match(definition: DomainDefinition, config: Partial<typeof lenient> = {}) {
  const {
    policies: all,
    problems,
    refusal,
  } = matchPolicies(definition, policies, {
    ...lenient,
    ...config,
  });
  const policy = all.get(mac);
  assert.ok(policy !== undefined);
  return { policy, messages: problems.map((problem) => problem.message), problems, refusal };
}

function cap(more: Partial<Cap>): Cap {
  return {
    domain: "*",
    maxPriority: "critical",
    maxReservationBitsPerSecond: null,
    actions: FAILOVER_ACTIONS,
    ...more,
  };
}

describe("a vNIC's policy", () => {
  it("is the default without an annotation, over the fallback", () => {
    const { policy, messages } = match(domain(null));
    assert.deepEqual(policy, {
      ...FALLBACK_POLICY,
      bandwidth: { ...FALLBACK_POLICY.bandwidth, shares: 50 },
    });
    assert.deepEqual(messages, []);
  });

  it("is the fallback where there is no default policy, which is no problem", () => {
    const { policies: found, problems } = matchPolicies(domain(null), new Map(), lenient);
    assert.deepEqual([found.get(mac), problems], [FALLBACK_POLICY, []]);
  });

  it("takes from the named policy what the annotation leaves out, and nothing from default", () => {
    const { policy } = match(domain({ policy: "gold", bandwidth: { limitBitsPerSecond: 1e9 } }));
    assert.equal(policy.policy, "gold");
    assert.equal(policy.priority, "high");
    assert.deepEqual(policy.bandwidth, {
      reservationBitsPerSecond: 500e6,
      limitBitsPerSecond: 1e9,
      shares: 100,
      burstBytes: null,
    });
  });

  it("takes an interface's values before the domain's", () => {
    const { policy } = match(
      domain(
        { policy: "gold", priority: "normal", placement: { apart: ["web2"] } },
        { policy: "bronze", priority: "critical" },
      ),
    );
    assert.equal(policy.policy, "bronze");
    assert.equal(policy.priority, "critical");
    assert.equal(policy.bandwidth.reservationBitsPerSecond, 0);
    assert.deepEqual(policy.placement.apart, ["web2"]);
  });

  it("has libvirt's limit where the annotation gives none, even before the policy's", () => {
    const vnics = [vnic(800e6)];
    const limit = (definition: DomainDefinition) =>
      match(definition).policy.bandwidth.limitBitsPerSecond;
    assert.equal(limit(domain({ policy: "gold" }, null, { vnics })), 800e6);
    assert.equal(limit(domain({ bandwidth: { limitBitsPerSecond: 5e9 } }, null, { vnics })), 5e9);
    assert.equal(limit(domain(null, { bandwidth: { limitBitsPerSecond: 6e9 } }, { vnics })), 6e9);
  });

  it("never reserves more than its limit, and says so", () => {
    const { policy, messages } = match(
      domain({ policy: "gold", bandwidth: { limitBitsPerSecond: 100e6 } }),
    );
    assert.equal(policy.bandwidth.reservationBitsPerSecond, 100e6);
    assert.deepEqual(messages, [
      `vNIC ${mac}: reservation 500mbit is above the limit 100mbit, which holds`,
    ]);
  });

  it("is the default for a policy that nobody knows, which is said once for all vNICs", () => {
    const other = { ...vnic(), mac: "52:54:00:00:00:02" as Mac };
    const { policy, problems } = match(
      domain({ policy: "glod", priority: "low" }, null, { vnics: [vnic(), other] }),
    );
    assert.deepEqual(
      [policy.policy, policy.bandwidth.shares, policy.priority],
      ["default", 50, "low"],
    );
    assert.deepEqual(problems, [
      {
        object: "domain web1",
        message: "there is no policy 'glod'; it has 'default'",
        remedy: "known policies: bronze, default, gold",
      },
    ]);
  });
});

describe("a cap", () => {
  it("bounds priority, reservation and action, named policies' too, and says so", () => {
    const { policy, messages } = match(
      domain({ policy: "gold", failover: { action: "migrate", destinations: ["x"] } }),
      {
        caps: [
          cap({ domain: "db-*", maxPriority: "low" }),
          cap({
            domain: "web*",
            maxPriority: "normal",
            maxReservationBitsPerSecond: 50e6,
            actions: ["discard"],
          }),
          cap({ maxPriority: "low" }),
        ],
      },
    );
    assert.equal(policy.priority, "normal");
    assert.equal(policy.bandwidth.reservationBitsPerSecond, 50e6);
    assert.equal(policy.failover.action, "discard");
    assert.deepEqual(messages, [
      "priority high is above the cap for 'web*'; it has normal",
      "reservation 500mbit is above the cap for 'web*'; it has 50mbit",
      "failover action migrate is not among the cap for 'web*'; it has discard",
    ]);
  });

  it("can't forbid throttling, the mildest", () => {
    const { policy } = match(domain({ policy: "bronze" }), { caps: [cap({ actions: [] })] });
    assert.equal(policy.failover.action, "throttle");
  });

  it("is never exceeded, whatever the annotation asks for", () => {
    const wish = fc.record(
      {
        policy: fc.constantFrom("gold", "bronze", "none"),
        priority: fc.constantFrom(...PRIORITIES),
        bandwidth: fc.record(
          {
            reservationBitsPerSecond: fc.integer({ min: 0, max: 1e9 }),
            limitBitsPerSecond: fc.integer({ min: 1, max: 1e9 }),
          },
          { requiredKeys: [] },
        ),
        failover: fc.record({ action: fc.constantFrom(...FAILOVER_ACTIONS) }, { requiredKeys: [] }),
      },
      { requiredKeys: [] },
    );
    const bound = cap({
      maxPriority: "normal",
      maxReservationBitsPerSecond: 20e6,
      actions: ["throttle", "pause"],
    });
    fc.assert(
      fc.property(wish, wish, (forDomain, forInterface) => {
        const { policy } = match(domain(forDomain, forInterface), { caps: [bound] });
        assert.ok(["normal", "low"].includes(policy.priority));
        assert.ok(policy.bandwidth.reservationBitsPerSecond <= 20e6);
        assert.ok(
          policy.bandwidth.reservationBitsPerSecond <=
            (policy.bandwidth.limitBitsPerSecond ?? Number.POSITIVE_INFINITY),
        );
        assert.ok(["throttle", "pause"].includes(policy.failover.action));
      }),
    );
  });
});

describe("annotations: strict", () => {
  const problem = { object: "domain web1", message: "3:5: bad", remedy: "" };

  it("refuses a domain with any problem, its annotation's own included", () => {
    const strict = { annotations: "strict" } as const;
    assert.equal(
      match(domain({}, null, { problems: [problem] }), strict).refusal,
      "domain web1: 3:5: bad (annotations: strict)",
    );
    assert.match(match(domain({ policy: "nope" }), strict).refusal ?? "", /no policy 'nope'/);
    assert.equal(match(domain({ policy: "gold" }), strict).refusal, null);
  });

  it("is not the default: a wrong annotation never stops a VM", () => {
    const { refusal, problems } = match(domain({}, null, { problems: [problem] }));
    assert.deepEqual([refusal, problems], [null, [problem]]);
  });
});

describe("a domain pattern", () => {
  it("knows * and ? and nothing else", () => {
    assert.ok(matchesGlob("web-*", "web-1"));
    assert.ok(matchesGlob("*-db-?", "a-db-b-db-7"));
    assert.ok(!matchesGlob("web-?", "web-10"));
    assert.ok(!matchesGlob("web.*", "web-1"));
    assert.ok(matchesGlob("*", ""));
    assert.ok(!matchesGlob("", "x"));
  });

  it("matches as the regular expression that it stands for", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 8 });
    const names = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 10 });
    fc.assert(
      fc.property(letters, names, (pattern, name) => {
        const expression = pattern.replaceAll("*", ".*").replaceAll("?", ".");
        assert.equal(matchesGlob(pattern, name), new RegExp(`^${expression}$`).test(name));
      }),
      { numRuns: 1000 },
    );
  });

  it("does not take for ever on a pattern made for it", () => {
    const startedAtMs = performance.now();
    assert.ok(!matchesGlob(`${"*a".repeat(40)}b`, "a".repeat(2000)));
    assert.ok(performance.now() - startedAtMs < 500);
  });
});
