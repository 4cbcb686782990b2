import assert from "node:assert/strict";
import fc from "fast-check";
import type { LibvirtCall } from "../../../src/libvirt/connection.ts";
import {
  listActiveDomains,
  migrateDomain,
  phaseOf,
  readAllStates,
  readDomain,
  readDomainState,
  readJob,
} from "../../../src/libvirt/domain.ts";
import { parseSignal } from "../../../src/libvirt/event.ts";
import { LibvirtError } from "../../../src/model/errors.ts";

const UUID = "b6d65ee5-f74a-41e2-a724-44001233ffb9";
const XML = `<domain><name>web1</name><uuid>${UUID}</uuid></domain>`;
const PATH = `/org/libvirt/QEMU/domain/_${UUID.replaceAll("-", "_")}`;

/** Whatever D-Bus can carry, and pieces of what is right. */
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(undefined, null, true, XML, PATH, "web1", ""),
    fc.integer({ min: -3, max: 20 }),
    fc.double(),
    fc.bigInt(),
    fc.string({ unit: "binary", maxLength: 20 }),
    fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes)),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(
      fc.constantFrom("state.state", "state.reason", "__proto__", "length", "toString"),
      tie("value"),
    ),
  ),
}));

/** @returns what a reader makes of an answer; null where it says by our error that it makes nothing of it */
async function outcome<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    assert.ok(error instanceof LibvirtError, String(error));
    assert.ok(error.message.length < 1000, "an error repeats little of the answer");
    return null;
  }
}

describe("an answer of libvirt-dbus", () => {
  it("is read or refused by our error, whatever it is", async function () {
    this.timeout(20_000);
    await fc.assert(
      fc.asyncProperty(value, async (answer) => {
        const caller = { call: async () => answer };
        const listed = await outcome(listActiveDomains(caller));
        for (const uuid of listed ?? []) assert.match(uuid, /^[0-9a-f-]{36}$/);
        for (const state of (await outcome(readAllStates(caller, 1)))?.values() ?? [])
          assert.equal(typeof state.reason, "number");
        const state = await outcome(readDomainState(caller, UUID));
        if (state !== null) phaseOf(state);
        await outcome(readDomain(caller, UUID));
        await outcome(readJob(caller, UUID));
      }),
      { numRuns: 3000 },
    );
  });
});

describe("a migration", () => {
  it("is asked for with safe flags, whole MiB/s and never more of them than planned", async () => {
    const calls: LibvirtCall[] = [];
    const caller = {
      call: async (call: LibvirtCall) => {
        calls.push(call);
      },
    };
    const uri = "qemu+tls://rack2/system";
    const rate = { bandwidthBitsPerSecond: 500e6, timeoutMs: 60_000 };
    await migrateDomain(caller, UUID, { uri, migrateUri: "tcp://10.1.0.2", ...rate });
    await migrateDomain(caller, UUID, { uri, migrateUri: null, ...rate });
    const [call, plain] = calls;
    assert.deepEqual(
      [call?.member, call?.signature, call?.timeoutMs, call?.path],
      ["MigrateToURI3", "sa{sv}u", 60_000, PATH],
    );
    const bandwidth = ["bandwidth", ["t", 59n]];
    // LIVE, PEER2PEER, PERSIST_DEST, UNDEFINE_SOURCE, ABORT_ON_ERROR: neither UNSAFE (512) nor POSTCOPY (32768).
    const flags = 1 + 2 + 8 + 16 + 4096;
    const migrateUri = ["migrate_uri", ["s", "tcp://10.1.0.2"]];
    assert.deepEqual(call?.body, [uri, [bandwidth, migrateUri], flags]);
    assert.deepEqual(plain?.body, [uri, [bandwidth], flags]);
  });

  it("is told from other jobs, and from one that has ended", async () => {
    const jobs = [
      [[0, {}], "none"],
      [[2, { operation: 5 }], "migration"],
      [[2, { operation: 9 }], "other"],
      [[1, {}], "other"],
      [[5, { operation: 5 }], "none"],
    ] as const;
    for (const [answer, job] of jobs)
      assert.equal(await readJob({ call: async () => answer }, UUID), job);
  });
});

describe("a signal of libvirt-dbus", () => {
  it("is an event of a domain or none, whatever it carries", function () {
    this.timeout(20_000);
    const member = fc.constantFrom(
      ["org.libvirt.Connect", "DomainEvent"],
      ["org.libvirt.Domain", "MetadataChange"],
      ["org.libvirt.Domain", "DeviceAdded"],
      ["org.libvirt.Domain", "DeviceRemoved"],
    );
    const path = fc.oneof(fc.constant(PATH), fc.string({ maxLength: 30 }));
    fc.assert(
      fc.property(member, path, fc.array(value, { maxLength: 4 }), ([iface, name], at, body) => {
        const signal = { path: at, interface: iface ?? "", member: name ?? "", body };
        const event = parseSignal(signal);
        if (event !== null) assert.ok("uuid" in event && event.uuid === UUID);
      }),
      { numRuns: 3000 },
    );
  });
});
