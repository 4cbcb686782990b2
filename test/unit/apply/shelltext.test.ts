import assert from "node:assert/strict";
import { commandsOf, inverseOf, undoText } from "../../../src/apply/shelltext.ts";
import type { KernelObject } from "../../../src/model/kernel.ts";
import type { Mac } from "../../../src/model/mac.ts";
import type { Step } from "../../../src/model/step.ts";
import { ticksForBytes } from "../../../src/model/units.ts";

const MAC = "52:54:00:00:00:01" as Mac;
const nameOf = (ifindex: number) => (ifindex === 6 ? "bond0" : undefined);

const VNIC: KernelObject = {
  kind: "vnic",
  steering: "queue",
  device: "bond0",
  mac: MAC,
  handle: 3,
  minor: 0x11,
  actionIndex: 0x70000611,
};
const REFLECTION: KernelObject = { kind: "reflection", device: "nic0", mac: MAC, handle: 3 };

describe("commands for people and hooks", () => {
  it("say what the step does in the words of tc and ip", () => {
    const add = (object: KernelObject) => commandsOf({ op: "add", object }, nameOf);
    assert.deepEqual(add(VNIC), [
      "tc filter replace dev bond0 egress protocol all pref 7568 handle 3 flower skip_hw src_mac 52:54:00:00:00:01 action skbedit index 1879049745 action skbedit priority 7570:11 goto chain 7572",
    ]);
    const held: KernelObject = { ...VNIC, from: "vnet0" };
    const own = "dev bond0 egress chain 7583 protocol all pref 7583 handle 3 flower";
    const leading =
      "tc filter replace dev bond0 egress protocol all pref 7568 handle 3 flower skip_hw src_mac 52:54:00:00:00:01 action goto chain 7583";
    assert.deepEqual(add(held), [
      `tc filter replace ${own} skip_hw indev vnet0 src_mac 52:54:00:00:00:01 action skbedit index 1879049745 action skbedit priority 7570:11 goto chain 7572`,
      leading,
    ]);
    // Nobody is led to what isn't there any more, or not yet.
    const loosened = commandsOf({ op: "change", object: VNIC, before: held }, nameOf);
    assert.deepEqual(loosened, [...add(VNIC), `tc filter del ${own}`]);
    assert.deepEqual(commandsOf({ op: "delete", object: held }, nameOf), [
      "tc filter del dev bond0 egress protocol all pref 7568 handle 3 flower",
      `tc filter del ${own}`,
    ]);
    assert.deepEqual(
      add({ kind: "forged", device: "bond0", from: "vnet1", handle: 31, drops: true }),
      [
        "tc filter replace dev bond0 egress chain 7583 protocol all pref 7584 handle 31 flower skip_hw indev vnet1 action drop",
      ],
    );
    assert.deepEqual(add({ kind: "redirect", device: "nic0", mac: MAC, handle: 3, toIfindex: 6 }), [
      "tc filter replace dev nic0 ingress protocol all pref 7576 handle 3 flower skip_hw dst_mac 52:54:00:00:00:01 action mirred ingress redirect dev bond0",
    ]);
    assert.deepEqual(
      add({
        kind: "inbound",
        device: "bond0",
        mac: MAC,
        handle: 3,
        rateBitsPerSecond: 8e6,
        burstTicks: ticksForBytes(131_072, 8e6),
      }),
      [
        "tc filter replace dev bond0 ingress protocol all pref 7586 handle 3 flower skip_hw dst_mac 52:54:00:00:00:01 action police rate 1000000bps burst 131072 mtu 2097152 overhead 14 conform-exceed drop/continue",
      ],
    );
    assert.deepEqual(
      add({
        kind: "class",
        device: "nic0",
        minor: 0x11,
        parentMinor: 1,
        rateBitsPerSecond: 8e6,
        ceilBitsPerSecond: 16e6,
        bufferTicks: ticksForBytes(64000, 8e6),
        cbufferTicks: ticksForBytes(64000, 16e6),
        prio: 3,
        quantumBytes: 60000,
      }),
      [
        "tc class replace dev nic0 parent 7570:1 classid 7570:11 htb rate 1000000bps ceil 2000000bps burst 64000 cburst 64000 prio 3 quantum 60000",
      ],
    );
    assert.deepEqual(add({ kind: "control", device: "nic0", protocol: "stp", minor: 0xfff1 }), [
      "tc filter replace dev nic0 parent 7570: protocol 0x0004 pref 7579 handle 1 flower skip_hw dst_mac 01:80:c2:00:00:00/ff:ff:ff:ff:ff:f0 classid 7570:fff1",
    ]);
  });

  it("undo in reverse order: what was added goes, what was changed is as before", () => {
    const queue = { kind: "port-queue", device: "nic0", queueId: 1 } as const;
    const steps: readonly Step[] = [
      { op: "change", object: queue, before: { ...queue, queueId: 0 } },
      { op: "add", object: REFLECTION },
      { op: "add", object: VNIC },
    ];
    assert.equal(
      undoText(steps, nameOf),
      [
        "#!/bin/sh",
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "exec </dev/null >/dev/null 2>&1",
        "tc -force -batch - <<'END'",
        "filter del dev bond0 egress protocol all pref 7568 handle 3 flower",
        "filter del dev nic0 ingress protocol all pref 7575 handle 3 flower",
        "END",
        "ip -force -batch - <<'END'",
        "link set dev nic0 type bond_slave queue_id 0",
        "END",
        "exit 0",
        "",
      ].join("\n"),
    );
    assert.deepEqual(inverseOf(inverseOf(steps)), steps);
  });

  it("quote names that a shell would read otherwise", () => {
    const hostile = { kind: "promiscuity", device: "a';reboot;'", on: true } as const;
    assert.deepEqual(commandsOf({ op: "add", object: hostile }, nameOf), [
      "ip link set dev 'a'\\'';reboot;'\\''' promisc on",
    ]);
  });
});
