import assert from "node:assert/strict";
import fc from "fast-check";
import { MAX_HOST_MATCHES } from "../../../src/model/filter-priority.ts";
import type { UnknownFilter } from "../../../src/model/kernel.ts";
import { LAYOUT } from "../../../src/model/layout.ts";
import type { Mac } from "../../../src/model/mac.ts";
import { formatPrefix, type Prefix, parsePrefix } from "../../../src/model/prefix.ts";
import { parseSharedActions } from "../../../src/netlink/action.ts";
import { parseClass } from "../../../src/netlink/class.ts";
import { type Filter, parseFilter, setFilterMessage } from "../../../src/netlink/filter.ts";
import { type FilterObject, filtersOf, isOurPlace } from "../../../src/netlink/filter-object.ts";
import { objectsOf } from "../../../src/netlink/found-filter.ts";
import { parseLink } from "../../../src/netlink/link.ts";
import { parseMessages } from "../../../src/netlink/message.ts";
import { parseQdisc } from "../../../src/netlink/qdisc.ts";
import { messageOf, messageOfBytes, survives } from "./fixture.ts";
import { ACTIONS, CLASSES, FILTERS, LINKS, QDISCS, REQUESTS } from "./golden.ts";

const NIC0 = 2;
const BOND0 = 6;
const MAC = "52:54:00:00:00:01" as Mac;
const ACTION = 0x70000011;

const CATCH_ALL = { kind: "catch-all", device: "bond0", minor: 0xfff0, queueId: 0 } as const;
const VNIC = {
  kind: "vnic",
  steering: "queue",
  device: "bond0",
  mac: MAC,
  handle: 1,
  minor: 0x11,
  actionIndex: ACTION,
} as const;
/** The same, believed only by its tap. */
const HELD = { ...VNIC, from: "vnet0" } as const;
const REPORTS = { kind: "reports", device: "bond0", copyTo: [NIC0, 4] } as const;
const REFLECTION = { kind: "reflection", device: "nic0", mac: MAC, handle: 1 } as const;
const REDIRECT = { ...REFLECTION, kind: "redirect", toIfindex: BOND0 } as const;

