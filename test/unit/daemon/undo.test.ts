import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JournalContents } from "../../../src/daemon/journal.ts";
import { renderReleaseScript, writeUndos } from "../../../src/daemon/undo.ts";
import { planWorld } from "../../../src/plan/plan.ts";
import { buildWorld, macOf } from "../world.ts";
import { fakeLog } from "./fake.ts";

const world = buildWorld({
  uplinks: [{ name: "eno1" }, { name: "eno2" }],
  domains: [{ name: "web1", vnics: [{}] }],
});
const saved: JournalContents = {
  version: 1,
  bootId: "boot",
  released: false,
  observing: false,
  unconfirmed: null,
  lost: null,
  scope: { kind: "host" },
  before: [
    { kind: "port-queue", device: "eno2", queueId: 7 },
    { kind: "promiscuity", device: "eno1", on: true },
    { kind: "promiscuity", device: "eno2", on: false },
    { kind: "bond-option", bond: "bond0", updelayMs: 200 },
  ],
  clsactCreated: ["bond0", "eno1"],
  pauses: [],
  migrations: [],
  refusals: [],
  holds: [],
  drains: [],
  exemptions: [],
};

/** The same, with source addresses enforced. */
const judging = buildWorld({
  uplinks: [{ name: "eno1" }, { name: "eno2" }],
  domains: [{ name: "web1", vnics: [{}] }],
  passedOnFrom: [{ name: "vnet0", ifindex: 30, bridged: "tap" }],
  config: { sources: { forged: "drop", unregistered: "drop" } },
});

describe("what is left to undo things by", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "uplinkd-undo-"));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it("drops nobody for his address while addresses are forgotten", () => {
    const script = renderReleaseScript(judging, saved);
    const [passedOn, vnics, senders] = ["pref 7573", "pref 7568", "chain 7583"].map((at) =>
      script.indexOf(`tc filter del dev bond0 egress ${at}`),
    );
    assert.ok(0 <= (passedOn ?? -1) && (passedOn ?? 0) < (vnics ?? 0));
    assert.ok((vnics ?? 0) < (senders ?? 0));
    writeUndos(directory, judging, planWorld(judging), fakeLog().log);
    const lines = readFileSync(join(directory, "undo/web1.tc"), "utf8").split("\n");
    const [first, second] = lines;
    assert.match(first ?? "", /bond0 egress protocol all pref 7568 handle 0x/);
    assert.match(second ?? "", /bond0 egress chain 7583 protocol all pref 7583 handle 0x/);
  });

  it("releases in the reverse order of installing, and puts back what was saved", () => {
    const script = renderReleaseScript(world, saved);
    const order = [
      "tc filter del dev bond0 egress pref 7568",
      "ip link set dev eno2 type bond_slave queue_id 7",
      "ip link set dev eno1 promisc on",
      "ip link set dev eno2 promisc off",
      "tc filter del dev eno1 ingress pref 7576",
      "tc filter del dev bond0 egress pref 7570",
      "tc qdisc del dev eno1 root",
      "tc qdisc del dev bond0 clsact",
      "tc actions del action skbedit",
    ].map((line) => script.indexOf(line));
    assert.ok(
      order.every((at) => at >= 0),
      `${order}`,
    );
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
    assert.match(script, /updelay 200/);
    assert.doesNotMatch(script, /qdisc del dev eno2 clsact/, "that one is somebody else's");
  });

  it("is a script that a shell takes, and touches no qdisc but uplinkd's", () => {
    writeFileSync(join(directory, "release.sh"), renderReleaseScript(world, saved));
    const calls = join(directory, "calls");
    // tc and ip that only note how they are called; another program's fq is eno1's root, and its filter on eno1.
    const tc = `#!/bin/sh
echo "tc $*" >>${calls}
case $* in
  "qdisc show dev eno1 root") echo "qdisc fq 1: root" ;;
  "qdisc show dev eno2 root") echo "qdisc htb 7570: root" ;;
  "filter show dev eno1 ingress") echo "filter protocol all pref 1 matchall" ;;
esac`;
    writeFileSync(join(directory, "tc"), tc, { mode: 0o755 });
    writeFileSync(join(directory, "ip"), `#!/bin/sh\necho "ip $*" >>${calls}\n`, { mode: 0o755 });
    execFileSync("sh", [join(directory, "release.sh")], {
      env: { PATH: `${directory}:${process.env.PATH}` },
    });
    const made = readFileSync(calls, "utf8");
    assert.doesNotMatch(made, /qdisc del dev eno1 root/);
    assert.match(made, /qdisc del dev eno2 root/);
    assert.match(made, /qdisc del dev bond0 clsact/);
    assert.doesNotMatch(made, /qdisc del dev eno1 clsact/);
  });

  it("names each domain's filters for the hook, those on the bond first", () => {
    const { log, lines } = fakeLog();
    writeUndos(directory, world, planWorld(world), log);
    const text = readFileSync(join(directory, "undo", "web1.tc"), "utf8")
      .trim()
      .split("\n");
    assert.match(
      text[0] ?? "",
      /^filter del dev bond0 egress protocol all pref 7568 handle 0x\w+ flower$/,
    );
    assert.deepEqual(text.slice(-2), [
      "class del dev eno1 classid 7570:10",
      "class del dev eno2 classid 7570:10",
    ]);
    assert.equal(text.length, 1 + 2 + 2 + 2, macOf(0));
    assert.deepEqual(lines, []);
  });

  it("says when it can't be written, and goes on", () => {
    const { log, lines } = fakeLog();
    writeFileSync(join(directory, "undo"), "in the way");
    const other = buildWorld({
      uplinks: [{ name: "eno1" }],
      domains: [{ name: "web2", vnics: [{}] }],
    });
    writeUndos(directory, other, planWorld(other), log);
    assert.match(lines.join("\n"), /<4>undo-unwritten/);
  });
});
