import assert from "node:assert/strict";
import { dumpCounters, dumpKernel, dumpLinks } from "../../../src/netlink/dump.ts";
import type { Message } from "../../../src/netlink/message.ts";
import { messageOf } from "./fixture.ts";
import { ACTIONS, CLASSES, FILTERS, LINKS, QDISCS } from "./golden.ts";

const TEAM = [{ bond: "bond0", ports: ["nic0", "nic1", "nic9"] }];

/** Answers each dump with what the kernel once answered; the classes are all of nic0. */
function recorded(answers: Readonly<Record<string, readonly string[]>>) {
  return {
    dump<T>(object: string, _request: Uint8Array, parse: (message: Message) => T | null): T[] {
      return (answers[object] ?? []).map((hex) => parse(messageOf(hex))).filter((t) => t !== null);
    },
  };
}

const socket = recorded({
  links: LINKS,
  qdiscs: QDISCS,
  actions: ACTIONS,
  "classes of nic0": CLASSES,
  "filters of bond0 egress": FILTERS,
});

describe("the kernel as dumped", () => {
  it("holds our objects by their keys, and settings that carry no mark", () => {
    const { objects, foreign } = dumpKernel(socket, dumpLinks(socket), TEAM);
    assert.deepEqual(
      [...objects.keys()].sort(),
      [
        "active-port bond0",
        "bond-option bond0",
        "class nic0 7570:1",
        "class nic0 7570:11",
        "class nic0 7570:12",
        "class nic0 7570:fff0",
        "clsact bond0",
        "clsact nic0",
        "htb nic0",
        "leaf nic0 7570:11",
        "leaf nic0 7570:12",
        "leaf nic0 7570:fff0",
        "port-queue nic0",
        "port-queue nic1",
        "promiscuity nic0",
        "promiscuity nic1",
        // Made by layout 1, with the actions of a design before it, whose report filters stood in chain 0: no place of ours.
        "unknown-filter bond0 egress 7570 3 1",
        "unknown-filter bond0 egress 7571 3 1",
      ].sort(),
    );
    assert.deepEqual(objects.get("active-port bond0"), {
      kind: "active-port",
      bond: "bond0",
      port: "nic1",
    });
    assert.deepEqual(objects.get("promiscuity nic0"), {
      kind: "promiscuity",
      device: "nic0",
      on: true,
    });
    // nic1's own fq_codel with handle 0 gives way to ours: no conflict.
    assert.deepEqual(
      foreign.map(({ found }) => found),
      ["egress filter pref 7572 u32", "egress filter pref 7572 u32"],
    );
  });

  it("counts what classes sent, and frames that went out unshaped", () => {
    const { counters, directPackets } = dumpKernel(socket, dumpLinks(socket), TEAM);
    const host = counters.find((counter) => counter.minor === 0xfff0);
    assert.deepEqual(host, {
      device: "nic0",
      minor: 0xfff0,
      sentBytes: 140n,
      sentPackets: 2n,
      drops: 0,
      backlogBytes: 0,
      queuedPackets: 0,
    });
    assert.deepEqual(directPackets, new Map([["nic0", 0]]));
    assert.deepEqual(dumpCounters(socket, [{ name: "nic0", ifindex: 2 }]), counters);
  });
});