describe("filters", () => {
  it("mean what tc's own commands mean", () => {
    for (const [object, hex, ifindex] of [
      [CATCH_ALL, REQUESTS.catchAll, BOND0],
      [REFLECTION, REQUESTS.reflection, NIC0],
      [REDIRECT, REQUESTS.redirect, NIC0],
    ] as const) {
      // A request may leave the handle to the kernel: matchall's is then 1.
      assert.deepEqual(meaningOf(hex), { ...filtersOf(object, ifindex)[0], handle: 0 });
    }
    const [igmp, mld] = filtersOf(REPORTS, BOND0);
    for (const [filter, hex] of [
      [filtersOf(VNIC, BOND0)[0], REQUESTS.vnic],
      [igmp, REQUESTS.reportsIgmp],
      [mld, REQUESTS.reportsMld],
    ] as const) {
      // These were made with actions, and in the place, of an earlier design; what they match is the same.
      const { actions, chain, handle, priority } = meaningOf(hex);
      assert.deepEqual(meaningOf(hex), { ...filter, actions, chain, handle, priority });
    }
  });

  it("are recognised in a dump of the kernel", () => {
    const filters = FILTERS.map((hex) => parseFilter(messageOf(hex))).filter((f) => f !== null);
    // These were made by tc, which leaves the nodes' numbers of u32 to the kernel: 800 and 801; and matchall's, which is 1.
    const numbered = filters.map((f) => {
      if (f.match.kind === "u32") return { ...f, handle: f.handle - 0x7ff };
      return f.match.kind === "matchall" ? { ...f, handle: LAYOUT } : f;
    });
    const objects = objectsOf(numbered, "bond0");
    const earlier = objects.filter((object) => object.kind === "unknown-filter");
    const priorities = earlier.map(({ priority }) => priority).sort();
    assert.deepEqual(priorities, [7571, 7572], "an earlier design's filters are mended");
    assert.deepEqual(new Set(objects), new Set([CATCH_ALL, ...earlier]));
    assert.equal(
      objectsOf(filters, "bond0").find((o) => o.kind === "reports"),
      undefined,
    );
  });

  it("come back from their own requests, whatever the fields", () => {
    fc.assert(
      fc.property(filterObject, (object) => {
        const filters = filtersOf(object, NIC0).map((f) =>
          parseFilter(messageOfBytes(setFilterMessage(f))),
        );
        assert.ok(filters.every((f) => f !== null && isOurPlace(f)));
        assert.deepEqual(objectsOf(filters as Filter[], object.device), [object]);
      }),
    );
  });

  it("of any other shape at our priorities are unknown, and can be deleted as such", () => {
    const [filter] = filtersOf(VNIC, BOND0);
    assert.ok(filter !== undefined);
    const unknown: UnknownFilter = {
      kind: "unknown-filter",
      device: "bond0",
      hook: "egress",
      priority: 7568,
      protocol: 3,
      handle: 1,
      filterKind: "flower",
    };
    const foreign: Filter[] = [
      { ...filter, actions: [] },
      { ...filter, actions: filter.actions.toReversed() },
      { ...filter, actions: [...filter.actions, { kind: "gact", control: 2 }] },
      { ...filter, protocol: 0x0800 },
      { ...filter, match: { kind: "other", classifier: "flower" }, actions: [] },
    ];
    for (const one of foreign) {
      assert.deepEqual(objectsOf([one], "bond0"), [{ ...unknown, protocol: one.protocol }]);
    }
    const bpf: Filter = { ...filter, match: { kind: "other", classifier: "bpf" }, actions: [] };
    assert.deepEqual(objectsOf([bpf], "bond0"), [{ ...unknown, handle: 0, filterKind: "bpf" }]);
  });

  it("of an interface that is gone are known as such, and can be deleted", () => {
    for (const kind of ["passed-on", "forged"] as const) {
      const gone = { kind, device: "bond0", from: null, handle: 30, drops: true } as const;
      assert.deepEqual(readBack(filtersOf(gone, BOND0)), [gone]);
    }
  });

  it("of a vNIC's own tap that is gone are known as such", () => {
    assert.deepEqual(readBack(filtersOf({ ...HELD, from: "" }, BOND0)), [{ ...HELD, from: "" }]);
  });

  it("of a vNIC that don't belong together are one object that no plan has, mended in its place", () => {
    const [sender, leading] = filtersOf(HELD, BOND0);
    const [plain] = filtersOf(VNIC, BOND0);
    assert.ok(sender !== undefined && leading !== undefined && plain !== undefined);
    // Whichever of the two somebody took away, and one that was changed half way.
    for (const filters of [[sender], [leading], [sender, plain]]) {
      const [object, ...more] = objectsOf(filters, "bond0");
      assert.deepEqual(more, []);
      assert.ok(object?.kind === "vnic" && object.from === "" && object.handle === VNIC.handle);
    }
    const forOther = { ...sender, handle: 9 };
    const kinds = objectsOf([forOther, sender, leading], "bond0").map(({ kind }) => kind);
    assert.deepEqual(kinds, ["vnic", "unknown-filter"]);
  });

  it("for a MAC that has one already are unknown: they would hide behind its key", () => {
    const [first, second] = [VNIC, { ...VNIC, handle: 9 }].flatMap((o) => filtersOf(o, BOND0));
    assert.ok(first !== undefined && second !== undefined);
    assert.deepEqual(
      objectsOf([first, second], "bond0").map((o) => o.kind),
      ["vnic", "unknown-filter"],
    );
  });

  it("of which a node is missing or too many are unknown as a whole", () => {
    const [igmp, mld] = filtersOf(REPORTS, BOND0);
    assert.ok(igmp !== undefined && mld !== undefined);
    for (const filters of [[igmp], [igmp, mld, { ...mld, handle: 3 }], [mld, igmp, igmp]]) {
      const [object] = objectsOf(filters, "bond0");
      assert.equal(object?.kind, "unknown-filter");
      assert.equal(object?.kind === "unknown-filter" && object.handle, 0);
    }
  });
});

function readBack(filters: readonly Filter[]) {
  const found = filters.map((f) => parseFilter(messageOfBytes(setFilterMessage(f))));
  return objectsOf(found as Filter[], "bond0");
}

describe("decoders", () => {
  it("throw nothing but NetlinkError, whatever is done to the kernel's bytes", () => {
    const golden = [...LINKS, ...QDISCS, ...CLASSES, ...FILTERS, ...ACTIONS];
    const changes = fc.array(fc.tuple(fc.nat(1600), fc.nat(255)), { maxLength: 12 });
    fc.assert(
      fc.property(fc.constantFrom(...golden), changes, fc.nat(1600), (hex, edits, cut) => {
        const bytes = Uint8Array.from(Buffer.from(hex, "hex"));
        for (const [at, value] of edits) bytes[16 + (at % (bytes.length - 16))] = value;
        const body = bytes.subarray(16, Math.max(16, bytes.length - (cut % 64)));
        for (const type of [16, 17, 36, 40, 44, 48, 50]) {
          const message = { type, flags: 0, sequence: 1, portId: 0, body };
          survives(() => parseLink(message));
          survives(() => parseQdisc(message));
          survives(() => parseClass(message));
          survives(() =>
            objectsOf(
              [parseFilter(message)].filter((f) => f !== null),
              "x",
            ),
          );
          survives(() => parseSharedActions(message));
        }
        survives(() => [...parseMessages(bytes)]);
      }),
      { numRuns: 3000 },
    );
  });
});

const mac = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((b) => Array.from(b, (x) => x.toString(16).padStart(2, "0")).join(":") as Mac);
const minor = fc.integer({ min: 1, max: 0xffff });
const handle = fc.integer({ min: 1, max: 0x7fffffff });
const device = fc.constant("nic0");
const plain = { noNullPrototype: true } as const;
const port = fc.integer({ min: 1, max: 65_534 });
const ports = fc.oneof(
  fc.constant(null),
  port.map(String),
  port.map((first) => `${first}-${first + 1}`),
);
const prefixOf = (family: 4 | 6) =>
  fc.option(
    fc
      .tuple(
        fc.uint8Array({ minLength: family === 4 ? 4 : 16, maxLength: family === 4 ? 4 : 16 }),
        fc.integer({ min: 1, max: family === 4 ? 32 : 128 }),
      )
      .map(([address, length]) => {
        const text = formatPrefix({ family, address, length });
        return formatPrefix(parsePrefix(text) as Prefix);
      }),
  );
const hostMatch = fc.constantFrom(4 as const, 6 as const).chain((family) =>
  fc.record(
    {
      kind: fc.constant("host-match" as const),
      device,
      position: fc.integer({ min: 0, max: MAX_HOST_MATCHES - 1 }),
      minor,
      vlanId: fc.option(fc.integer({ min: 1, max: 4094 })),
      etherType: fc.constant(family === 4 ? 0x0800 : 0x86dd),
      ipProtocol: fc.constantFrom(6, 17),
      sourcePorts: ports,
      destinationPorts: ports,
      source: prefixOf(family),
      destination: prefixOf(family),
    },
    plain,
  ),
);
const filterObject: fc.Arbitrary<FilterObject> = fc.oneof(
  fc.record(
    { kind: fc.constant("catch-all"), device, minor: fc.option(minor), queueId: fc.nat(15) },
    plain,
  ),
  fc.record(
    {
      kind: fc.constant("catch-all"),
      device,
      minor,
      queueId: fc.nat(15),
      senders: fc.constant(true as const),
    },
    plain,
  ),
  fc.record(
    {
      kind: fc.constant("vnic"),
      steering: fc.constantFrom("queue", "redirect"),
      device,
      mac,
      handle,
      minor,
      actionIndex: fc.integer({ min: 0x70000000, max: 0x7fffffff }),
    },
    plain,
  ),
  fc.record(
    {
      kind: fc.constant("vnic"),
      steering: fc.constantFrom("queue", "redirect"),
      device,
      mac,
      handle,
      minor,
      actionIndex: fc.integer({ min: 0x70000000, max: 0x7fffffff }),
      from: fc.option(fc.stringMatching(/^[a-z0-9]{1,15}$/)),
    },
    plain,
  ),
  fc.record(
    {
      kind: fc.constantFrom("passed-on", "forged"),
      device,
      from: fc.stringMatching(/^[a-z0-9]{1,15}$/),
      handle,
      drops: fc.constant(true as const),
    },
    plain,
  ),
  fc.record(
    {
      kind: fc.constant("declared"),
      device,
      from: fc.option(fc.stringMatching(/^[a-z0-9]{1,15}$/)),
      mac,
      handle,
      minor,
      queueId: fc.nat(15),
    },
    plain,
  ),
  fc.record(
    {
      kind: fc.constant("reports"),
      device,
      copyTo: fc.array(fc.integer({ min: 1 }), { maxLength: 4 }),
    },
    plain,
  ),
  fc.record({ kind: fc.constant("reflection"), device, mac, handle }, plain),
  fc.record(
    {
      kind: fc.constant("inbound"),
      device,
      mac,
      handle,
      // Beyond 34 Gbit/s the kernel tells it by another attribute.
      rateBitsPerSecond: fc.integer({ min: 1, max: 50e9 }).map((bytes) => bytes * 8),
      burstTicks: fc.integer({ min: 1, max: 0xffffffff }),
    },
    plain,
  ),
  fc.record({ kind: fc.constant("redirect"), device, mac, handle, toIfindex: minor }, plain),
  fc.record(
    {
      kind: fc.constant("control"),
      device,
      protocol: fc.constantFrom("lacp", "lldp", "stp"),
      minor,
    },
    plain,
  ),
  fc.record({ kind: fc.constant("queue-reset"), device }, plain),
  fc.record(
    { kind: fc.constant("passed-on"), device, from: fc.stringMatching(/^[a-z0-9]{1,15}$/), handle },
    plain,
  ),
  fc.record({ kind: fc.constant("host-source"), device, mac, handle }, plain),
  hostMatch,
);

/** A request read as if the kernel had told it; its handle is left out of the comparison. */
function meaningOf(hex: string): Filter {
  const message = messageOf(hex);
  // parseFilter leaves out what has no handle: requests may, filters don't.
  const bytes = Buffer.from(message.body);
  bytes.writeUInt32LE(0x80000001, 8);
  const filter = parseFilter({ ...message, body: bytes });
  assert.ok(filter !== null);
  const actions = filter.actions.map((action) =>
    action.kind === "skbedit" && action.index !== 0 ? { ...action, control: 0 } : action,
  );
  return { ...filter, actions, handle: 0 };
}
